"""One Meson build for several machines: each link is replayed by its own linker, and nothing else is touched."""

from __future__ import annotations

import re
from pathlib import Path

from support import aarch64
from support.mesons import alignments, run
from support.projects import write_project

PROJECT = {
    "meson.build": """
        project('machines', 'c', version: '1')
        add_languages('c', native: true)
        subproject('pagefit')
        tables = shared_library('tables', 'lib.c', native: true)
        tool = executable('tool', 'tool.c', link_with: tables, native: true)
        generated = custom_target('generated', output: 'generated.c', command: [tool], capture: true)
        lib = shared_library('answer', 'lib.c', generated, install: true)
        executable('main', 'main.c', link_with: lib, install: true)
        executable('same', 'main.c', link_with: tables, native: true, build_by_default: true)
    """,
    "lib.c": "int values[2] = {41, 1}; int *first = values; int sum(void) { return first[0] + first[1]; }",
    "tool.c": """
        #include <stdio.h>
        int sum(void);
        int main(void) { printf("int generated(void) { return %d; }\\n", sum()); return 0; }
    """,
    "main.c": """
        #include <stdio.h>
        int sum(void);
        int main(void) { printf("%d\\n", sum()); return 0; }
    """,
}
WIDTHS = {
    "meson.build": """
        project('widths', 'c', version: '1')
        subproject('pagefit')
        narrow = ['--target=i686-linux-gnu']
        wide = shared_library('wide', 'lib.c')
        executable('main64', 'main.c', link_with: wide)
        small = shared_library('narrow', 'lib.c', c_args: narrow, link_args: narrow)
        executable('main32', 'main.c', c_args: narrow, link_args: narrow, link_with: small)
        shared_library('free', 'free.c', c_args: '-m32', link_args: ['-m32', '-nostdlib'])
    """,
    "free.c": "int free_standing[2] = {1, 2}; int *pointer = free_standing;",
    "lib.c": PROJECT["lib.c"],
    "main.c": PROJECT["main.c"],
}


def configured(folder: Path, files: dict[str, str], *arguments: object, env: dict[str, str] | None = None) -> Path:
    source = write_project(folder / "source", files)
    run("pagefit", "meson", "add", source)
    run("meson", "setup", source / "build", source, *arguments, env=env)
    return source / "build"


def machine(path: Path) -> str:
    return re.search("Machine: +(.*)", run("readelf", "-hW", path)).group(1)


def test_tools_for_the_build_machine_beside_artifacts_for_another(tmp_path: Path) -> None:
    write_project(tmp_path, {"cross.ini": aarch64.MESON_FILE})
    build = configured(tmp_path, PROJECT, "--cross-file", tmp_path / "cross.ini")
    printed = run("ninja", "-C", build)
    assert "Generating generated" in printed
    assert "5 ELF files: 5 mended" in printed
    assert printed.count("from its recorded link, proved bit for bit") == 5
    theirs, ours = ["libanswer.so", "main"], ["libtables.so", "tool", "same"]
    assert {name: alignments(build / name) for name in theirs + ours} == {name: {65536} for name in theirs + ours}
    assert {machine(build / name) for name in theirs} == {"AArch64"}
    assert {machine(build / name) for name in ours} == {"Advanced Micro Devices X86-64"}
    assert run("qemu-aarch64", "-p", "65536", "-L", "/usr/aarch64-linux-gnu", build / "main") == "42\n"
    assert run(build / "same") == "42\n"
    assert "return 42;" in run(build / "tool")
    assert "no work to do" in run("ninja", "-C", build)
    # The tool was relinked, but what it makes is still up to date.
    (build.parent / "main.c").touch()
    assert "Generating generated" not in run("ninja", "-C", build)


def test_32_bit_targets_beside_64_bit_ones(tmp_path: Path) -> None:
    build = configured(tmp_path, WIDTHS, env={"CC": "clang"})
    printed = run("ninja", "-C", build)
    assert printed.count("from its recorded link, proved bit for bit") == 5, printed
    wide, narrow = ["libwide.so", "main64"], ["libnarrow.so", "main32", "libfree.so"]
    assert {name: alignments(build / name) for name in wide + narrow} == {name: {65536} for name in wide + narrow}
    assert {machine(build / name) for name in narrow} == {"Intel 80386"}
    assert run(build / "main64") == "42\n"
    assert run("qemu-i386", "-L", "/usr/i686-linux-gnu", build / "main32") == "42\n"


