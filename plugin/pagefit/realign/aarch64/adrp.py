"""ADRP: the instruction that forms the address of a page from the program counter.

All of them at once, in columns, for a file may have a million.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Final

from pagefit.errors import Refused
from pagefit.realign.aarch64.code import Code
from pagefit.realign.aarch64.text import Text
from pagefit.realign.aarch64.uses import data
from pagefit.realign.columns import Column, take
from pagefit.realign.moves import UNIT, Moves, Piece
from pagefit.realign.patches import WordPatches

#: An ADRP leads this many pages backwards, or one less forwards.
_REACH: Final = 1 << 20
#: Keeps distances above zero while pieces move.
_FAR: Final = 1 << 24
_PAGE: Final = UNIT.bit_length() - 1
#: So many at a time, for the processor's cache to hold them and the code around them.
_AT_ONCE: Final = 1 << 14
_REMEDY: Final = "Link the file again for the larger page size."


def shares(code: Code) -> list[tuple[Text, Sequence[int]]]:
    """All words of a file that may be ADRPs, by their indexes, in shares that are quickly looked at."""
    return [
        (text, text.candidates.adrps[first : first + _AT_ONCE])
        for text in code.texts
        for first in range(0, len(text.candidates.adrps), _AT_ONCE)
    ]


def adrps(code: Code, shares: Iterable[tuple[Text, Sequence[int]]], moves: Moves, known: Sequence[int]) -> WordPatches:
    """The ADRPs in some shares that lead to what moves. Raises Refused when one may be data, or can't be settled.

    `known` are ascending addresses of words that are known to be instructions.
    """
    found = WordPatches("ADRP")
    for text, indexes in shares:
        _find(code, text, list(indexes), moves, known, found)
    return found


def _find(code: Code, text: Text, indexes: list[int], moves: Moves, known: Sequence[int], found: WordPatches) -> None:
    start = text.section.addr
    words = text.at(indexes)
    distances = (words >> 3 & 0x1FFFFC | words >> 29 & 3) ^ _REACH  # in pages, and _REACH more
    pages = distances + ((Column.of(indexes, 32) << 2) + start % UNIT >> _PAGE)
    bias = start // UNIT - _REACH  # what it takes from a row to the number of a page
    moving, new = _carried(code, text, indexes, pages, bias, distances + _FAR, moves)
    if not moving:
        return
    rows = moving.flagged()
    odd = data(code, text, _unknown(text, take(indexes, rows), known), "ADRP")
    if odd:
        rows = [row for row in rows if indexes[row] not in odd]
    chosen, words, pages, new = take(indexes, rows), words.take(rows), pages.take(rows), new.take(rows)
    lost = new.between(_FAR, _FAR + 2 * _REACH) ^ 1
    if lost:
        index = next(compress(chosen, lost.flags()))
        raise Refused(f"the ADRP at {text.pc(index):#x} cannot reach what it leads to", where=code.file.where)
    new = new & 2 * _REACH - 1 ^ _REACH
    found.offsets.extend(((Column.of(chosen, 64) << 2) + text.section.offset).rows())
    found.old.extend(words.rows())
    # What a64.with_adr_target says, for all.
    found.new.extend((words & 0x9F00001F | (new & 3) << 29 | (new & 0x1FFFFC) << 3).rows())
    pages = Column.of(pages.rows(), 64) + bias
    targets = pages << _PAGE
    for piece in moves.moved:
        targets = targets.plus(piece.start % UNIT, pages.equals(piece.start // UNIT))
    found.targets.extend(targets.rows())


def _unknown(text: Text, indexes: Sequence[int], known: Sequence[int]) -> Sequence[int]:
    """Those of some indexes whose addresses are not among ascending ones."""
    places = ((Column.of(indexes, 64) << 2) + text.section.addr).rows()
    first = bisect_left(known, places[0])
    if known[first : first + len(places)] == places:
        return []
    others = frozenset(known)
    return [index for index, place in zip(indexes, places, strict=True) if place not in others]


def _carried(
    code: Code, text: Text, indexes: Sequence[int], pages: Column, bias: int, distances: Column, moves: Moves
) -> tuple[Column, Column]:
    """Flags of the ADRPs that lead to what moves, and the distances to where it moves."""
    moving = gaps = pages ^ pages
    spans = [edge - bias for first, behind, _ in moves.pages for edge in (first, behind)]
    # `_end` may lie on the page behind the last one.
    parts = iter(pages.parts([*spans, max(piece.end for piece in moves.pieces) // UNIT + 1 - bias]))
    for (_, _, piece), here, gap in zip(moves.pages, parts, parts, strict=True):
        gaps |= gap
        if piece.delta:
            moving |= here
            distances = _moved(distances, piece, here)
    # No address of this file, and it is data, or a weak symbol that is not there.
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
