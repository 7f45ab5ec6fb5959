"""x86-64: every reference from code into moved pieces (see `pagefit.realign.arch` for the contract).

Code reaches data by RIP-relative operands (`search`) and, through clang's relative lookup tables, by words in read-only
data (`tables`). The large and medium code models form addresses otherwise, and are refused (`models`).
"""

from __future__ import annotations

from typing import Final

from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.arch import CodeReferences, RelativeTable
from pagefit.realign.moves import Moves, Piece
from pagefit.realign.moves import moves as ordered
from pagefit.realign.patches import Patch
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
        return CodeReferences(())
    code = program(file)
    settler = _settler(code, moves, wanted)
    found = _operands(code, settler, wanted)
    search = TableSearch(iced(file.where), code, moves, wanted)
    tables = search.tables()
    for table in tables:
        found += (settler.patch(at, to, lea=True, kind=_TABLE) for at, to in search.entries(table))
    patches = {patch.offset: patch for patch in found if patch}
    report = (RelativeTable(table.entry, table.length, table.reader, table.guard) for table in tables)
    return CodeReferences(tuple(patches[offset] for offset in sorted(patches)), tuple(report))


def verify(before: ElfFile, after: ElfFile, moves: Moves, found: CodeReferences) -> None:
    """Decode the result afresh and prove that every reference leads to the same thing. Raises Refused.

    Which tables the code reads, and how far, is not asked again: patches change nothing of it but displacements.
    """
    wanted = window(back := ordered(Piece(p.start + p.delta, p.end + p.delta, -p.delta) for p in moves.pieces))
    if wanted is None:
        return
    code = program(after)
    expected: dict[int, tuple[int, bytes]] = {}
    there: dict[int, tuple[int, bytes]] = {}
    for patch in filter(None, _operands(code, _settler(code, back, wanted), wanted)):
        there[_address(after, patch.offset)] = (patch.target, patch.new)
    for patch in found.patches:
        place, target = _address(before, patch.offset), patch.target + _change(patch)
        expected[place] = (target, patch.old)
        if patch.kind == _TABLE and after.read(place, len(patch.new)) == patch.new:
            there[place] = expected[place]
    for place in sorted(expected.keys() | there.keys()):
        if expected.get(place) != there.get(place):
            raise Refused(
                f"the result fails its proof: the reference at {place:#x} does not lead where it has to",
                where=before.where,
                remedy="Please report this file; nothing was written.",
            )


def _settler(code: Program, moves: Moves, wanted: Window) -> Settler:
    models.refuse_distances(code, wanted)
    return Settler(code.file, moves, counts_from_got=any(models.distances(code)))


def _operands(code: Program, settler: Settler, wanted: Window) -> list[Patch | None]:
    found = operands(iced(code.file.where), code, wanted)
    return [settler.patch(operand.field, operand.target, lea=operand.lea) for operand in found]


def _change(patch: Patch) -> int:
    old, new = (int.from_bytes(word, "little", signed=True) for word in (patch.old, patch.new))
    return new - old


def _address(file: ElfFile, offset: int) -> int:
    return next(s.vaddr + offset - s.offset for s in file.image.loads if s.offset <= offset < s.file_end)
