"""ADRP: the instruction that forms the address of a page from the program counter.

All of them at once, in columns, for a file may have a million.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import compress

from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.aarch64.code import Code
from pagefit.realign.aarch64.text import Text, find
from pagefit.realign.aarch64.uses import data
from pagefit.realign.columns import Column, take
from pagefit.realign.moves import UNIT, Moves, Piece
from pagefit.realign.patches import WordPatches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

#: An ADRP leads this many pages backwards, or one less forwards.
_REACH: Final = 1 << 20
#: Keeps distances above zero while pieces move.
_FAR: Final = 1 << 24
_PAGE: Final = UNIT.bit_length() - 1
#: So many at a time, for the processor's cache to hold them and the code around them.
_AT_ONCE: Final = 1 << 14
_REMEDY: Final = "Link the file again for the larger page size."


def shares(code: Code) -> list[tuple[Text, array[int]]]:
    """All words of a file that may be ADRPs, by their indexes, in shares that are quickly looked at."""
    found = [(text, find(text.data, a64.ADRP)) for text in code.texts]
    return [(text, all_[first : first + _AT_ONCE]) for text, all_ in found for first in range(0, len(all_), _AT_ONCE)]


def adrps(code: Code, shares: Iterable[tuple[Text, array[int]]], moves: Moves) -> WordPatches:
    """The ADRPs in some shares that lead to what moves. Raises Refused when one may be data, or can't be settled."""
    found = WordPatches("ADRP")
    for text, indexes in shares:
        _find(code, text, indexes, moves, found)
    return found


def check(code: Code, before: ElfFile, patches: WordPatches, moves: Moves) -> None:
    """Decode what was written: each word has to be an ADRP that leads to where its target is now. Raises Refused."""
    for text in code.texts:
        section = before.sections[text.section.index]
        start, end = (bisect_left(patches.offsets, offset) for offset in (section.offset, section.file_end))
        for first in range(start, end, _AT_ONCE):
            last = min(first + _AT_ONCE, end)
            places = Column.of(patches.offsets[first:last], 64) + (section.addr - section.offset)
            words = text.at(((places + -section.addr) >> 2).rows())
            pages = (places >> _PAGE) + Column.of(_distances(words).rows(), 64) + -_REACH
            targets, _ = moves.carried(Column.of(patches.targets[first:last], 64))
            if pages ^ (targets >> _PAGE) or (words ^ Column.of(patches.old[first:last], 32)) & a64.WITHOUT_TARGET:
                place = places.rows()[0]
                raise Refused(
                    f"the result was not proved: of the ADRPs from {place:#x} on, one is not as meant",
                    where=code.file.where,
                )


def _find(code: Code, text: Text, indexes: array[int], moves: Moves, found: WordPatches) -> None:
    start = text.section.addr
    words = text.at(indexes)
    distances = _distances(words)
    pages = distances + _pages(text, indexes)
    bias = start // UNIT - _REACH  # what it takes from a row to the number of a page
    moving, new = _carried(code, text, indexes, pages, bias, distances + _FAR, moves)
    if not moving:
        return
    indexes, (words, pages, new) = _those(moving, indexes, (words, pages, new))
    odd = data(code, text, indexes, words, "ADRP")
    if odd:
        kept = Column.of((index not in odd for index in indexes), 32)
        indexes, (words, pages, new) = _those(kept, indexes, (words, pages, new))
    lost = new.between(_FAR, _FAR + 2 * _REACH) ^ 1
    if lost:
        index = next(compress(indexes, lost.flags()))
        raise Refused(f"the ADRP at {text.pc(index):#x} cannot reach what it leads to", where=code.file.where)
    new = new & 2 * _REACH - 1 ^ _REACH
    found.offsets.extend(((Column.of(indexes, 64) << 2) + text.section.offset).rows())
    found.old.extend(words.rows())
    # What a64.with_adr_target says, for all.
    found.new.extend((words & a64.WITHOUT_TARGET | (new & 3) << 29 | (new & 0x1FFFFC) << 3).rows())
    targets = Column.of(pages.rows(), 64) + bias << _PAGE
    for piece in moves.moved:
        number = piece.start // UNIT - bias
        if piece.start % UNIT and number in range(1 << 32):
            here = pages.equals(number)
            targets = targets.plus(piece.start % UNIT, Column.of(here.rows(), 64))
    found.targets.extend(targets.rows())


def _distances(words: Column) -> Column:
    """How many pages ADRPs lead forwards, and _REACH more."""
    return (words >> 3 & 0x1FFFFC | words >> 29 & 3) ^ _REACH


def _pages(text: Text, indexes: array[int]) -> Column:
    """In which page of a section words lie, its first one being 0."""
    return (Column.of(indexes, 32) << 2) + text.section.addr % UNIT >> _PAGE


def _those(rows: Column, indexes: array[int], columns: Sequence[Column]) -> tuple[array[int], list[Column]]:
    """The rows that are flagged."""
    chosen = rows.flagged()
    if len(chosen) == len(indexes):
        return indexes, list(columns)
    return array("I", take(indexes, chosen)), [column.take(chosen) for column in columns]


def _carried(
    code: Code, text: Text, indexes: Sequence[int], pages: Column, bias: int, distances: Column, moves: Moves
) -> tuple[Column, Column]:
    """Flags of the ADRPs that lead to what moves, and the distances to where it moves."""
    moving = gaps = pages ^ pages
    spans = [edge - bias for first, behind, _ in moves.pages for edge in (first, behind)]
    # `_end` may lie on the page behind the last one; and no word may come to lead to what was not there.
    end = max(piece.end + max(piece.delta, 0) for piece in moves.pieces)
    parts = iter(pages.parts([*spans, end // UNIT + 1 - bias]))
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
