"""A Meson project with one more line: everything it links loads at 64K, stays installed so, and ninja is done."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from support import aarch64
from support.mesons import alignments, run
from support.projects import write_project

PROJECT = {
    "meson.build": """
        project('plain', 'c', 'cpp', version: '1.2')
        PAGEFIT
        helper = static_library('helper', 'helper.c', pic: true)
        lib = shared_library('plain', 'lib.c', link_with: helper, install: true, version: '1.2.0')
        executable('main', 'main.c', link_with: lib, install: true, install_rpath: '$ORIGIN/../lib', DEPENDENCIES)
        shared_module('plug', 'plug.cpp', install: true, DEPENDENCIES)
        executable('generator', 'main.c', link_with: lib, native: false, build_by_default: false)
    """,
    "helper.c": "int helper(int x) { return x + 1; }",
    "lib.c": """
        int helper(int);
        int table[3] = {41, 2, 3};
        const char *names[] = {"a", "b"};
        int plain(int x) { return helper(table[x % 3]); }
    """,
    "main.c": """
        #include <stdio.h>
        int plain(int);
        int main(void) { printf("%d\\n", plain(0)); return 0; }
    """,
    "plug.cpp": """
        #include <string>
        std::string s = "x";
        extern "C" int plug() { return s.size(); }
    """,
}


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Writes the project, puts the subproject in, and sets up a build folder with these arguments."""

    def make(*arguments: str, line: str = "subproject('pagefit')", dependencies: str = "") -> Path:
        text = PROJECT["meson.build"].replace("PAGEFIT", line).replace("DEPENDENCIES", dependencies)
        source = write_project(tmp_path / "a b", {**PROJECT, "meson.build": text})
        run("pagefit", "meson", "add", source)
        run("meson", "setup", source / "build", source, *arguments)
        return source / "build"

    return make


LINKED = ("libplain.so.1.2.0", "main", "libplug.so")


def test_one_line_relinks_after_the_compile_and_ninja_is_done(project: Callable[..., Path]) -> None:
    build = project()
    printed = run("ninja", "-C", build)
    assert "3 ELF files: 3 mended" in printed
    assert {alignment for name in LINKED for alignment in alignments(build / name)} == {65536}
    assert run(build / "main") == "42\n"
    assert "no work to do" in run("ninja", "-C", build)
    assert not (build / "generator").exists()
    # One source changes: one link, and one file to relink.
    (build.parent / "lib.c").write_text((build.parent / "lib.c").read_text().replace("41", "42"))
    assert "3 ELF files: 1 mended, 2 left" in run("meson", "compile", "-C", build)
    assert run(build / "main") == "43\n"
    assert "no work to do" in run("ninja", "-C", build)


def test_installing_keeps_the_alignment_and_the_tarball_holds_what_is_installed(
    project: Callable[..., Path], tmp_path: Path
) -> None:
    build = project("--prefix=/opt/plain", "--libdir=lib", "-Dstrip=true")
    run("ninja", "-C", build)
    run("meson", "install", "-C", build, env={"DESTDIR": str(tmp_path / "root")})
    installed = tmp_path / "root/opt/plain"
    names = ["bin/main", "lib/libplain.so.1.2.0", "lib/libplug.so"]
    assert {alignment for name in names for alignment in alignments(installed / name)} == {65536}
    assert "RUNPATH" in run("readelf", "-d", installed / "bin/main")
    assert ".symtab" not in run("readelf", "-SW", installed / "lib/libplain.so.1.2.0")
    assert run(installed / "bin/main") == "42\n"

    run("meson", "compile", "-C", build, "prebuilt")
    (tarball,) = (build / "prebuilt").glob("*.tar.xz")
    with tarfile.open(tarball) as archive:
        packed = {name.split("/", 1)[-1]: name for name in archive.getnames()}
        for name in names:
            found = next(full for full in packed.values() if full.endswith(name))
            assert archive.extractfile(found).read() == (installed / name).read_bytes()
        links = {name.rpartition("/")[2]: archive.getmember(name).linkname for name in archive.getnames()}
        assert {name: target for name, target in links.items() if target} == {
            "libplain.so": "libplain.so.1",
            "libplain.so.1": "libplain.so.1.2.0",
        }
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    run("tar", "-xJf", tarball, "-C", unpacked)
    assert run(unpacked / "opt/plain/bin/main") == "42\n"


