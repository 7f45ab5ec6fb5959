"""x86-64: every reference from code into moved pieces (see `pagefit.realign.arch` for the contract).

Code reaches data by RIP-relative operands (`search`) and, through clang's relative lookup tables, by words in read-only
data (`tables`). The large and medium code models form addresses otherwise, and are refused (`models`).
"""

from __future__ import annotations

from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.arch import CodeReferences, RelativeTable
from pagefit.realign.moves import Moves, Piece
from pagefit.realign.moves import moves as ordered
from pagefit.realign.patches import Patch
from pagefit.realign.x86_64 import models
from pagefit.realign.x86_64.decoder import iced
from pagefit.realign.x86_64.operands import window
from pagefit.realign.x86_64.program import program
from pagefit.realign.x86_64.search import operands
from pagefit.realign.x86_64.settle import Settler
from pagefit.realign.x86_64.tables import TableSearch

__all__ = ["references", "verify"]


def references(file: ElfFile, moves: Moves) -> CodeReferences:
    """Find every reference from code into a moved piece. Raises Refused."""
    wanted = window(moves)
    if wanted is None:
        return CodeReferences(())
    decoder = iced(file.where)
    code = program(file)
    models.refuse_distances(code, wanted)
    settler = Settler(file, moves, counts_from_got=any(models.distances(code)))
    found = [settler.patch(o.field, o.target, lea=o.lea) for o in operands(decoder, code, wanted)]
    search = TableSearch(decoder, code, moves, wanted)
    tables = search.tables()
    for table in tables:
        found += (settler.patch(at, to, lea=True, kind="relative table") for at, to in search.entries(table))
    patches = {patch.offset: patch for patch in found if patch}
    report = (RelativeTable(table.entry, table.length, table.reader, table.guard) for table in tables)
    return CodeReferences(tuple(patches[offset] for offset in sorted(patches)), tuple(report))


def verify(before: ElfFile, after: ElfFile, moves: Moves, found: CodeReferences) -> None:
    """Decode the result afresh and prove that every reference leads to the same thing. Raises Refused."""
    back = ordered(Piece(p.start + p.delta, p.end + p.delta, -p.delta) for p in moves.pieces)
    expected = {_address(before, patch.offset): (patch.target + _change(patch), patch.old) for patch in found.patches}
    there = {_address(after, patch.offset): (patch.target, patch.new) for patch in references(after, back).patches}
    for place in sorted(expected.keys() | there.keys()):
        if expected.get(place) != there.get(place):
            raise Refused(
                f"the result fails its proof: the reference at {place:#x} does not lead where it has to",
                where=before.where,
                remedy="Please report this file; nothing was written.",
            )


def _change(patch: Patch) -> int:
    old, new = (int.from_bytes(word, "little", signed=True) for word in (patch.old, patch.new))
    return new - old


def _address(file: ElfFile, offset: int) -> int:
    return next(s.vaddr + offset - s.offset for s in file.image.loads if s.offset <= offset < s.file_end)
