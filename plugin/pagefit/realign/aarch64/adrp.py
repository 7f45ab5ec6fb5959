"""ADRP: the instruction that forms the address of a page from the program counter.

All of them at once, in columns, for a file may have a million.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import compress
from typing import Final

from pagefit.errors import Refused
from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.aarch64.code import Code
from pagefit.realign.aarch64.text import Text
from pagefit.realign.aarch64.uses import instructions
from pagefit.realign.columns import Column
from pagefit.realign.moves import UNIT, Moves, Piece
from pagefit.realign.patches import WordPatches

#: An ADRP leads this many pages backwards, or one less forwards.
_REACH: Final = 1 << 20
#: Keeps distances above zero while pieces move.
_FAR: Final = 1 << 24
_PAGE: Final = UNIT.bit_length() - 1
_REMEDY: Final = "Link the file again for the larger page size."


def adrps(code: Code, moves: Moves, proved: Container[int] = ()) -> WordPatches:
    """The ADRPs that lead to what moves. Raises Refused when one may be data, or can't be settled.

    `proved` are the addresses of words that are known to be instructions.
    """
    found = WordPatches("ADRP")
    for text in code.texts:
        _find(code, text, moves, proved, found)
    return found


def _find(code: Code, text: Text, moves: Moves, proved: Container[int], found: WordPatches) -> None:
    start = text.section.addr
    indexes = text.find(a64.ADRP)
    words = text.at(indexes)
    distances = (words >> 3 & 0x1FFFFC | words >> 29 & 3) ^ _REACH  # in pages, and _REACH more
    pages = distances + ((Column.of(indexes, 32) << 2) + start % UNIT >> _PAGE)
    bias = start // UNIT - _REACH  # what it takes from a row to the number of a page
    moving, new = _carried(code, text, indexes, pages, bias, distances + _FAR, moves)
    if not moving:
        return
    chosen = list(compress(indexes, moving.flags()))
    doubtful = [index for index in chosen if text.pc(index) not in proved]
    data = frozenset(doubtful).difference(instructions(code, text, doubtful, "ADRP"))
    if data:
        moving &= Column.of((index not in data for index in indexes), 32)
        chosen = [index for index in chosen if index not in data]
    words, pages, new = words.only(moving), pages.only(moving), new.only(moving)
    lost = new.between(_FAR, _FAR + 2 * _REACH) ^ 1
    if lost:
        index = next(compress(chosen, lost.flags()))
        raise Refused(f"the ADRP at {text.pc(index):#x} cannot reach what it leads to", where=code.file.where)
    new = new & 2 * _REACH - 1 ^ _REACH
    found.offsets.extend(text.section.offset + 4 * index for index in chosen)
    found.old.extend(words.rows())
    # What a64.with_adr_target says, for all.
    found.new.extend((words & 0x9F00001F | (new & 3) << 29 | (new & 0x1FFFFC) << 3).rows())
    firsts = {piece.start // UNIT - bias: piece.start for piece in moves.moved}
    found.targets.extend(firsts.get(page) or page + bias << _PAGE for page in pages.rows())


def _carried(
    code: Code, text: Text, indexes: Sequence[int], pages: Column, bias: int, distances: Column, moves: Moves
) -> tuple[Column, Column]:
    """Flags of the ADRPs that lead to what moves, and the distances to where it moves."""
    known = moving = pages ^ pages
    for first, behind, piece in moves.pages:
        here = pages.between(first - bias, behind - bias)
        known |= here
        if piece.delta:
            moving |= here
            distances = _moved(distances, piece, here)
    low, high = moves.pieces[0].start // UNIT, max(piece.end for piece in moves.pieces) // UNIT
    # No address of this file, and it is data, or a weak symbol that is not there.
    gaps = pages.between(low - bias, high + 1 - bias) ^ known
    owners: dict[Piece, bytearray] = {}
    for row, page in compress(enumerate(pages.rows()), gaps.flags()) if gaps else ():
        owner = _in_gap(code, text, text.pc(indexes[row]), page + bias << _PAGE, moves)
        if owner is not None and owner.delta:
            owners.setdefault(owner, bytearray(len(indexes)))[row] = 1
    for owner, rows in owners.items():
        here = Column.of(iter(rows), 32)
        moving |= here
        distances = _moved(distances, owner, here)
    return moving, distances


def _moved(distances: Column, piece: Piece, here: Column) -> Column:
    """The distances of some rows to where a piece moves: right up to where none can be reached any more."""
    return distances.plus(max(-4 * _REACH, min(piece.delta // UNIT, 4 * _REACH)), here)


def _in_gap(code: Code, text: Text, pc: int, page: int, moves: Moves) -> Piece | None:
    """Whose end an ADRP means that leads to a page where nothing is: `_end` may lie on a page boundary."""
    ends = [piece for piece in moves.pieces if piece.end == page]
    used = code.function(text, pc).low_bits(pc)
    if not used and (code.marked(text, pc) is False or not code.plausible(text, pc)):
        return None  # data
    if ends and used == {0}:
        return ends[0]
    raise Refused(f"the ADRP at {pc:#x} leads to {page:#x}, where nothing is", where=code.file.where, remedy=_REMEDY)