def test_a_page_size_is_an_option(project: Callable[..., Path]) -> None:
    build = project("-Dpagefit:page_size=16K")
    run("ninja", "-C", build)
    assert alignments(build / "main") == {16384}
    run("meson", "configure", build, "-Dpagefit:page_size=64K")
    run("ninja", "-C", build)
    assert alignments(build / "main") == {65536}


def test_flags_reach_what_takes_the_dependency(project: Callable[..., Path]) -> None:
    dependencies = "dependencies: dependency('pagefit')"
    build = project("-Dpagefit:mode=flags", dependencies=dependencies)
    run("ninja", "-C", build)
    assert alignments(build / "main") == {65536}
    assert "PAGEFIT" not in (build / "build.ninja").read_text()


def test_off_changes_nothing(project: Callable[..., Path]) -> None:
    build = project("-Dpagefit:mode=off", dependencies="dependencies: dependency('pagefit')")
    run("ninja", "-C", build)
    assert alignments(build / "main") == {4096}


def test_a_machine_file_needs_no_change_of_the_project(project: Callable[..., Path], tmp_path: Path) -> None:
    build = project(line="")
    machine_file = build.parent / "subprojects/pagefit/pagefit.ini"
    build = build.with_name("zero-touch")
    run("meson", "setup", build, build.parent, "--native-file", machine_file)
    run("ninja", "-C", build)
    assert {alignment for name in LINKED for alignment in alignments(build / name)} == {65536}


@pytest.mark.parametrize("arguments", [("-Db_lto=true",), ("--unity=on",), ("--buildtype=release", "-Db_pie=true")])
def test_ways_of_building(project: Callable[..., Path], arguments: tuple[str, ...]) -> None:
    build = project(*arguments)
    run("ninja", "-C", build)
    assert {alignment for name in LINKED for alignment in alignments(build / name)} == {65536}
    assert run(build / "main") == "42\n"


def test_a_cross_build(project: Callable[..., Path], tmp_path: Path) -> None:
    cross = tmp_path / "aarch64.ini"
    cross.write_text(aarch64.MESON_FILE)
    build = project("--cross-file", str(cross))
    assert "3 ELF files: 3 mended" in run("ninja", "-C", build)
    qemu = ("qemu-aarch64", "-p", "65536", "-L", "/usr/aarch64-linux-gnu")
    assert run(*qemu, build / "main") == "42\n"


def test_a_link_that_cannot_be_mended_fails_the_build_and_leaves_the_file(project: Callable[..., Path]) -> None:
    build = project()
    text = (build / "build.ninja").read_text()
    # A link whose command, run again, gives another file each time; and ET_EXEC cannot be moved without objects.
    script = 'printf "char now[] = \\"%s\\"; int main() {}" $(date +%N) | gcc -no-pie -x c - "$@"'
    (build / "odd.sh").write_text(f"#!/bin/sh\n{script}\n")
    (build / "odd.sh").chmod(0o755)
    marker = "rule PAGEFIT_RELINK"
    edge = "rule odd\n command = ./odd.sh -o $out\n\nbuild odd: odd odd.sh\n\n"
    text = text.replace(marker, edge + marker).replace("PAGEFIT_RELINK | ", "PAGEFIT_RELINK | odd ")
    (build / "build.ninja").write_text(text)
    printed = run("ninja", "-C", build, status=3)
    assert re.search("odd .* NOT MENDED: .*ET_EXEC", printed)


def test_adding_twice_is_fine_and_elsewhere_is_an_error(project: Callable[..., Path], tmp_path: Path) -> None:
    source = project().parent
    run("pagefit", "meson", "add", source)
    assert "no meson.build here" in run("pagefit", "meson", "add", tmp_path, status=2)
    (source / "subprojects/pagefit/mine.txt").touch()
    assert "holds files that are not pagefit's (mine.txt)" in run("pagefit", "meson", "add", source, status=2)
    assert "no build.ninja in this folder" in run("pagefit", "meson", "relink", tmp_path, status=2)