def test_gccs_m32_beside_its_64_bit_links(tmp_path: Path) -> None:
    text = WIDTHS["meson.build"]
    lines = [line for line in text.splitlines() if "narrow" not in line and "small" not in line]
    build = configured(tmp_path, {**WIDTHS, "meson.build": "\n".join(lines)}, env={"CC": "gcc"})
    printed = run("ninja", "-C", build)
    assert printed.count("relinked by ld from its recorded link, proved bit for bit") == 3, printed
    assert machine(build / "libfree.so") == "Intel 80386"
    assert alignments(build / "libfree.so") == alignments(build / "main64") == {65536}


NESTED = {
    "meson.build": """
        project('outer', 'c', version: '1')
        AT_THE_TOP
        a = subproject('a').get_variable('a_dep')
        executable('outer', 'outer.c', dependencies: a, install: true)
    """,
    "outer.c": '#include <stdio.h>\nint a(void); int main(void) { printf("%d\\n", a()); return 0; }',
    "subprojects/a/meson.build": """
        project('a', 'c', version: '1')
        IN_A
        b = subproject('b').get_variable('b_dep')
        a = shared_library('a', 'a.c', dependencies: b, install: true)
        a_dep = declare_dependency(link_with: a)
    """,
    "subprojects/a/a.c": "int b(void); int a(void) { return b() + 1; }",
    "subprojects/b/meson.build": """
        project('b', 'c', version: '1')
        b = shared_library('b', 'b.c', install: true)
        b_dep = declare_dependency(link_with: b)
        executable('b-tool', 'tool.c')
    """,
    "subprojects/b/b.c": "int b(void) { return 41; }",
    "subprojects/b/tool.c": "int main(void) { return 0; }",
}
NESTED_FILES = ["outer", "subprojects/a/liba.so", "subprojects/b/libb.so", "subprojects/b/b-tool"]


def nested(folder: Path, *, inside: bool) -> Path:
    """The nested project's source, with pagefit declared by its subproject `a` alone, or at the top alone."""
    top, in_a = ("", "subproject('pagefit')") if inside else ("subproject('pagefit')", "")
    files = {name: text.replace("AT_THE_TOP", top).replace("IN_A", in_a) for name, text in NESTED.items()}
    return write_project(folder / "source", files)


def relinked(source: Path, install: Path) -> str:
    build = source / "build"
    run("meson", "setup", build, source, "--prefix=/usr", "--libdir=lib")
    printed = run("ninja", "-C", build)
    assert {name: alignments(build / name) for name in NESTED_FILES} == {name: {65536} for name in NESTED_FILES}
    assert run(build / "outer") == "42\n"
    assert "no work to do" in run("ninja", "-C", build)
    run("meson", "install", "-C", build, env={"DESTDIR": str(install)})
    library_path = {"LD_LIBRARY_PATH": str(install / "usr/lib")}
    assert run(install / "usr/bin/outer", env=library_path) == "42\n"
    assert alignments(install / "usr/lib/libb.so") == {65536}
    return printed


def test_subprojects_of_subprojects(tmp_path: Path) -> None:
    source = nested(tmp_path, inside=False)
    run("pagefit", "meson", "add", source)
    assert "4 ELF files: 4 mended" in relinked(source, tmp_path / "root")


def test_declared_by_a_subproject_alone_it_serves_the_whole_build(tmp_path: Path) -> None:
    source = nested(tmp_path, inside=True)
    # Where `pagefit meson add` puts it in a project that is itself used as a subproject.
    run("pagefit", "meson", "add", source / "subprojects/a")
    assert "4 ELF files: 4 mended" in relinked(source, tmp_path / "root")
    run("meson", "setup", source / "off", source, "-Dpagefit:mode=off")
    run("ninja", "-C", source / "off")
    assert alignments(source / "off/outer") == {4096}
