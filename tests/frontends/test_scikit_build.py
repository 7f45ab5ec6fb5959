"""scikit-build-core, which compiles with CMake and strips at install: its wheels are mended, editable ones if asked."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pyproject_hooks import quiet_subprocess_runner

from support import frontends, readelf, samples
from support.projects import hook_caller, write_project

PROJECT = {
    "pyproject.toml": """
        [build-system]
        requires = ["scikit-build-core", "pagefit"]
        build-backend = "pagefit.backend"

        [tool.pagefit]
        backend = "scikit_build_core.build"

        [project]
        name = "fast"
        version = "1"

        [tool.scikit-build]
        wheel.packages = ["fast"]
        install.strip = true
    """,
    "CMakeLists.txt": """
        cmake_minimum_required(VERSION 3.18...3.30)
        project(fast LANGUAGES C)
        find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
        add_library(engine SHARED engine.c)
        python_add_library(_fast MODULE fast.c WITH_SOABI)
        target_link_libraries(_fast PRIVATE engine)
        set_target_properties(_fast PROPERTIES INSTALL_RPATH "$ORIGIN")
        install(TARGETS _fast engine DESTINATION fast)
    """,
    "engine.c": "int twice(int x) { return 2 * x; }\n",
    "fast.c": """
        #include <Python.h>
        extern int twice(int);
        static PyObject *py_twice(PyObject *self, PyObject *x) { return PyLong_FromLong(twice(PyLong_AsLong(x))); }
        static PyMethodDef methods[] = {{"twice", py_twice, METH_O, ""}, {0}};
        static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fast", "", -1, methods};
        PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&module); }
    """,
    "fast/__init__.py": "from fast._fast import twice\n",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("scikit"), PROJECT)


def test_its_wheel_is_mended_and_stays_stripped(project: Path, tmp_path: Path) -> None:
    built = frontends.build_wheel("build", project, tmp_path / "dist")
    assert built.wheel, built.output
    files = samples.unpack_elf(built.wheel, tmp_path / "unpacked")
    assert [path.name.partition(".")[0] for path in files] == ["_fast", "libengine"]
    for path in files:
        assert readelf.is_laid_out_for(path, 65536)
        sections = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout
        assert ".symtab" not in sections
    printed = subprocess.run(
        [sys.executable, "-c", "import fast; print(fast.twice(21))"],
        cwd=tmp_path / "unpacked",
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == "42\n"


@pytest.mark.parametrize("editable", ["true", "false"])
def test_an_editable_wheel_is_mended_only_if_asked(project: Path, tmp_path: Path, editable: str) -> None:
    hooks = hook_caller(project)
    with hooks.subprocess_runner(quiet_subprocess_runner):
        name = hooks.build_editable(str(tmp_path), {"pagefit.editable": editable})
    files = samples.unpack_elf(tmp_path / name, tmp_path / "unpacked")
    assert len(files) == 2
    assert {readelf.is_laid_out_for(path, 65536) for path in files} == {editable == "true"}
    assert zipfile.is_zipfile(tmp_path / name)
