"""The strongest oracle on x86-64: what pagefit makes of a 4K link is, byte for byte, GNU ld's own link for 64K."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagefit.realign import realign
from support import links64, x86links

OWN = Path(__file__).parent / "sources"
SHARED = Path(__file__).parent.parent / "sources"
LANGUAGES = {
    "c gcc": (x86links.GCC, OWN / "code.c"),
    "c clang": (x86links.CLANG, OWN / "code.c"),
    "tls": (x86links.GCC, SHARED / "tls.c"),
    "c++ gcc": (x86links.GXX, SHARED / "exceptions.cc"),
    "c++ clang": (x86links.CLANGXX, SHARED / "exceptions.cc"),
    "relative tables": (x86links.CLANG, SHARED / "tables.c"),
    "assembly": (x86links.GCC, OWN / "asm.S"),
    "unwind tables": (x86links.GCC, SHARED / "types.S"),
}
KINDS = {
    "lazy": [],
    "now": ["-Wl,-z,now"],
    "one segment": ["-Wl,-z,noseparate-code"],
    "relr": ["-Wl,-z,pack-relative-relocs"],
    "stripped": ["-s"],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_result_is_the_linkers_own(language: str, kind: str, tmp_path: Path) -> None:
    compiler, source = LANGUAGES[language]
    flags = KINDS[kind]
    objects = x86links.build(compiler, tmp_path, [source])
    small = x86links.link(objects, tmp_path / "small.so", *flags)
    ours = tmp_path / "ours.so"
    assert realign(small, ours, 65536, layout="padded").plan.cls == "c"
    if kind == "one segment":
        linkers = x86links.link(objects, tmp_path / "large.so", *flags, page_size=65536)
    else:
        linkers = x86links.link_like(ours, objects, tmp_path / "like.so", *flags)
    assert links64.differences(ours, linkers) == []
    assert x86links.run(ours) == x86links.run(small)


@pytest.mark.parametrize("debug", ["-gdwarf-4", "-gdwarf-5", "-g3"])
@pytest.mark.parametrize("language", ["c gcc", "c clang", "tls", "c++ gcc", "c++ clang"])
def test_debugging_information_leads_to_the_moved_variables(language: str, debug: str, tmp_path: Path) -> None:
    compiler, source = LANGUAGES[language]
    objects = x86links.build([*compiler, debug], tmp_path, [source])
    small = x86links.link(objects, tmp_path / "small.so")
    ours = tmp_path / "ours.so"
    assert realign(small, ours, 65536, layout="padded").plan.patched["DWARF"]
    assert links64.differences(ours, x86links.link_like(ours, objects, tmp_path / "like.so")) == []
    one_segment = "-Wl,-z,noseparate-code"
    small = x86links.link(objects, tmp_path / "small.so", one_segment)
    large = x86links.link(objects, tmp_path / "large.so", one_segment, page_size=65536)
    realign(small, ours, 65536, layout="padded")
    assert links64.differences(ours, large) == []
