"""Packages by name, before and after: with one line in meson.build, or one in pyproject.toml, they load at 64K."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import aarch64, debsource, frontends, packages
from support.mesons import run
from support.projects import write_project

pytestmark = pytest.mark.network


@dataclass(frozen=True)
class Program:
    """A program of a Debian source package, and what it prints."""

    package: str
    folder: str
    options: tuple[str, ...]
    command: str
    arguments: tuple[str, ...]
    prints: str


PKGCONF = Program("pkgconf", ".", ("-Dtests=false",), "pkgconf", ("--modversion", "libpkgconf"), "1.8.1\n")
MORE = [
    Program("lz4", "contrib/meson", ("-Dprograms=true",), "lz4", ("--version",), "LZ4"),
    Program("fribidi", ".", ("-Ddocs=false",), "fribidi", ("--version",), "fribidi"),
]


def installed(program: Program, folder: Path, *setup: object) -> Path:
    """Build and install a package into `folder`; the prefix."""
    run("meson", "setup", folder / "build", *setup, *program.options, "--prefix=/usr", "--libdir=lib")
    run("ninja", "-C", folder / "build")
    assert "no work to do" in run("ninja", "-C", folder / "build")
    run("meson", "install", "-C", folder / "build", "--strip", env={"DESTDIR": str(folder / "root")})
    return folder / "root/usr"


def build_and_run(program: Program, tmp_path: Path, *, cross: bool) -> None:
    arguments = []
    qemu = []
    if cross:
        write_project(tmp_path, {"cross.ini": aarch64.MESON_FILE})
        arguments = ["--cross-file", tmp_path / "cross.ini"]
        qemu = ["qemu-aarch64", "-p", "65536", "-L", "/usr/aarch64-linux-gnu"]
    source = shutil.copytree(debsource.source(program.package), tmp_path / "source") / program.folder

    before = installed(program, tmp_path / "before", source, *arguments)
    assert "0 fit, 2 do not fit" in run("pagefit", "check", "--page-size", "64K", before, status=1)

    text = (source / "meson.build").read_text()
    (source / "meson.build").write_text(re.sub(r"(project\([^)]*\))", r"\1\nsubproject('pagefit')", text, count=1))
    run("pagefit", "meson", "add", source)
    after = installed(program, tmp_path / "after", source, *arguments)
    run("pagefit", "check", *(f"--page-size={size}K" for size in (4, 16, 64)), after)
    library_path = f"LD_LIBRARY_PATH={after / 'lib'}"
    command = [*qemu, "-E", library_path] if cross else ["env", library_path]
    env = {"PKG_CONFIG_PATH": str(after / "lib/pkgconfig")}
    assert program.prints in run(*command, after / "bin" / program.command, *program.arguments, env=env)
    names = {path.relative_to(before) for path in before.rglob("*") if path.is_file()}
    assert {path.relative_to(after) for path in after.rglob("*") if path.is_file()} == names


@pytest.mark.parametrize("cross", [False, True], ids=["native", "aarch64"])
def test_a_library_and_its_program(tmp_path: Path, cross: bool) -> None:
    build_and_run(PKGCONF, tmp_path, cross=cross)


@pytest.mark.slow
@pytest.mark.parametrize("cross", [False, True], ids=["native", "aarch64"])
@pytest.mark.parametrize("program", MORE, ids=lambda program: program.package)
def test_more_libraries_and_programs(tmp_path: Path, program: Program, cross: bool) -> None:
    build_and_run(program, tmp_path, cross=cross)


@pytest.mark.parametrize(
    ("name", "code", "prints"),
    [
        ("link-against-local-lib", "import example; print(example.example_sum(1, 2))", "3\n"),
        pytest.param(
            *("sharedlib-in-package", "import mypkg; print(mypkg.prodsum(2, 3, 4))", "11\n"), marks=pytest.mark.slow
        ),
    ],
)
def test_a_package_of_meson_python_with_an_internal_library(tmp_path: Path, name: str, code: str, prints: str) -> None:
    packaged = packages.source("meson-python", "0.22.0") / "tests/packages" / name
    source = Path(shutil.copytree(packaged, tmp_path / "source"))
    before = frontends.build_wheel("pip", source, tmp_path / "before")
    assert before.wheel, before.output
    checked = run("pagefit", "check", "--page-size", "64K", before.wheel, status=1)
    assert int(re.search(r"(\d+) ELF files", checked).group(1)) >= 2

    project = (source / "pyproject.toml").read_text()
    project = project.replace("'mesonpy'", "'pagefit.mesonpy'").replace("'meson-python'", "'meson-python', 'pagefit'")
    (source / "pyproject.toml").write_text(project)
    after = frontends.build_wheel("pip", source, tmp_path / "after")
    assert after.wheel, after.output
    assert "NOT MENDED" not in after.output
    run("pagefit", "check", *(f"--page-size={size}K" for size in (4, 16, 64)), after.wheel)
    site = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", site, after.wheel)
    assert run(sys.executable, "-c", code, env={"PYTHONPATH": str(site)}) == prints
