"""aarch64: every reference from code to data that moves, found in the instructions themselves.

Complete because instructions have four bytes and sit on multiples of four: whatever forms an address is one of few
encodings, and is seen. Data between code is told apart by mapping symbols, by the way its words are used, and by unwind
tables; where that leaves a doubt, the file is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.aarch64.addresses import PAIR, adrps, adrs
from pagefit.realign.aarch64.literals import literals
from pagefit.realign.aarch64.tables import tables
from pagefit.realign.aarch64.text import Code
from pagefit.realign.arch import CodeReferences, RelativeTable
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch, WordPatches


def references(file: ElfFile, moves: Moves) -> CodeReferences:
    """Every reference from code to data that moves. Raises Refused (see `pagefit.realign.arch`)."""
    code = Code(file)
    proved: list[RelativeTable] = []
    return CodeReferences(adrps(code, moves), tuple(_others(code, moves, proved)), tuple(proved))


def verify(before: ElfFile, after: ElfFile, moves: Moves, found: CodeReferences) -> None:
    """Decode the result and look for the way back. Raises Refused when it does not lead to the original."""
    seen = references(after, moves.inverse())
    pairs = [patch for patch in found.others if patch.kind == PAIR]  # each an ADRP in the result
    rest = [patch for patch in found.others if patch.kind != PAIR]
    forth, back = _meanings(before, found.words, moves), _meanings(after, seen.words, None)
    if pairs:
        forth = sorted([*forth, *(_meaning(before, patch, moves) for patch in pairs)])
    _compare(forth, back, after.where)
    _compare(
        [_meaning(before, patch, moves) for patch in rest],
        [_meaning(after, patch, None) for patch in seen.others],
        after.where,
    )


def _compare(meant: list[tuple[int, int]], seen: list[tuple[int, int]], where: str) -> None:
    if meant != seen:
        place = next((one or other)[0] for one, other in zip_longest(meant, seen) if one != other)
        raise Refused(f"the result was not proved: the reference at {place:#x} is not as meant", where=where)


def _others(code: Code, moves: Moves, proved: list[RelativeTable]) -> Iterator[Patch]:
    """All patches but ADRPs, each place once; the tables that were proved on the way go to `proved`."""
    yield from adrs(code, moves)
    seen: set[int] = set()
    for patch in literals(code, moves):
        if patch.offset not in seen:
            seen.add(patch.offset)
            yield patch
    for table, entries in tables(code, moves):
        proved.append(table)
        for patch in entries:
            if patch.offset not in seen:
                seen.add(patch.offset)
                yield patch


def _meaning(file: ElfFile, patch: Patch, moves: Moves | None) -> tuple[int, int]:
    """(address of the place, address it leads to) in the result."""
    place = file.address_of(patch.offset)
    return (place, patch.target) if moves is None else (moves.new(place), moves.new(patch.target))


def _meanings(file: ElfFile, words: WordPatches, moves: Moves | None) -> list[tuple[int, int]]:
    """The same for words in code, which stays where it is."""
    places = file.addresses_of(words.offsets)
    if moves is None:
        return list(zip(places, words.targets, strict=True))
    deltas = moves.deltas(words.targets)
    return [(place, to + (delta or 0)) for place, to, delta in zip(places, words.targets, deltas, strict=True)]
