"""Building for aarch64 with Debian's cross compiler, linked for 4K as some linkers do by default."""

from __future__ import annotations

#: A cross file of Meson's.
MESON_FILE = """
[binaries]
c = 'aarch64-linux-gnu-gcc'
cpp = 'aarch64-linux-gnu-g++'
ar = 'aarch64-linux-gnu-gcc-ar'
strip = 'aarch64-linux-gnu-strip'

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'

[built-in options]
c_link_args = ['-Wl,-z,max-page-size=4096']
cpp_link_args = ['-Wl,-z,max-page-size=4096']
"""

#: What tells setuptools the platform and the tools.
SETUPTOOLS = {
    "_PYTHON_HOST_PLATFORM": "linux-aarch64",
    "CC": "aarch64-linux-gnu-gcc",
    "CXX": "aarch64-linux-gnu-g++",
    "LDSHARED": "aarch64-linux-gnu-gcc -shared",
    "LDCXXSHARED": "aarch64-linux-gnu-g++ -shared",
    "LDFLAGS": "-Wl,-z,max-page-size=4096",
}
