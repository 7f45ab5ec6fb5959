"""Meson's own test projects, from its sdist, with one more line: they link everything Meson can, and still pass."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from support import packages
from support.mesons import alignments, run

PROJECTS = ["common/6 linkshared"]
MORE = [
    "common/178 bothlibraries",
    "common/98 subproject subdir",
    "rust/2 sharedlib",
    "common/117 shared module",
    "common/137 whole archive",
    "common/145 recursive linking",
    "common/39 library chain",
    "common/124 dependency file generation",
    "common/148 shared module resolving symbol in executable",
    "common/24 library versions",
    "common/142 nested links",
    "rust/3 staticlib",
    "rust/16 internal c dependencies",
    "rust/18 proc-macro",
    "rust/20 rust and cpp",
    "rust/21 transitive dependencies",
]


@pytest.fixture(scope="module")
def cases() -> Path:
    """The folder `test cases` of Meson's source distribution."""
    return packages.source("meson", "1.9.1") / "test cases"


def build_and_test(project: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(project, tmp_path / "source", symlinks=True))
    text = (source / "meson.build").read_text()
    # `project(...)` comes first in every meson.build; its arguments may go over several lines.
    (source / "meson.build").write_text(re.sub(r"(project\([^)]*\))", r"\1\nsubproject('pagefit')", text, count=1))
    run("pagefit", "meson", "add", source)
    build = source / "build"
    run("meson", "setup", build, source)
    assert "realigned" not in run("ninja", "-C", build)  # every link could be proved
    linked = [path for path in build.rglob("*") if is_linked(path)]
    assert linked
    assert {path.name: alignments(path) for path in linked} == {path.name: {65536} for path in linked}
    assert "no work to do" in run("ninja", "-C", build)
    run("meson", "test", "-C", build)


def is_linked(path: Path) -> bool:
    """Whether a file of a build folder is ELF, and no object file."""
    if path.is_symlink() or not path.is_file() or "meson-private" in path.parts:
        return False
    with path.open("rb") as file:
        header = file.read(18)
    return header[:4] == b"\x7fELF" and header[16:18] in (b"\2\0", b"\3\0")


@pytest.mark.network
@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_of_mesons(cases: Path, tmp_path: Path, name: str) -> None:
    build_and_test(cases / name, tmp_path)


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_another_project_of_mesons(cases: Path, tmp_path: Path, name: str) -> None:
    build_and_test(cases / name, tmp_path)
