"""The strongest oracle: what pagefit makes of a 4K link is, byte for byte, what the linker makes for 64K."""

from __future__ import annotations

import re
import subprocess
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
    "c small got": ((*links64.GCC, "-fpic"), "tls.c"),
    "c++ gcc": (links64.GXX, "exceptions.cc"),
    "c++ clang": (links64.CLANGXX, "exceptions.cc"),
    "assembly": (links64.GCC, "asm.S"),
    "unwind tables": (links64.GCC, "types.S"),
}
KINDS = {
    "lazy": [],
    "now": ["-Wl,-z,now"],
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
    # Lazily bound, RELRO ends inside .got.plt, which can't be divided: then the file grows, by less than a page.
    assert dense.plan.new_size <= dense.plan.old_size + (ROOM if kind == "now" else 65536)
    for size in (4096, 65536):
        outcomes = lab.load_all("aarch64", size, [tmp_path / "padded.so", tmp_path / "dense.so"])
        assert {outcome.verdict for outcome in outcomes.values()} == {Verdict.FITS}, outcomes


@pytest.mark.parametrize("debug", ["-gdwarf-4", "-gdwarf-5", "-g3"])
@pytest.mark.parametrize("language", ["c gcc", "c clang", "c++ gcc", "c++ clang"])
def test_debugging_information_leads_to_the_moved_variables(language: str, debug: str, tmp_path: Path) -> None:
    compiler, source = LANGUAGES[language]
    pair = links64.link_pair(links64.build([*compiler, debug], tmp_path, [SOURCES / source]), tmp_path)
    result = realign(pair.small, tmp_path / "padded.so", 65536, layout="padded")
    assert result.plan.patched["DWARF"]
    assert links64.differences(tmp_path / "padded.so", pair.large) == []


@pytest.mark.parametrize(
    "flags", [("-gdwarf-aranges",), ("-gsplit-dwarf",), ("-fdebug-types-section",), ("-gdwarf-5", "-O0")]
)
def test_tables_of_debugging_information_lead_to_the_moved_variables(flags: tuple[str, ...], tmp_path: Path) -> None:
    objects = links64.build([*links64.CLANG, "-g", *flags], tmp_path, [SOURCES / "tls.c"])
    pair = links64.link_pair(objects, tmp_path)
    realign(pair.small, tmp_path / "padded.so", 65536, layout="padded")
    assert links64.differences(tmp_path / "padded.so", pair.large) == []


def test_debugging_information_can_be_left_out(tmp_path: Path) -> None:
    pair = links64.link_pair(links64.build([*links64.GCC, "-g"], tmp_path, [SOURCES / "tls.c"]), tmp_path, "-Wl,-z,now")
    result = realign(pair.small, tmp_path / "x.so", 65536, drop_debug=True)
    assert result.plan.new_size < result.plan.old_size
    assert any("debugging information was left out" in note for note in result.plan.notes)
    shown = subprocess.run(["readelf", "-WSs", tmp_path / "x.so"], capture_output=True, text=True, check=True)
    assert not shown.stderr
    assert not re.search(r"\.debug_\S+ +PROGBITS", shown.stdout)
    assert "chosen_pointer" in shown.stdout
    assert lab.load("aarch64", 65536, tmp_path / "x.so").verdict is Verdict.FITS
