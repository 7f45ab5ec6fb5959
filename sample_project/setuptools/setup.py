from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension("checksums._sums", ["src/checksums/_sums.c"]),
        Extension(
            "checksums._listing",
            ["src/checksums/_listing.cpp"],
            extra_compile_args=["-std=c++17"],
            language="c++",
        ),
    ]
)
