"""ADR: the instruction that forms the address of a byte from the program counter."""

from __future__ import annotations

from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.aarch64.code import Code
from pagefit.realign.aarch64.text import Text
from pagefit.realign.aarch64.uses import data
from pagefit.realign.moves import UNIT, Moves, Piece
from pagefit.realign.patches import Patch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

#: The kind of a relaxed pair that was made again.
PAIR: Final = "ADR to ADRP+ADD"

_REMEDY: Final = "Link the file again for the larger page size."


def adrs(code: Code, moves: Moves) -> Iterator[Patch]:
    """The ADRs that lead to what moves. Raises Refused when one may be data, or cannot reach the new place."""
    for text in code.texts:
        yield from _adrs(code, text, moves)


def _adrs(code: Code, text: Text, moves: Moves) -> Iterator[Patch]:
    for index in text.of(a64.ADR):
        word, pc = text.words[index], text.pc(index)
        target = a64.adr_target(word, pc)
        owner = _adr_owner(pc, target, moves)
        if owner is None or not owner.delta or data(code, text, [index], text.at([index]), "ADR"):
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


def check_pair(after: ElfFile, place: int, patch: Patch, moves: Moves) -> None:
    """Decode a pair that was made again at an address: it has to lead to where its target is now. Raises Refused."""
    adr = int.from_bytes(patch.old[4:], "little")
    raw = after.read(place, 8) or b""
    page, add = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little")
    register = adr & 31
    as_meant = page & a64.WITHOUT_TARGET == a64.adrp(register) and add & ~(0xFFF << 10) == a64.add_immediate(
        register, 0
    )
    formed = a64.adr_target(page, place) + (add >> 10 & 0xFFF)
    if not as_meant or formed != a64.adr_target(adr, place + 4) + moves.delta(patch.target):
        raise Refused(f"the result was not proved: the pair at {place:#x} is not as meant", where=after.where)


def _adr_owner(pc: int, target: int, moves: Moves) -> Piece | None:
    """Whose byte, or end, an ADR means.

    Where Cortex-A53's erratum 843419 strikes, at the end of a page, linkers make an ADR of an ADRP: it means a page.
    """
    if pc % UNIT in (0xFF8, 0xFFC) and target % UNIT == 0:
        return moves.page_owner(target)
    return moves.piece(target) or next((piece for piece in moves.moved if piece.end == target), None)


def _bytes(word: int) -> bytes:
    return word.to_bytes(4, "little")
