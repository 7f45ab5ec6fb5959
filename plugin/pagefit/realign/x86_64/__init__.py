"""x86-64: every reference from code into moved pieces (see `pagefit.realign.arch` for the contract).

Code reaches data by RIP-relative operands (`search`) and, through clang's relative lookup tables, by words in read-only
data (`tables`). The large and medium code models form addresses otherwise, and are refused (`models`).
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import zip_longest
from typing import Final

from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.arch import CodeReferences
from pagefit.realign.moves import Moves
from pagefit.realign.x86_64 import models
from pagefit.realign.x86_64.decoder import iced
from pagefit.realign.x86_64.operands import Window, window
from pagefit.realign.x86_64.program import Program, program
from pagefit.realign.x86_64.search import operands
from pagefit.realign.x86_64.settle import Settler
from pagefit.realign.x86_64.tables import TableSearch

__all__ = ["references", "verify"]


_TABLE: Final = "relative table"


def references(file: ElfFile, moves: Moves) -> CodeReferences:
    """Find every reference from code into a moved piece. Raises Refused."""
    wanted = window(moves)
    if wanted is None:
        return CodeReferences()
    code = program(file)
    settler = _settler(code, moves, wanted)
    words = settler.patches(operands(iced(file.where), code, wanted))
    search = TableSearch(iced(file.where), code, moves, wanted)
    places = (place for table in search.tables() for place in search.entries(table))
    entries = (settler.patch(at, to, lea=True, kind=_TABLE) for at, to in places)
    patches = {patch.offset: patch for patch in entries if patch}
    for offset in patches:
        index = bisect_left(words.offsets, offset - 3)
        if index < len(words) and words.offsets[index] < offset + 4:
            raise Refused(
                f"the word at {file.address_of(offset):#x} is read as an entry of a table, and lies in an instruction",
                where=file.where,
            )
    return CodeReferences(words, tuple(patches.values()))


def verify(before: ElfFile, after: ElfFile, moves: Moves, found: CodeReferences) -> None:
    """Decode the result afresh and prove that every reference leads to the same thing. Raises Refused.

    Which tables the code reads, and how far, is not asked again: patches change nothing of it but displacements.
    """
    wanted = window(back := moves.inverse())
    if wanted is None:
        return
    code = program(after)
    there = _settler(code, back, wanted).patches(operands(iced(after.where), code, wanted))
    expected = found.words
    changes = (_signed(new - old) for old, new in zip(expected.old, expected.new, strict=True))
    moved = [target + change for target, change in zip(expected.targets, changes, strict=True)]
    meant = list(zip(before.addresses_of(expected.offsets), moved, expected.old, strict=True))
    seen = list(zip(after.addresses_of(there.offsets), there.targets, there.new, strict=True))
    if meant != seen:
        odd = next(one or other for one, other in zip_longest(meant, seen) if one != other)
        raise _unproved(odd[0], before.where)
    for patch in found.others:
        place = before.address_of(patch.offset)
        if after.read(place, len(patch.new)) != patch.new:
            raise _unproved(place, before.where)


def _settler(code: Program, moves: Moves, wanted: Window) -> Settler:
    distances = tuple(models.distances(code))
    models.refuse(distances, wanted, code.file.where)
    return Settler(code.file, moves, counts_from_got=bool(distances))


def _signed(change: int) -> int:
    """A difference of two 32-bit words as the signed number that was added."""
    return (change + (1 << 31)) % (1 << 32) - (1 << 31)


def _unproved(place: int, where: str) -> Refused:
    return Refused(
        f"the result fails its proof: the reference at {place:#x} does not lead where it has to",
        where=where,
        remedy="Please report this file; nothing was written.",
    )
