"""An sdist that carries prebuilt files installs without a compiler, and compiles when anything does not match."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from support import frontends
from support.projects import write_project

PYPROJECT = """
    [build-system]
    requires = ["setuptools", "pagefit"]
    build-backend = "pagefit.setuptools"
    [project]
    name = "tiny"
    version = "1.0"
    [tool.setuptools]
    ext-modules = [{name = "tiny", sources = ["tiny.c"]}]
    [tool.pagefit]
    page-size = "4K"
    tarball = false
    [tool.pagefit.prebuilt]
    sdist = true
"""
SOURCE = """
    #include <Python.h>
    static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
    static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
    static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "tiny", "", -1, methods};
    PyMODINIT_FUNC PyInit_tiny(void) { return PyModule_Create(&module); }
"""
#: Debug information names the build folder, which differs from build to build.
NO_PATHS = {"CFLAGS": "-g0"}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist built by `python -m build`, with the wheel of this platform in it."""
    folder = tmp_path_factory.mktemp("tiny")
    project = write_project(folder / "project", {"pyproject.toml": PYPROJECT, "tiny.c": SOURCE})
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--skip-dependency-check"]
    built = frontends.run([*command, "-o", str(folder), str(project)], folder, env=NO_PATHS)
    assert built.returncode == 0, built.output
    (path,) = folder.glob("*.tar.gz")
    return path


@pytest.fixture
def no_compiler(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has this Python and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    assert shutil.which("gcc", path=str(folder)) is None
    return {"PATH": str(folder)}


def unpacked(sdist: Path, folder: Path) -> Path:
    subprocess.run(["tar", "-xzf", sdist, "-C", folder], check=True)
    return folder / "tiny-1.0"


def pip_wheel(source: Path, out: Path, env: dict[str, str], **settings: str) -> frontends.Built:
    return frontends.build_wheel(
        "pip",
        source,
        out,
        env={**NO_PATHS, **env},
        config_settings={f"pagefit.{name}": value for name, value in settings.items()},
    )


def test_the_sdist_installs_without_a_compiler(sdist: Path, tmp_path: Path, no_compiler: dict[str, str]) -> None:
    built = pip_wheel(sdist, tmp_path / "out", no_compiler)
    assert built.wheel, built.output
    assert "nothing was compiled" in built.output
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--target", tmp_path / "site", built.wheel], check=True
    )
    code = "import tiny; print(tiny.answer())"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(tmp_path / "site")}, capture_output=True, text=True
    )
    assert done.stdout == "42\n"


def test_the_wheel_is_the_one_that_compiling_gives(sdist: Path, tmp_path: Path) -> None:
    taken = pip_wheel(sdist, tmp_path / "taken", {}).wheel
    built = pip_wheel(sdist, tmp_path / "compiled", {}, prebuilt="never")
    compiled = built.wheel
    assert taken
    assert compiled, built.output
    with zipfile.ZipFile(taken) as a, zipfile.ZipFile(compiled) as b:
        assert sorted(a.namelist()) == sorted(b.namelist())
        assert a.testzip() is None
        for name in a.namelist():
            if name.endswith((".so", "METADATA", "WHEEL")):
                assert a.read(name) == b.read(name), name


def test_a_changed_source_is_compiled_and_says_so(sdist: Path, tmp_path: Path) -> None:
    project = unpacked(sdist, tmp_path)
    (project / "tiny.c").write_text((project / "tiny.c").read_text().replace("42", "43"))
    built = pip_wheel(project, tmp_path / "out", {})
    assert built.wheel, built.output
    assert "compiling: the source is not the one" in built.output
    assert "tiny.c has changed" in built.output


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda project: (project / "new.c").touch(), "new.c is new"),
        (lambda project: (project / "tiny.c").unlink(), "tiny.c is missing"),
        (lambda project: shutil.rmtree(next(project.glob("prebuilt/*"))), "no prebuilt files"),
    ],
)
def test_required_prebuilt_files_that_do_not_match_fail_the_build(sdist, tmp_path: Path, change, reason: str) -> None:
    project = unpacked(sdist, tmp_path)
    change(project)
    built = pip_wheel(project, tmp_path / "out", {}, prebuilt="require")
    assert built.returncode != 0
    assert "prebuilt files are required, but" in built.output
    assert reason in built.output


