"""ADRP and ADR: the instructions that form addresses from the program counter."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

from pagefit.errors import Refused
from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.aarch64.text import Code, Text
from pagefit.realign.moves import UNIT, Moves, Piece
from pagefit.realign.patches import Patch, WordPatches

#: The kind of a relaxed pair that was made again.
PAIR: Final = "ADR to ADRP+ADD"

#: How far the user of an ADRP is looked for before its function's branches are followed (instructions).
_NEAR: Final = 16
_REMEDY: Final = "Link the file again for the larger page size."


def adrps(code: Code, moves: Moves) -> WordPatches:
    """The ADRPs that lead to what moves. Raises Refused when one may be data, or can't be settled.

    In columns, for a file may have a million of them.
    """
    found = WordPatches("ADRP")
    for text in code.texts:
        indexes = text.find(a64.ADRP_TOPS)
        pages = _pages(text, indexes)
        owners, data = _owners(code, text, indexes, pages, moves)
        hits = [(index, page) for index, page in zip(indexes, pages, strict=True) if page in owners]
        hits = _code_only(code, text, hits, data)
        old = [text.words[index] for index, _ in hits]
        start = text.section.addr
        distances = [page - (start + 4 * index >> 12) + (owners[page].delta >> 12) for index, page in hits]
        for (index, page), distance in zip(hits, distances, strict=True):
            if not -(1 << 20) <= distance < 1 << 20:
                moved = (page << 12) + owners[page].delta
                raise Refused(f"the ADRP at {text.pc(index):#x} cannot reach {moved:#x}", where=code.file.where)
        found.offsets.extend(text.section.offset + 4 * index for index, _ in hits)
        found.old.extend(old)
        # What a64.with_adr_target says, in place.
        found.new.extend(
            word & 0x9F00001F | (distance & 3) << 29 | (distance & 0x1FFFFC) << 3
            for word, distance in zip(old, distances, strict=True)
        )
        found.targets.extend(max(page << 12, owners[page].start) for _, page in hits)
    return found


def _pages(text: Text, indexes: Sequence[int]) -> list[int]:
    """The number of the 4 KiB page that each ADRP leads to."""
    words, start = text.words, text.section.addr
    # What a64.adr_target says, in place.
    return [
        (start + 4 * index >> 12) + ((word >> 3 & 0x1FFFFC | word >> 29 & 3) ^ 0x100000) - 0x100000
        for index in indexes
        for word in (words[index],)
    ]


def _owners(
    code: Code, text: Text, indexes: Sequence[int], pages: Sequence[int], moves: Moves
) -> tuple[dict[int, Piece], set[int]]:
    """The moved pieces that own pages, by the page's number; and the indexes of words that lead nowhere: data."""
    owners: dict[int, Piece] = {}
    gaps: set[int] = set()
    data: set[int] = set()
    low, high = moves.pieces[0].start >> 12, max(piece.end for piece in moves.pieces) >> 12
    for page in set(pages):
        if low <= page <= high:  # no address of this file: data, or a weak symbol that is not there
            owner = moves.page_owner(page << 12)
            if owner is None:
                gaps.add(page)
            elif owner.delta:
                owners[page] = owner
    for index, page in zip(indexes, pages, strict=True) if gaps else ():
        if page in gaps:
            owner = _in_gap(code, text, text.pc(index), page << 12, moves)
            if owner is None:
                data.add(index)
            elif owner.delta:
                owners[page] = owner
    return owners, data


def _code_only(code: Code, text: Text, hits: list[tuple[int, int]], data: set[int]) -> list[tuple[int, int]]:
    """Those of (index, page) whose word is an instruction; `data` are indexes of words that are none."""
    if data:
        hits = [hit for hit in hits if hit[0] not in data]
    words, end = text.words, len(text.words) - 1
    kept: list[tuple[int, int]] = []
    for first, last, marked in code.runs(text):
        run = hits[bisect_left(hits, (first, 0)) : bisect_left(hits, (last, 0))]
        kept += (
            run
            if marked
            else (
                (index, page)
                for index, page in run
                # Most are used at once, which `_is_code` asks, too.
                if (
                    marked is None
                    and index < end
                    and (word := words[index + 1]) >> 5 & 31 == words[index] & 31
                    and (word & 0xFFC00000 == 0x91000000 or word & 0x3B000000 == 0x39000000)
                )
                or _is_code(code, text, index, "ADRP")
            )
        )
    return kept


