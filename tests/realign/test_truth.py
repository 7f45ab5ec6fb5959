"""What the linker resolved (`--emit-relocs`) is what pagefit finds in the code: nothing missed, nothing made up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pagefit.realign import realign
from support import links64, truth

SOURCES = Path(__file__).parent / "sources"
LANGUAGES = {
    "c gcc": (links64.GCC, "tls.c", 25),
    "c clang": (links64.CLANG, "tls.c", 25),
    "c++ gcc": (links64.GXX, "exceptions.cc", 25),
    "c++ clang": (links64.CLANGXX, "exceptions.cc", 25),
    "assembly": (links64.GCC, "asm.S", 5),
    "relative tables": (links64.CLANG, "tables.c", 12),
}


@pytest.mark.parametrize("linker", links64.LINKERS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reference_is_found_and_no_other(language: str, linker: str, tmp_path: Path) -> None:
    compiler, source, at_least = LANGUAGES[language]
    objects = links64.build(compiler, tmp_path, [SOURCES / source])
    linked = links64.link(objects, tmp_path / "x.so", 4096, "-Wl,--emit-relocs", linker=linker)
    count, missed, spurious = truth.compare(linked)
    assert count >= at_least
    assert not missed
    assert not spurious


def test_relocations_kept_for_tools_follow(tmp_path: Path) -> None:
    objects = links64.build(links64.GCC, tmp_path, [SOURCES / "tls.c"])
    pair = links64.link_pair(objects, tmp_path, "-Wl,--emit-relocs")
    realign(pair.small, tmp_path / "padded.so", 65536, layout="padded")
    assert relocations(tmp_path / "padded.so") == relocations(pair.large)
    assert any("R_AARCH64_ADR_PREL_PG_HI21" in line for line in relocations(pair.large))


def relocations(path: Path) -> list[str]:
    shown = subprocess.run(["readelf", "-rW", path], check=True, capture_output=True, text=True).stdout
    return [line for line in shown.splitlines() if " at offset " not in line]
