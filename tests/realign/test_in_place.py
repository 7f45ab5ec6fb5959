"""Where a linker writes addends into the places of RELA relocations, too, both say the same afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection

from pagefit.realign import realign
from support import links64

_R_AARCH64_RELATIVE = 1027

ALIGNED = """
static int values[40];
struct entry { int *pointer; long number; } entries[] = {{values, 1}, {values + 7, 2}, {values + 40, 3}};
int run(int x) { return *entries[x].pointer + values[x]; }
"""
#: The pointers of a packed structure lie at odd addresses.
PACKED = ALIGNED.replace("struct entry", "struct __attribute__((packed)) entry").replace("long number", "char number")


def relative(path: Path) -> list[tuple[int, int, int]]:
    """(place, addend, the word in the place) of each relative relocation, as pyelftools reads them."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        found = []
        for section in elf.iter_sections():
            for one in section.iter_relocations() if isinstance(section, RelocationSection) else ():
                if one["r_info_type"] == _R_AARCH64_RELATIVE:
                    place = one["r_offset"]
                    stream.seek(next(iter(elf.address_offsets(place))))
                    found.append((place, one["r_addend"], int.from_bytes(stream.read(8), "little")))
        return found


@pytest.mark.parametrize("source", [ALIGNED, PACKED], ids=["aligned", "packed"])
def test_words_that_repeat_addends_follow_them(source: str, tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text(source)
    objects = links64.build(links64.CLANG, tmp_path, [tmp_path / "x.c"])
    small = links64.link(objects, tmp_path / "x.so", 4096, "-Wl,--apply-dynamic-relocs", linker="lld")
    before = relative(small)
    assert all(addend == word for _, addend, word in before)
    assert any(place % 8 for place, _, _ in before) == (source is PACKED)
    assert realign(small, tmp_path / "y.so", 65536).plan.patched["RELATIVE, in place"] >= 3
    after = relative(tmp_path / "y.so")
    assert all(addend == word for _, addend, word in after)
    moved = [new[1] - old[1] for old, new in zip(before, after, strict=True)]
    assert sum(change != 0 for change in moved) >= 3
