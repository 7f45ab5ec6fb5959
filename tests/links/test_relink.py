"""A recorded link, replayed, makes the same file for another page size."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagefit.errors import Refused
from pagefit.links.recipe import Unrecorded
from pagefit.links.replay import relink
from support.links import load_alignments, recorded, shell, write_sources

K64 = 0x10000
LINKERS = ["bfd", "gold", "lld", "mold"]


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("flags", ["", "-flto -g -O2"])
def test_every_linker_and_compiler_relinks_for_64k(tmp_path: Path, compiler: str, linker: str, flags: str) -> None:
    if (compiler, linker, flags[:5]) == ("gcc", "lld", "-flto"):
        flags = "-flto -ffat-lto-objects"  # lld cannot read gcc's own LTO objects
    source = write_sources(tmp_path / "src")
    link = f"{compiler} -fuse-ld={linker} {flags} -shared -fPIC half.c user.c -o lib.so"
    journal = recorded(link, source, tmp_path / "journal")
    with_recorder = (source / "lib.so").read_bytes()
    shell(link, source)
    assert with_recorder == (source / "lib.so").read_bytes()
    result = relink(source / "lib.so", tmp_path / "lib.so", journal, K64)
    assert result.proof == "bit for bit"
    assert load_alignments(tmp_path / "lib.so") == {K64}
    shell(f"{link} -Wl,-z,max-page-size=65536,-z,common-page-size=65536", source)
    assert (tmp_path / "lib.so").read_bytes() == (source / "lib.so").read_bytes()


@pytest.mark.parametrize("linker", LINKERS)
def test_a_page_size_of_the_build_itself_is_overruled(tmp_path: Path, linker: str) -> None:
    source = write_sources(tmp_path / "src")
    link = (
        f"gcc -fuse-ld={linker} -shared -fPIC -Wl,-z,max-page-size=0x1000,-z,common-page-size=0x1000 half.c -o lib.so"
    )
    journal = recorded(link, source, tmp_path / "journal")
    relink(source / "lib.so", tmp_path / "lib.so", journal, K64)
    assert load_alignments(tmp_path / "lib.so") == {K64}


@pytest.mark.parametrize("flags", ["-pie", "-no-pie", "-static", "-static-pie"])
def test_programs_are_relinked_and_run(tmp_path: Path, flags: str) -> None:
    source = write_sources(tmp_path / "src")
    (source / "main.c").write_text("int half(int);\nint main(void) { return half(70) != 42; }\n")
    journal = recorded(f"gcc {flags} half.c main.c -o program", source, tmp_path / "journal")
    relink(source / "program", tmp_path / "program", journal, K64)
    assert load_alignments(tmp_path / "program") == {K64}
    shell("./program", tmp_path)


def test_a_file_that_was_never_linked_here_is_unrecorded(tmp_path: Path) -> None:
    source = write_sources(tmp_path / "src")
    journal = recorded("gcc -shared -fPIC half.c -o lib.so", source, tmp_path / "journal")
    shell("gcc -shared -fPIC user.c -o other.so", source)
    with pytest.raises(Unrecorded, match="no recorded link made this file"):
        relink(source / "other.so", tmp_path / "out.so", journal, K64)
    assert not (tmp_path / "out.so").exists()


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ('__asm__(".section .note.go.buildid,\\"a\\"; .long 0; .text");', "Go has a linker of its own"),
        ('__asm__(".ident \\"rustc version 1.90.0\\"");', "rustc was told which linker to run"),
        ("", "named by -B or --ld-path"),
    ],
)
def test_an_unrecorded_file_tells_who_may_have_linked_it(tmp_path: Path, mark: str, why: str) -> None:
    source = write_sources(tmp_path / "src")
    (source / "half.c").write_text(f"{mark}\nint half(int n) {{ return n / 2; }}\n")
    shell("gcc -shared -fPIC half.c -o lib.so", source)
    journal = recorded("gcc -shared -fPIC user.c -o other.so", source, tmp_path / "journal")
    with pytest.raises(Unrecorded) as caught:
        relink(source / "lib.so", tmp_path / "out.so", journal, K64)
    assert why in str(caught.value)


def test_a_damaged_pin_is_refused(tmp_path: Path) -> None:
    source = write_sources(tmp_path / "src")
    journal = recorded("gcc -shared -fPIC half.c -o lib.so", source, tmp_path / "journal")
    (recipe,) = journal.recipes()
    (pin,) = [digest for digest in recipe.inputs.values() if digest]
    journal.pinned(pin).write_bytes(b"not an object")
    with pytest.raises(Refused, match="copy of an input is damaged"):
        relink(source / "lib.so", tmp_path / "out.so", journal, K64)
    assert not (tmp_path / "out.so").exists()