def test_another_platform_is_compiled(sdist: Path, tmp_path: Path) -> None:
    project = unpacked(sdist, tmp_path)
    edit_manifest(project, tags=["cp311-cp311-linux_s390x"])
    assert "none of the prebuilt files is for this platform" in pip_wheel(project, tmp_path / "out", {}).output


def test_a_newer_libc_than_here_is_compiled(sdist: Path, tmp_path: Path) -> None:
    project = unpacked(sdist, tmp_path)
    edit_manifest(project, glibc="99.1")
    assert "ask for glibc 99.1" in pip_wheel(project, tmp_path / "out", {}).output


@pytest.mark.parametrize("value", [":all:", "other,Tiny"])
def test_users_who_want_no_binaries_get_none(sdist: Path, tmp_path: Path, value: str) -> None:
    built = pip_wheel(unpacked(sdist, tmp_path), tmp_path / "out", {"PIP_NO_BINARY": value})
    assert "PIP_NO_BINARY asks for building from source" in built.output


def edit_manifest(project: Path, **changes: object) -> None:
    (path,) = project.glob("prebuilt/*/manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def repack(project: Path, change) -> None:
    """Change members of files.tar.xz: `change` gets and returns (TarInfo, bytes), or None to leave one out."""
    (path,) = project.glob("prebuilt/*/files.tar.xz")
    with tarfile.open(path) as old:
        members = [(member, old.extractfile(member).read()) for member in old]
    with tarfile.open(path, "w:xz") as new:
        for member, data in filter(None, (change(member, data) for member, data in members)):
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))


def flipped(member: tarfile.TarInfo, data: bytes):
    return (member, data[:-1] + bytes([data[-1] ^ 1])) if member.name.endswith(".so") else (member, data)


def longer(member: tarfile.TarInfo, data: bytes):
    return (member, data + b"\0" * 4096) if member.name.endswith(".so") else (member, data)


def missing(member: tarfile.TarInfo, data: bytes):
    return None if member.name.endswith("RECORD") else (member, data)


def climbing(member: tarfile.TarInfo, data: bytes):
    member.name = "../../" + member.name
    return member, data


def linked(member: tarfile.TarInfo, data: bytes):
    if member.name.endswith(".so"):
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        data = b""
    return member, data


def device(member: tarfile.TarInfo, data: bytes):
    if member.name.endswith(".so"):
        member.type = tarfile.CHRTYPE
        data = b""
    return member, data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flipped, "size or sha256 differs"),
        (longer, "size or sha256 differs"),
        (missing, "RECORD is missing"),
        (climbing, "leads out of the archive"),
        (linked, "is not what the manifest lists"),
        (device, "is not what the manifest lists"),
    ],
)
def test_a_damaged_or_hostile_set_is_an_error_that_names_the_file(sdist, tmp_path: Path, change, message: str) -> None:
    project = unpacked(sdist, tmp_path)
    repack(project, change)
    before = sorted(tmp_path.rglob("*"))
    built = pip_wheel(project, tmp_path / "out", {})
    assert built.returncode != 0
    assert built.wheel is None
    assert message in built.output
    assert "files.tar.xz" in built.output
    assert [path for path in sorted(tmp_path.rglob("*")) if "out" not in path.parts and path not in before] == []


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "files": [{}]}'])
def test_a_broken_manifest_is_an_error(sdist: Path, tmp_path: Path, text: str) -> None:
    project = unpacked(sdist, tmp_path)
    (path,) = project.glob("prebuilt/*/manifest.json")
    path.write_text(text)
    built = pip_wheel(project, tmp_path / "out", {})
    assert built.returncode != 0
    assert "manifest" in built.output


def test_the_sdist_is_reproducible(sdist: Path, tmp_path: Path) -> None:
    from pagefit.prebuilt import sdist as packing

    wheel = pip_wheel(sdist, tmp_path / "out", {}, prebuilt="never").wheel
    plain = tmp_path / "tiny-1.0.tar.gz"
    copies = []
    # Whether the wheel comes as such, or as the tarball `pagefit pack --whole` makes of it, changes nothing.
    subprocess.run([sys.executable, "-m", "pagefit", "pack", "--whole", "-o", tmp_path, wheel], check=True)
    (whole,) = tmp_path.glob("*.whole.tar.xz")
    for name, artifact in (("a", wheel), ("b", wheel), ("c", whole)):
        (tmp_path / name).mkdir()
        copies.append(shutil.copy(sdist, tmp_path / name / plain.name))
        packing.add(Path(copies[-1]), [artifact])
    assert len({Path(copy).read_bytes() for copy in copies}) == 1
