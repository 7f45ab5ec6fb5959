"""aarch64: every reference from code to data that moves, found in the instructions themselves.

Complete because instructions have four bytes and sit on multiples of four: whatever forms an address is one of few
encodings, and is seen. Data between code is told apart by mapping symbols, by the way its words are used, and by unwind
tables; where that leaves a doubt, the file is refused.
"""

from __future__ import annotations

from itertools import chain, zip_longest

from pagefit.children import beside
from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.aarch64.adr import PAIR, adrs, check_pair
from pagefit.realign.aarch64.adrp import adrps, check, shares
from pagefit.realign.aarch64.code import Code
from pagefit.realign.aarch64.literals import literals
from pagefit.realign.aarch64.tables import tables
from pagefit.realign.arch import CodeReferences
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch, WordPatches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def references(file: ElfFile, moves: Moves) -> CodeReferences:
    """Every reference from code to data that moves. Raises Refused (see `pagefit.realign.arch`)."""
    code = Code(file, {})
    parts = shares(code)
    half = len(parts) * 9 // 20  # what is not ADRPs takes time, too

    def own() -> tuple[WordPatches, tuple[Patch, ...]]:
        return adrps(code, parts[:half], moves), tuple(_others(code, moves))

    back, (words, others) = beside(lambda: adrps(code, parts[half:], moves), own, file.image.size)
    words.extend(back)
    return CodeReferences(words, others, {text.section.index: text.rare for text in code.texts})


def verify(before: ElfFile, after: ElfFile, moves: Moves, found: CodeReferences) -> None:
    """Decode what was written, and look for all but ADRPs again. Raises Refused when that does not lead back.

    All other bytes have been proved to be the original's, at its addresses: an ADRP that was not written leads where
    it led. What is rare is looked for where it was found.
    """
    code = Code(after, found.candidates)
    check(code, before, found.words, moves)
    for patch in found.others:
        if patch.kind == PAIR:
            check_pair(after, before.address_of(patch.offset), patch, moves)
    meant = (
        (moves.new(before.address_of(patch.offset)), moves.new(patch.target))
        for patch in found.others
        if patch.kind != PAIR
    )
    seen = ((after.address_of(patch.offset), patch.target) for patch in _others(code, moves.inverse()))
    for one, other in zip_longest(meant, seen):
        if one != other:
            place, _ = one or other or (0, 0)
            raise Refused(f"the result was not proved: the reference at {place:#x} is not as meant", where=after.where)


def _others(code: Code, moves: Moves) -> Iterator[Patch]:
    """All patches but ADRPs, each place once."""
    yield from adrs(code, moves)
    seen: set[int] = set()
    for patch in chain(literals(code, moves), tables(code, moves)):
        if patch.offset not in seen:
            seen.add(patch.offset)
            yield patch
