"""Packages by name, with three lines more in pyproject.toml: their sdists install without a compiler."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from support import frontends, packages

pytestmark = pytest.mark.network

#: Importing the extension module itself: either package has another form to fall back to, written in Python.
MARKUPSAFE = "import markupsafe._speedups as m; print(m._escape_inner('<a>'))"
MSGPACK = "import msgpack._cmsgpack as m; print(m.unpackb(m.Packer().pack([1, 'a'])))"


def prepared(name: str, version: str, folder: Path) -> Path:
    """The source of a package, changed to build its sdist with prebuilt files."""
    source = Path(shutil.copytree(packages.source(name, version), folder / "source"))
    project = (source / "pyproject.toml").read_text()
    project = re.sub(r"(?m)^requires *= *\[", 'requires = ["pagefit", ', project)
    assert "setuptools.build_meta" in project
    project = project.replace("setuptools.build_meta", "pagefit.setuptools")
    (source / "pyproject.toml").write_text(project + "\n[tool.pagefit.prebuilt]\nsdist = true\n")
    return source


def made_sdist(source: Path, folder: Path) -> Path:
    """The sdist that a source tree builds."""
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--skip-dependency-check"]
    built = frontends.run([*command, "-o", str(folder), str(source)], folder)
    assert built.returncode == 0, built.output
    assert "carries prebuilt/" in built.output
    (path,) = folder.glob("*.tar.gz")
    return path


def installed(source: Path, site: Path, *options: str, env: Mapping[str, str]) -> str:
    """What pip printed while it installed `source` into `site`."""
    command = [sys.executable, "-m", "pip", "install", "-v", "--no-deps", "--no-build-isolation", "--target", str(site)]
    done = frontends.run([*command, *options, str(source)], site.parent, env=env)
    assert done.returncode == 0, done.output
    return done.output


def answer(site: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("markupsafe")
    return made_sdist(prepared("markupsafe", "3.0.2", folder), folder)


@pytest.fixture
def no_compiler(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has this Python and nothing else."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(sys.executable)
    return {"PATH": str(tmp_path / "bin"), "CC": "no-such-compiler"}


def changed(sdist: Path, folder: Path) -> Path:
    """The sdist unpacked, with a comment more in a source file."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = (path for path in folder.iterdir() if path.name.startswith("markupsafe"))
    with (tree / "src/markupsafe/_speedups.c").open("a") as file:
        file.write("/* changed */\n")
    return tree


def test_it_installs_without_a_compiler(sdist: Path, tmp_path: Path, no_compiler: dict[str, str]) -> None:
    assert "nothing was compiled" in installed(sdist, tmp_path / "site", env=no_compiler)
    assert answer(tmp_path / "site", MARKUPSAFE) == "&lt;a&gt;\n"


def test_the_published_sdist_does_not(tmp_path: Path, no_compiler: dict[str, str]) -> None:
    installed(packages.sdist("markupsafe", "3.0.2"), tmp_path / "site", env=no_compiler)
    assert "No module named" in answer(tmp_path / "site", MARKUPSAFE)


def test_a_changed_source_is_compiled(sdist: Path, tmp_path: Path) -> None:
    tree = changed(sdist, tmp_path / "tree")
    printed = installed(tree, tmp_path / "site", env={})
    assert "compiling: the source is not the one" in printed
    assert "_speedups.c has changed" in printed
    assert "relinked by ld from its recorded link" in printed
    assert answer(tmp_path / "site", MARKUPSAFE) == "&lt;a&gt;\n"


def test_users_choose(sdist: Path, tmp_path: Path, no_compiler: dict[str, str]) -> None:
    def printed(*options: str, env: Mapping[str, str] = no_compiler, status: int = 0) -> str:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        command = [sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "--no-build-isolation", *options]
        done = frontends.run([*command, "-w", str(tmp_path / "out"), str(sdist)], tmp_path / "out", env=env)
        assert done.returncode == status, done.output
        return done.output

    assert "nothing was compiled" in printed("-C", "pagefit.prebuilt=require")
    assert "nothing was compiled" in printed("-C", "pagefit.prebuilt=auto")
    never = printed("-C", "pagefit.prebuilt=never")
    assert "The C extension could not be compiled" in never
    assert "nothing was compiled" not in never
    assert "PIP_NO_BINARY asks for building from source" in printed(env={**no_compiler, "PIP_NO_BINARY": "MarkupSafe"})
    assert "nothing was compiled" in printed(env={**no_compiler, "PIP_NO_BINARY": "other"})
    required = printed("-C", "pagefit.prebuilt=require", env={"PIP_NO_BINARY": "markupsafe"}, status=1)
    assert "prebuilt files are required, but PIP_NO_BINARY" in required


def test_wheels_of_several_platforms(tmp_path: Path, no_compiler: dict[str, str]) -> None:
    source = prepared("markupsafe", "3.0.2", tmp_path)
    ours = frontends.build_wheel("pip", source, tmp_path / "ours").wheel
    shutil.rmtree(source / "build", ignore_errors=True)
    (source / "wheelhouse").mkdir()
    for wheel in (ours, packages.wheel("markupsafe", "3.0.2", "manylinux2014_aarch64", "311")):
        shutil.copy(wheel, source / "wheelhouse")
    with (source / "pyproject.toml").open("a") as file:
        file.write('from = ["wheelhouse/*.whl"]\n')
    made = made_sdist(source, tmp_path)
    with tarfile.open(made) as archive:
        keys = {name.split("/")[2] for name in archive.getnames() if "/prebuilt/" in name}
    assert [key.rpartition(".")[2] for key in sorted(keys)] == [
        "64-bit-little-endian-x86-64",
        "64-bit-little-endian-aarch64",
    ]
    assert "nothing was compiled" in installed(made, tmp_path / "site", env=no_compiler)
    assert answer(tmp_path / "site", MARKUPSAFE) == "&lt;a&gt;\n"


@pytest.mark.slow
def test_msgpack_installs_without_a_compiler(tmp_path: Path, no_compiler: dict[str, str]) -> None:
    made = made_sdist(prepared("msgpack", "1.1.0", tmp_path), tmp_path)
    assert "nothing was compiled" in installed(made, tmp_path / "site", env=no_compiler)
    assert answer(tmp_path / "site", MSGPACK) == "[1, 'a']\n"
