"""Live Ninja build folders that are not Meson's: CMake's, where links are part of a longer line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pagefit.errors import InputError, Refused
from pagefit.links import ninja
from pagefit.links.recipe import Unrecorded
from support.mesons import alignments, run
from support.projects import write_project

PROJECT = {
    "CMakeLists.txt": """
        cmake_minimum_required(VERSION 3.10)
        project(lines C)
        add_library(plain SHARED plain.c)
        add_custom_command(TARGET plain POST_BUILD COMMAND ${CMAKE_COMMAND} -E echo linked >> log)
        add_executable(main main.c)
        target_link_libraries(main plain)
        add_custom_command(OUTPUT copy.elf DEPENDS main
          COMMAND ${CMAKE_COMMAND} -E copy $<TARGET_FILE:main> copy.elf COMMAND ${CMAKE_COMMAND} -E echo copied >> log)
        add_custom_target(copy ALL DEPENDS copy.elf)
    """,
    "plain.c": "int plain(void) { return 42; }",
    "main.c": "int plain(void); int main(void) { return plain() - 42; }",
}


@pytest.fixture
def build(tmp_path: Path) -> Path:
    source = write_project(tmp_path / "a b", PROJECT)
    run("cmake", "-G", "Ninja", "-S", source, "-B", source / "build")
    run("ninja", "-C", source / "build")
    return source / "build"


def test_links_of_cmake_are_relinked_and_nothing_else_is_run_again(build: Path) -> None:
    log = (build / "log").read_text()
    assert log == "linked\ncopied\n"
    printed = run("pagefit", "meson", "relink", build)
    assert printed.count("relinked by ld from its recorded link, proved bit for bit") == 2
    # The copy was made by no link; it can still be realigned.
    assert {name: alignments(build / name) for name in ("libplain.so", "main", "copy.elf")} == {
        "libplain.so": {65536},
        "main": {65536},
        "copy.elf": {65536},
    }
    assert (build / "log").read_text() == log
    run(build / "main")
    run(build / "copy.elf")
    assert "no work to do" in run("ninja", "-C", build)


@pytest.mark.parametrize(
    "command",
    [
        ("./make-it", "-o", "main"),
        ("cc", "-o", "other", "main.o"),
        ("cc", "main.o"),
        ("cc", "-o", "main", "main.o", "|", "tee", "log"),
        (":", "&&", ":"),
        ("&&",),
        (),
    ],
)
def test_what_is_no_link_of_this_file_is_not_run(tmp_path: Path, command: tuple[str, ...]) -> None:
    output = tmp_path / "main"
    shutil.copy("/bin/true", output)
    (tmp_path / "make-it").write_text("#!/bin/sh\ntouch ran")
    (tmp_path / "make-it").chmod(0o755)
    with pytest.raises(Unrecorded):
        ninja.Link(output, command, tmp_path).relink(output, tmp_path / "new", 65536)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["main", "make-it"]


@pytest.mark.parametrize("compiler", ["/gone/gcc", "/gone/rustc"])
def test_a_compiler_that_is_gone_is_a_reason_and_no_defect(tmp_path: Path, compiler: str) -> None:
    output = Path(shutil.copy("/bin/true", tmp_path / "main"))
    with pytest.raises(Refused, match="No such file"):
        ninja.Link(output, (compiler, "-o", "main", "x"), tmp_path).relink(output, tmp_path / "new", 65536)


def test_lines_that_only_a_shell_can_read_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "build.ninja").write_text("rule odd\n command = echo don't > $out\nbuild main: odd build.ninja\n")
    output = Path(shutil.copy("/bin/true", tmp_path / "main"))
    (link,) = ninja.links(tmp_path)
    with pytest.raises(Unrecorded):
        link.relink(output, tmp_path / "new", 65536)


def test_a_build_folder_that_ninja_cannot_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "build.ninja").write_text("rule\n")
    with pytest.raises(InputError, match="could not print the build's commands"):
        ninja.links(tmp_path)
