"""The strongest oracle: what pagefit makes of a 4K link is, byte for byte, what the linker makes for 64K."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagefit.loaders.verdict import Verdict
from pagefit.realign import realign
from support import lab, links64

SOURCES = Path(__file__).parent / "sources"
#: A program header table that has grown may have to move to the end of the file (bytes).
ROOM = 12 * 56

LANGUAGES = {
    "c gcc": (links64.GCC, "tls.c"),
    "c clang": (links64.CLANG, "tls.c"),
    "c++ gcc": (links64.GXX, "exceptions.cc"),
    "c++ clang": (links64.CLANGXX, "exceptions.cc"),
    "assembly": (links64.GCC, "asm.S"),
}
KINDS = {
    "lazy": [],
    "now": ["-Wl,-z,now"],
    "relr": ["-Wl,-z,pack-relative-relocs"],
    "stripped": ["-s"],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_result_is_the_linkers_own(language: str, kind: str, tmp_path: Path) -> None:
    compiler, source = LANGUAGES[language]
    pair = links64.link_pair(links64.build(compiler, tmp_path, [SOURCES / source]), tmp_path, *KINDS[kind])
    result = realign(pair.small, tmp_path / "padded.so", 65536, layout="padded")
    assert result.plan.cls == "c"
    assert links64.differences(tmp_path / "padded.so", pair.large) == []
    dense = realign(pair.small, tmp_path / "dense.so", 65536)
    assert dense.plan.cls == "c"
    assert dense.plan.new_size <= dense.plan.old_size + ROOM
    for size in (4096, 65536):
        outcomes = lab.load_all("aarch64", size, [tmp_path / "padded.so", tmp_path / "dense.so"])
        assert {outcome.verdict for outcome in outcomes.values()} == {Verdict.FITS}, outcomes