def adrs(code: Code, moves: Moves) -> Iterator[Patch]:
    """The ADRs that lead to what moves. Raises Refused as `adrps` does."""
    for text in code.texts:
        yield from _adrs(code, text, moves)


def _in_gap(code: Code, text: Text, pc: int, page: int, moves: Moves) -> Piece | None:
    """Whose end an ADRP means that leads to a page where nothing is: `_end` may lie on a page boundary."""
    ends = [piece for piece in moves.pieces if piece.end == page]
    used = code.function(text, pc).low_bits(pc)
    if not used and (code.marked(text, pc) is False or not code.plausible(text, pc)):
        return None  # data
    if ends and used == {0}:
        return ends[0]
    raise Refused(f"the ADRP at {pc:#x} leads to {page:#x}, where nothing is", where=code.file.where, remedy=_REMEDY)


def _adrs(code: Code, text: Text, moves: Moves) -> Iterator[Patch]:
    for index in text.find(a64.ADR_TOPS):
        word, pc = text.words[index], text.pc(index)
        target = a64.adr_target(word, pc)
        owner = _adr_owner(pc, target, moves)
        if owner is None or not owner.delta or not _is_code(code, text, index, "ADR"):
            continue
        moved = target + owner.delta
        new = a64.with_adr_target(word, pc, moved)
        if new is not None:
            yield Patch(text.offset(pc), _bytes(word), _bytes(new), "ADR", max(target, owner.start))
            continue
        # Linkers relax ADRP + ADD to NOP + ADR; out of ADR's reach, the pair is made again.
        if index == 0 or text.words[index - 1] != a64.NOP or pc in code.branch_targets(text):
            raise Refused(f"the ADR at {pc:#x} cannot reach {moved:#x}", where=code.file.where, remedy=_REMEDY)
        register = word & 31
        page = a64.with_adr_target(a64.adrp(register), pc - 4, moved & -UNIT)
        if page is None or register == a64.ZERO:
            raise Refused(f"the ADR at {pc:#x} cannot reach {moved:#x}", where=code.file.where, remedy=_REMEDY)
        pair = _bytes(page) + _bytes(a64.add_immediate(register, moved & UNIT - 1))
        target = max(target & -UNIT, owner.start)
        yield Patch(text.offset(pc - 4), _bytes(a64.NOP) + _bytes(word), pair, PAIR, target)


def _adr_owner(pc: int, target: int, moves: Moves) -> Piece | None:
    """Whose byte, or end, an ADR means.

    Where Cortex-A53's erratum 843419 strikes, at the end of a page, linkers make an ADR of an ADRP: it means a page.
    """
    if pc % UNIT in (0xFF8, 0xFFC) and target % UNIT == 0:
        return moves.page_owner(target)
    return moves.piece(target) or next((piece for piece in moves.moved if piece.end == target), None)


def _is_code(code: Code, text: Text, index: int, name: str) -> bool:
    """Whether a word that looks like ADRP or ADR to moving data is an instruction. Raises Refused in doubt."""
    pc = text.pc(index)
    marked, used = code.marked(text, pc), _used_near(text, index)
    if marked is not None and (marked or not used or code.frame(pc) is None):
        return marked
    # Marked as data, but inside a function and used like an address: marks are missing.
    if marked is None and (used or code.function(text, pc).low_bits(pc)):
        return True
    if not code.plausible(text, pc):
        return False
    if marked is None and code.frame(pc) is not None:
        return True
    raise Refused(
        f"the word at {pc:#x} may be {name} or data",
        where=code.file.where,
        remedy="Keep the mapping symbols ($x, $d), or link the file again for the larger page size.",
    )


def _used_near(text: Text, index: int) -> bool:
    words = text.words
    register = words[index] & 31
    for at in range(index + 1, min(index + 1 + _NEAR, len(words))):
        word = words[at]
        if word >> 5 & 31 == register and (word & 0xFFC00000 == 0x91000000 or word & 0x3B000000 == 0x39000000):
            return True
        if not a64.falls_through(word) or not a64.allocated(word):
            return False
    return False


def _bytes(word: int) -> bytes:
    return word.to_bytes(4, "little")
