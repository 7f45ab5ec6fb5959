"""aarch64: every reference from code to data that moves, found in the instructions themselves.

Complete because instructions have four bytes and sit on multiples of four: whatever forms an address is one of few
encodings, and is seen. Data between code is told apart by mapping symbols, by the way its words are used, and by unwind
tables; where that leaves a doubt, the file is refused.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest

from pagefit.children import beside
from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.aarch64.adr import PAIR, adrs
from pagefit.realign.aarch64.adrp import adrps, shares
from pagefit.realign.aarch64.code import Code
from pagefit.realign.aarch64.literals import literals
from pagefit.realign.aarch64.tables import tables
from pagefit.realign.aarch64.text import Candidates
from pagefit.realign.arch import CodeReferences, RelativeTable
from pagefit.realign.columns import Column
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch, WordPatches


def references(file: ElfFile, moves: Moves) -> CodeReferences:
    """Every reference from code to data that moves. Raises Refused (see `pagefit.realign.arch`)."""
    return _references(Code(file, {}), moves)


def verify(before: ElfFile, after: ElfFile, moves: Moves, found: CodeReferences) -> None:
    """Decode the result and look for the way back. Raises Refused when it does not lead to the original.

    Only what was a candidate can be one, and what was written: all other bytes have been proved to be the original's.
    That a word is an instruction was settled by its neighbours, of which no more than immediates have changed.
    """
    pairs = [patch for patch in found.others if patch.kind == PAIR]  # each an ADRP in the result
    rest = [patch for patch in found.others if patch.kind != PAIR]
    places, targets = _places(before, found.words), Column.of(found.words.targets, 64)
    code = Code(after, _with(pairs, found.candidates, before))
    seen = _references(code, moves.inverse(), places)
    meant = [places, moves.carried(targets)[0].rows()]
    if pairs:
        rows = sorted([*zip(*meant, strict=True), *(_meaning(before, patch, moves) for patch in pairs)])
        meant = [array("Q", column) for column in zip(*rows, strict=True)]
    there = [_places(after, seen.words), seen.words.targets]
    if meant != there:
        _compare(zip(*meant, strict=True), zip(*there, strict=True), after.where)
    _compare(
        (_meaning(before, patch, moves) for patch in rest),
        (_meaning(after, patch, None) for patch in seen.others),
        after.where,
    )


def _references(code: Code, moves: Moves, known: Sequence[int] = ()) -> CodeReferences:
    """`known` are ascending addresses of words that are known to be instructions."""
    proved: list[RelativeTable] = []
    parts = shares(code)
    half = len(parts) * 2 // 5  # what is not ADRPs takes time, too

    def own() -> tuple[WordPatches, tuple[Patch, ...]]:
        return adrps(code, parts[:half], moves, known), tuple(_others(code, moves, proved))

    back, (words, others) = beside(lambda: adrps(code, parts[half:], moves, known), own, code.file.image.size)
    words.extend(back)
    return CodeReferences(words, others, tuple(proved), {text.section.index: text.candidates for text in code.texts})


def _with(pairs: Iterable[Patch], candidates: Mapping[int, Candidates], file: ElfFile) -> dict[int, Candidates]:
    """The candidates when pairs have been made again."""
    found = dict(candidates)
    for patch in pairs:
        section = next(s for s in file.executable if s.offset <= patch.offset < s.file_end)
        adrps, rare = found[section.index]
        more = sorted([*adrps, (patch.offset - section.offset) // 4])
        found[section.index] = Candidates(array("I", more), rare)
    return found


def _compare(meant: Iterable[tuple[int, int]], seen: Iterable[tuple[int, int]], where: str) -> None:
    for one, other in zip_longest(meant, seen):
        if one != other:
            place = (one or other or (0, 0))[0]
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


def _places(file: ElfFile, words: WordPatches) -> array[int]:
    """The addresses of words in code."""
    places = offsets = Column.of(words.offsets, 64)
    for section in file.executable:
        here = offsets.between(section.offset, section.file_end)
        places = places.plus(section.addr - section.offset, here)
    return places.rows()


def _meaning(file: ElfFile, patch: Patch, moves: Moves | None) -> tuple[int, int]:
    """(address of the place, address it leads to) in the result."""
    place = file.address_of(patch.offset)
    return (place, patch.target) if moves is None else (moves.new(place), moves.new(patch.target))
