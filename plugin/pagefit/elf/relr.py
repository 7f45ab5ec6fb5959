"""RELR: relative relocations as addresses and bitmaps (gABI, "Relative relocation table").

An even word is an address to relocate; each odd word behind it stands for the next `bits - 1` words.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def decode(table: Iterable[int], word: int) -> Iterator[list[int]]:
    """The relocated addresses, one list for each address word with its bitmaps. `word` is the word size in bytes."""
    run: list[int] = []
    where = 0
    for entry in table:
        if entry & 1 == 0:
            if run:
                yield run
            run, where = [entry], entry + word
            continue
        bits, at = entry >> 1, where
        while bits:
            if bits & 1:
                run.append(at)
            bits >>= 1
            at += word
        where += (8 * word - 1) * word
    if run:
        yield run


def encode(places: list[int], word: int) -> list[int]:
    """The shortest table for ascending even addresses, as linkers write it."""
    table: list[int] = []
    index = 0
    while index < len(places):
        table.append(places[index])
        where = places[index] + word
        index += 1
        while True:
            bits = 0
            limit = where + (8 * word - 1) * word
            while index < len(places) and places[index] < limit and (places[index] - where) % word == 0:
                bits |= 1 << (places[index] - where) // word
                index += 1
            if not bits:
                break
            table.append(bits << 1 | 1)
            where = limit
    return table
