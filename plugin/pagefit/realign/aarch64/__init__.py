"""aarch64: every reference from code to data that moves, found in the instructions themselves.

Complete because instructions have four bytes and sit on multiples of four: whatever forms an address is one of few
encodings, and is seen. Data between code is told apart by mapping symbols, by the way its words are used, and by unwind
tables; where that leaves a doubt, the file is refused.
"""

from __future__ import annotations

from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.aarch64.addresses import addresses
from pagefit.realign.aarch64.literals import literals
from pagefit.realign.aarch64.tables import tables
from pagefit.realign.aarch64.text import Code
from pagefit.realign.arch import CodeReferences
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch


def references(file: ElfFile, moves: Moves) -> CodeReferences:
    """Every reference from code to data that moves. Raises Refused (see `pagefit.realign.arch`)."""
    code = Code(file)
    patches = {patch.offset: patch for patch in addresses(code, moves)}
    patches.update((patch.offset, patch) for patch in literals(code, moves))
    proved = []
    for table, entries in tables(code, moves):
        proved.append(table)
        patches.update((patch.offset, patch) for patch in entries)
    return CodeReferences(tuple(sorted(patches.values())), tuple(proved))


def verify(before: ElfFile, after: ElfFile, moves: Moves, found: CodeReferences) -> None:
    """Decode the result and look for the way back. Raises Refused when it does not lead to the original."""
    back = references(after, moves.inverse())
    meant = {_meaning(before, patch, moves) for patch in found.patches}
    odd = meant ^ {_meaning(after, patch, None) for patch in back.patches}
    if odd:
        raise Refused(
            f"the result was not proved: the reference at {min(odd)[0]:#x} is not as meant", where=after.where
        )


def _meaning(file: ElfFile, patch: Patch, moves: Moves | None) -> tuple[int, int]:
    """(address of the place, address it leads to) in the result."""
    place = file.address_of(patch.offset)
    return (place, patch.target) if moves is None else (moves.new(place), moves.new(patch.target))
