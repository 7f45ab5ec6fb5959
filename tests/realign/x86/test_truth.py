"""What four linkers resolved (`--emit-relocs`) is what is found in x86-64 code: nothing missed, nothing made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import x86links

OWN = Path(__file__).parent / "sources"
SHARED = Path(__file__).parent.parent / "sources"
LANGUAGES = {
    "c gcc": (x86links.GCC, OWN / "code.c", 40),
    "c clang": (x86links.CLANG, OWN / "code.c", 40),
    "tls gcc": (x86links.GCC, SHARED / "tls.c", 25),
    "tls descriptors": ((*x86links.GCC, "-mtls-dialect=gnu2"), SHARED / "tls.c", 25),
    "branch protection": ((*x86links.GCC, "-fcf-protection=full"), OWN / "code.c", 40),
    "no unwind tables": ((*x86links.GCC, "-fno-asynchronous-unwind-tables"), OWN / "code.c", 40),
    "no plt": ((*x86links.GCC, "-fno-plt"), OWN / "code.c", 40),
    "c++ gcc": (x86links.GXX, SHARED / "exceptions.cc", 25),
    "c++ clang": (x86links.CLANGXX, SHARED / "exceptions.cc", 25),
    "relative tables": (x86links.CLANG, SHARED / "tables.c", 12),
    "assembly": (x86links.GCC, OWN / "asm.S", 15),
}


@pytest.mark.parametrize("linker", x86links.LINKERS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reference_is_found_and_no_other(language: str, linker: str, tmp_path: Path) -> None:
    compiler, source, at_least = LANGUAGES[language]
    objects = x86links.build(compiler, tmp_path, [source])
    linked = x86links.link(objects, tmp_path / "x.so", "-Wl,--emit-relocs", linker=linker)
    count, missed, spurious = x86links.compare(linked)
    assert count >= at_least
    assert {hex(place) for place in missed} == set()
    assert {hex(place) for place in spurious} == set()
