"""The result runs as the original does, at 4K and at 64K, under the real loader."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pagefit.realign import realign
from support import lab, links64

SOURCES = Path(__file__).parent / "sources"
MAIN = """
#include <stdio.h>
#ifdef __cplusplus
extern "C"
#endif
int run(int);
int main(void) { for (int i = -3; i < 9; i++) printf("%d ", run(i)); puts(""); return 0; }
"""
LANGUAGES = {
    "c": (links64.GCC, "tls.c"),
    "c clang": (links64.CLANG, "tls.c"),
    "c++": (links64.GXX, "exceptions.cc"),
    "threads": (links64.GCC, "threads.c"),
    "tables": (links64.CLANG, "tables.c"),
    "distances in text": (links64.GCC, "distances.S"),
}
FLAGS = {
    "bfd": ["-fuse-ld=bfd"],
    "bfd now": ["-fuse-ld=bfd", "-Wl,-z,now"],
    "lld": ["-fuse-ld=lld"],
    "mold": ["-fuse-ld=mold"],
}


def output(program: Path, page_size: int, env: dict[str, str] | None = None) -> str:
    result = lab.run("aarch64", page_size, [program], env)
    assert result.returncode == 0, result
    return result.stdout


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_and_its_library_run(language: str, flags: str, tmp_path: Path) -> None:
    """A position-independent program with its library beside it: both relinked, same output at 4K and 64K."""
    compiler, source = LANGUAGES[language]
    (tmp_path / "main.c").write_text(MAIN)
    link = ["clang++", "--target=aarch64-linux-gnu", "-Wl,-z,max-page-size=4096", *FLAGS[flags]]
    program, library = tmp_path / "program", tmp_path / "librun.so"
    (source_object,) = links64.build(compiler, tmp_path, [SOURCES / source])
    (main_object,) = links64.build(links64.GCC, tmp_path, [tmp_path / "main.c"])
    subprocess.run([*link, "-shared", "-o", library, source_object], check=True)
    rpath = "-Wl,-rpath,$ORIGIN"
    subprocess.run([*link, "-pie", "-o", program, main_object, library, rpath], check=True)
    expected = lab.run("aarch64", 4096, [program]).stdout
    assert len(expected.split()) == 12
    for path in (program, library):
        assert realign(path, path, 65536).plan.cls == "c"
    assert output(program, 4096) == expected
    assert output(program, 65536) == expected


@pytest.mark.parametrize("flags", FLAGS)
def test_a_program_with_everything_in_itself_runs(flags: str, tmp_path: Path) -> None:
    """PT_INTERP and PT_PHDR, IFUNC, TLS and constructors in the program itself."""
    (tmp_path / "main.c").write_text(MAIN)
    objects = links64.build(links64.CLANG, tmp_path, [tmp_path / "main.c", SOURCES / "tls.c"])
    link = ["clang", "--target=aarch64-linux-gnu", "-pie", "-Wl,-z,max-page-size=4096", *FLAGS[flags]]
    program = tmp_path / "program"
    subprocess.run([*link, "-o", program, *objects], check=True)
    expected = output(program, 4096)
    assert realign(program, program, 65536).plan.cls == "c"
    assert output(program, 4096) == expected
    assert output(program, 65536) == expected


@pytest.mark.parametrize("flags", FLAGS)
def test_exceptions_and_threads_cross_libraries(flags: str, tmp_path: Path) -> None:
    """One library throws and counts in thread-local storage, another catches and reads the counter."""
    (tmp_path / "main.c").write_text(MAIN)
    link = ["clang++", "--target=aarch64-linux-gnu", "-Wl,-z,max-page-size=4096", *FLAGS[flags]]
    thrown, caught = links64.build(links64.GXX, tmp_path, [SOURCES / "thrower.cc", SOURCES / "catcher.cc"])
    (main,) = links64.build(links64.GCC, tmp_path, [tmp_path / "main.c"])
    thrower, catcher, program = tmp_path / "libthrower.so", tmp_path / "libcatcher.so", tmp_path / "program"
    subprocess.run([*link, "-shared", "-o", thrower, thrown], check=True)
    subprocess.run([*link, "-shared", "-o", catcher, caught, thrower], check=True)
    subprocess.run([*link, "-pie", "-o", program, main, catcher, thrower], check=True)
    expected = output(program, 4096)
    # Three integers, nothing, a string, nothing, two of the standard's exceptions, four of the library's own.
    assert expected == "2999 3002 3005 8 4014 12 2019 2021 1023 1026 1029 1032 \n"
    for path in (program, thrower, catcher):
        assert realign(path, path, 65536).plan.cls == "c"
    assert output(program, 4096) == expected
    assert output(program, 65536) == expected
