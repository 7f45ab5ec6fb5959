"""aarch64: every reference from code to data that moves, found in the instructions themselves.

Complete because instructions have four bytes and sit on multiples of four: whatever forms an address is one of few
encodings, and is seen. Data between code is told apart by mapping symbols, by the way its words are used, and by unwind
tables; where that leaves a doubt, the file is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.aarch64.addresses import PAIR, addresses
from pagefit.realign.aarch64.literals import literals
from pagefit.realign.aarch64.tables import tables
from pagefit.realign.aarch64.text import Code
from pagefit.realign.arch import CodeReferences, RelativeTable
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch


def references(file: ElfFile, moves: Moves) -> CodeReferences:
    """Every reference from code to data that moves. Raises Refused (see `pagefit.realign.arch`)."""
    proved: list[RelativeTable] = []
    return CodeReferences(tuple(_patches(file, moves, proved)), tuple(proved))


def verify(before: ElfFile, after: ElfFile, moves: Moves, found: CodeReferences) -> None:
    """Decode the result and look for the way back. Raises Refused when it does not lead to the original."""
    forth: Iterator[tuple[int, int]] = (_meaning(before, patch, moves) for patch in found.patches)
    back: Iterator[tuple[int, int]] = (_meaning(after, patch, None) for patch in _patches(after, moves.inverse(), []))
    if any(patch.kind == PAIR for patch in found.patches):  # an ADRP in the result, which is found earlier
        forth, back = iter(sorted(forth)), iter(sorted(back))
    for meant, seen in zip_longest(forth, back):
        if meant != seen:
            place = (meant or seen)[0]
            raise Refused(f"the result was not proved: the reference at {place:#x} is not as meant", where=after.where)


def _patches(file: ElfFile, moves: Moves, proved: list[RelativeTable]) -> Iterator[Patch]:
    """All patches, each place once; the tables that were proved on the way go to `proved`."""
    code = Code(file)
    yield from addresses(code, moves)
    seen: set[int] = set()
    for patch in literals(code, moves):
        if patch.offset not in seen:
            seen.add(patch.offset)
            yield patch
    for table, entries in tables(code, moves):
        proved.append(table)
        for patch in entries:
            if patch.offset not in seen:
                seen.add(patch.offset)
                yield patch


def _meaning(file: ElfFile, patch: Patch, moves: Moves | None) -> tuple[int, int]:
    """(address of the place, address it leads to) in the result."""
    place = file.address_of(patch.offset)
    return (place, patch.target) if moves is None else (moves.new(place), moves.new(patch.target))
