"""Packed relocations: RELR and Android's. What they say, by LLVM's own decoder, is what the original said, moved."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest

from pagefit.elf import dynamic
from pagefit.elf.sections import open_elf
from pagefit.errors import Refused
from pagefit.realign import realign
from pagefit.realign.report import Plan
from support import links64

#: Many pointers to data and code, in no order: addends of all distances.
SOURCE = """
static int values[600];
static int first(void) { return 1; }
static int second(void) { return 2; }
#define TWO(n) {&values[(n) * 37 % 600], n}, {(void *)((n) % 3 ? first : second), n},
#define TEN(n) TWO(n) TWO(n + 1) TWO(n + 2) TWO(n + 3) TWO(n + 4)
#define MANY(n) TEN(n) TEN(n + 5) TEN(n + 10) TEN(n + 15) TEN(n + 20) TEN(n + 25) TEN(n + 30) TEN(n + 35)
struct entry { void *pointer; long number; } entries[] = {MANY(0) MANY(40) MANY(80) MANY(120)};
long run(int x) { return entries[x].number + values[x]; }
"""


def linked(folder: Path, packing: str, source: str = SOURCE) -> Path:
    (folder / "x.c").write_text(source)
    objects = links64.build(links64.CLANG, folder, [folder / "x.c"])
    return links64.link(objects, folder / "x.so", 4096, f"-Wl,--pack-dyn-relocs={packing}", linker="lld")


def decoded(path: Path) -> list[tuple[int, int]]:
    """(place, address) of each relative relocation; the address is 0 where the decoder shows none (RELR)."""
    shown = subprocess.run(["llvm-readelf", "-r", path], check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^([0-9a-f]{16}) .*R_AARCH64_RELATIVE *([0-9a-f]*)", shown, re.MULTILINE)
    return sorted((int(place, 16), int(address or "0", 16)) for place, address in rows)


def moved(address: int, plan: Plan) -> int:
    return address + next((delta for start, end, delta in plan.moved if start <= address < end), 0)


@pytest.mark.parametrize("packing", ["none", "relr", "android"])
def test_every_relocation_says_the_same(packing: str, tmp_path: Path) -> None:
    original = linked(tmp_path, packing)
    before = decoded(original)
    plan = realign(original, tmp_path / "y.so", 65536).plan
    assert len(before) > 300
    assert decoded(tmp_path / "y.so") == [(moved(place, plan), moved(address, plan)) for place, address in before]


def test_a_table_without_room_is_refused(tmp_path: Path) -> None:
    """Before the next section there are 0 to 7 bytes; among tables of many sizes some have too few."""
    refused = 0
    for count in range(1, 9):
        pointers = "".join(f"{{&values[{n * 37 % 600}], first}}, " for n in range(count))
        source = f"static int values[600]; static int first(void) {{ return 1; }} void *entries[][2] = {{{pointers}}};"
        original = linked(tmp_path, "android", source)
        before = decoded(original)
        try:
            plan = realign(original, tmp_path / "y.so", 65536).plan
        except Refused as reason:
            refused += "packed relocations" in str(reason)
        else:
            assert decoded(tmp_path / "y.so") == [
                (moved(place, plan), moved(address, plan)) for place, address in before
            ]
    assert 0 < refused < 8


#: `.got` is the last of RELRO; its word is reached by a load that no linker relaxes, and `.data` begins with pointers.
NEIGHBOURS = """
    .text
    .globl run
    .type run, %function
run: adrp x0, :got:counter
    nop
    ldr x0, [x0, #:got_lo12:counter]
    ldr w0, [x0]
    ret
    .data
    .p2align 3
    .xword counter, counter
counter: .word 1, 2
    .hidden counter
    .section .data.rel.ro, "aw"
    .space FILL
    .section .note.GNU-stack, "", %progbits
"""


def test_a_bitmap_that_must_be_divided_needs_room(tmp_path: Path) -> None:
    """One bitmap names the last word of RELRO and the first of .data, which part: that takes a word more."""

    def linked_with(fill: int) -> Path:
        (tmp_path / "x.S").write_text(NEIGHBOURS.replace("FILL", str(fill)))
        objects = links64.build(links64.GCC, tmp_path, [tmp_path / "x.S"])
        return links64.link(objects, tmp_path / "x.so", 4096, "-nostdlib", "-Wl,--pack-dyn-relocs=relr", linker="lld")

    with open_elf(linked_with(8)) as file:
        fill = 8 - file.by_name[".got"].end % 4096
    original = linked_with(fill % 4096)
    before = decoded(original)
    with open_elf(original) as file:
        table = file.by_name[".relr.dyn"]
        assert file.by_name[".got"].end == file.by_name[".data"].addr
        words = list(file.struct("P").iter_unpack(file.contents(table)))
        row = file.header.shoff + 64 * table.index + 32
        (size,) = (entry.offset + 8 for entry in dynamic.entries(file) if entry.tag == dynamic.DT_RELRSZ)
    plan = realign(original, tmp_path / "y.so", 65536).plan
    assert decoded(tmp_path / "y.so") == [(moved(place, plan), 0) for place, _ in before]
    assert len(words) == 3  # lld has a word to spare, which relocates nothing
    assert words[2] == (1,)
    data = bytearray(original.read_bytes())
    for at in (row, size):
        struct.pack_into("<Q", data, at, 16)
    original.write_bytes(data)
    assert decoded(original) == before
    with pytest.raises(Refused, match=r"RELR table at .* would grow"):
        realign(original, tmp_path / "y.so", 65536)
