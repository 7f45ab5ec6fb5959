"""Wheels and libraries that real build systems make, relinked as they ship."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pagefit.errors import Refused
from pagefit.links.journal import Journal
from pagefit.links.recorder import capture
from pagefit.links.replay import relink
from support.links import dynamic, load_alignments, recorded, sections, shell, write_sources
from support.projects import write_project

K64 = 0x10000

EXTENSION = """
#include <Python.h>
{declare}
static PyObject *answer(PyObject *self, PyObject *args) {{ return PyLong_FromLong({value}); }}
static PyMethodDef methods[] = {{ {{"answer", answer, METH_NOARGS, "The answer."}}, {{NULL}} }};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{name}", NULL, -1, methods}};
PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModule_Create(&module); }}
"""


def build_wheel(project: Path) -> tuple[dict[str, Path], Journal]:
    """Record the build of a wheel; its shared objects by name, and the journal."""
    tools = Path(sys.executable).parent  # meson and ninja
    build = f"PATH='{tools}':$PATH '{sys.executable}' -m build -wnx -o out ."
    journal = recorded(build, project, project.parent / "journal")
    (wheel,) = (project / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(project / "unpacked")
    return {path.name.partition(".")[0]: path for path in (project / "unpacked").rglob("*.so*")}, journal


def test_setuptools(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n',
        "setup.py": """\
            from setuptools import Extension, setup
            setup(name="one", version="1", packages=[], ext_modules=[Extension("one", ["one.c"])])
        """,
        "one.c": EXTENSION.format(name="one", declare="", value=42),
    }
    shared, journal = build_wheel(write_project(tmp_path / "project", files))
    relink(shared["one"], shared["one"], journal, K64)
    assert load_alignments(shared["one"]) == {K64}
    code = "import one; print(one.answer())"
    done = subprocess.run([sys.executable, "-c", code], cwd=shared["one"].parent, capture_output=True, check=True)
    assert done.stdout == b"42\n"


def test_meson_python_with_an_internal_library(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": """\
            [build-system]
            requires = ["meson-python"]
            build-backend = "mesonpy"
            [project]
            name = "two"
            version = "1"
        """,
        "meson.build": """\
            project('two', 'c', default_options: ['buildtype=debugoptimized'])
            inner = shared_library('inner', 'half.c', install: true)
            import('python').find_installation(pure: false).extension_module(
                'two', 'two.c', link_with: inner, install: true)
        """,
        "two.c": EXTENSION.format(name="two", declare="int half(int);", value="half(70)"),
    }
    project = write_sources(write_project(tmp_path / "project", files))
    shared, journal = build_wheel(project)
    assert set(shared) == {"two", "libinner"}
    runpath = dynamic(shared["two"], "R(?:UN)?PATH")
    assert runpath
    for path in shared.values():
        relink(path, path, journal, K64)
        assert load_alignments(path) == {K64}
    assert dynamic(shared["two"], "R(?:UN)?PATH") == runpath
    code = "import two; print(two.answer())"
    done = subprocess.run([sys.executable, "-c", code], cwd=shared["two"].parent, capture_output=True, check=True)
    assert done.stdout == b"42\n"


@pytest.mark.parametrize("rpath", ["", "$ORIGIN/lib"])
def test_cmake_with_its_rpath_edit_and_strip_at_install(tmp_path: Path, rpath: str) -> None:
    files = {
        "CMakeLists.txt": f"""\
            cmake_minimum_required(VERSION 3.18)
            project(three C)
            set(CMAKE_INSTALL_RPATH "{rpath}")
            add_library(half SHARED half.c)
            add_library(user SHARED user.c)
            target_link_libraries(user half)
            install(TARGETS half user)
        """
    }
    project = write_sources(write_project(tmp_path / "a project", files))
    lines = "cmake -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -B b . && cmake --build b"
    journal = recorded(lines, project, tmp_path / "journal")
    shell("cmake --install b --strip --prefix installed && rm -r b", project)
    (shipped,) = (project / "installed").rglob("libuser.so")
    relink(shipped, shipped, journal, K64)
    assert load_alignments(shipped) == {K64}
    assert dynamic(shipped, "RUNPATH") == ([rpath] if rpath else [])
    assert ".symtab" not in sections(shipped)
    assert not (project / "b").exists()


def test_cargo(tmp_path: Path) -> None:
    files = {
        "Cargo.toml": '[package]\nname = "four"\nversion = "1.0.0"\n[lib]\ncrate-type = ["cdylib"]\n[workspace]\n',
        "src/lib.rs": '#[no_mangle]\npub extern "C" fn half(n: i32) -> i32 { n / 2 }\n',
    }
    project = write_project(tmp_path / "project", files)
    build = "cargo build --quiet --release --offline"
    journal = recorded(build, project, tmp_path / "journal")
    library = project / "target" / "release" / "libfour.so"
    with_recorder = library.read_bytes()
    shell(f"rm -r target && {build}", project)
    assert library.read_bytes() == with_recorder
    relink(library, library, journal, K64)
    assert load_alignments(library) == {K64}


def test_a_link_of_a_live_build_folder_is_captured_without_linking(tmp_path: Path) -> None:
    source = write_sources(tmp_path / "src")
    shell("gcc -c -fPIC half.c && gcc -shared half.o -o lib.so", source)
    before = {path: path.stat().st_mtime_ns for path in source.iterdir()}
    recipe = capture(["gcc", "-shared", "half.o", "-o", "lib.so"], source, tmp_path / "journal")
    assert recipe.output == source / "lib.so"
    assert {path: path.stat().st_mtime_ns for path in source.iterdir()} == before
    result = relink(source / "lib.so", tmp_path / "out.so", Journal.load(tmp_path / "journal"), K64)
    assert (result.recipe, result.proof) == (recipe, "bit for bit")
    for command in (["true"], ["gcc", "-shared", "half.o", "-o", "not-built.so"], ["gcc", "-c", "half.c"]):
        with pytest.raises(Refused, match="cannot be recorded"):
            capture(command, source, tmp_path / "journal")
