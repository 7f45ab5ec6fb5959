"""The code of a file, cut where it is known to start: functions that unwind tables name, and what lies between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from pagefit.elf import dynamic, eh_frame, relocations, symbols
from pagefit.elf.sections import ElfFile

#: Sections that a linker or the start-up files fill with nothing but instructions.
_LINKER_MADE: Final = (".plt", ".iplt", ".init", ".fini")
_DT_INIT: Final = 12
_DT_FINI: Final = 13


@dataclass(frozen=True, slots=True)
class Code:
    """A run of bytes from an address on."""

    start: int
    data: bytes

    @property
    def end(self) -> int:
        """Address behind the last byte."""
        return self.start + len(self.data)


@dataclass(frozen=True)
class Runs:
    """Runs of code, ascending and disjoint."""

    runs: tuple[Code, ...]

    @cached_property
    def _starts(self) -> list[int]:
        return [code.start for code in self.runs]

    @cached_property
    def _blocks(self) -> dict[int, bytearray]:
        """By megabyte, a mark for each 16 bytes of it that a run lies in."""
        found: dict[int, bytearray] = {}
        for run in self.runs:
            for megabyte in range(run.start >> 20, (run.end - 1 >> 20) + 1):
                marks = found.setdefault(megabyte, bytearray(1 << 16))
                first = max(run.start - (megabyte << 20), 0) >> 4
                end = (min(run.end - (megabyte << 20), 1 << 20) - 1 >> 4) + 1
                marks[first:end] = b"\1" * (end - first)
        return found

    def at(self, address: int) -> Code | None:
        """The run that an address lies in."""
        # Large files have millions of branches to ask for, and most lead to no run.
        marks = self._blocks.get(address >> 20)
        if marks is None or not marks[(address & 0xFFFFF) >> 4]:
            return None
        index = bisect_right(self._starts, address) - 1
        return self.runs[index] if index >= 0 and address < self.runs[index].end else None


@dataclass(frozen=True)
class Program:
    """All executable bytes of a file, ascending by address.

    `functions` are instructions from their first byte to their last, as unwind tables say (or the linker that made
    them); `gaps` are the rest: padding, functions without unwind tables, constants.
    """

    file: ElfFile
    sections: Runs
    functions: Runs
    gaps: Runs

    @cached_property
    def entries(self) -> frozenset[int]:
        """Addresses that symbols, the ELF header and the dynamic section give as code."""
        found = {self.file.header.entry}
        tags = dynamic.tags(self.file)
        found.update(tags[tag] for tag in (_DT_INIT, _DT_FINI) if tag in tags)
        for table in symbols.tables(self.file):
            found.update(s.value for s in symbols.symbols(self.file, table) if s.type == symbols.STT_FUNC)
        return frozenset(found)

    @cached_property
    def named(self) -> Runs:
        """Functions in the gaps of which symbols tell the size."""
        spans = {
            (s.value, s.value + s.size)
            for table in symbols.tables(self.file)
            for s in symbols.symbols(self.file, table)
            if s.type == symbols.STT_FUNC and s.size
        }
        found: list[Code] = []
        for start, end in sorted(spans):
            gap = self.gaps.at(start)
            if gap and end <= gap.end and not (found and start < found[-1].end):
                found.append(Code(start, gap.data[start - gap.start : end - gap.start]))
        return Runs(tuple(found))

    @cached_property
    def _relocations(self) -> tuple[relocations.Relocation, ...]:
        return tuple(relocations.relocations(self.file))

    @cached_property
    def relocated(self) -> frozenset[int]:
        """Addresses of the words that the loader writes."""
        return frozenset(relocation.place for relocation in self._relocations)

    @cached_property
    def pointed_at(self) -> frozenset[int]:
        """Addresses that the loader writes into data: of functions, or of anything else."""
        word = self.file.struct("P")
        found = set()
        for relocation in self._relocations:
            if relocation.relative:
                addend = relocation.addend
                if addend is None and (stored := self.file.read(relocation.place, word.size)):
                    (addend,) = word.unpack(stored)
                found.add(addend or 0)
        return frozenset(found)


def program(file: ElfFile) -> Program:
    """Cut the executable sections of a file at its functions. Raises Refused for unwind tables that can't be read."""
    frames = sorted({(frame.start, frame.end) for frame in eh_frame.frames(file)})
    starts = [start for start, _ in frames]
    sections: list[Code] = []
    functions: list[Code] = []
    gaps: list[Code] = []
    for section in file.executable:
        code = Code(section.addr, file.contents(section))
        sections.append(code)
        if section.name.startswith(_LINKER_MADE):
            functions.append(code)
            continue
        inside = frames[bisect_right(starts, section.addr - 1) : bisect_right(starts, section.end - 1)]
        for framed, run in _cut(code, inside):
            (functions if framed else gaps).append(run)
    return Program(file, Runs(tuple(sections)), Runs(tuple(functions)), Runs(tuple(gaps)))


def _cut(code: Code, frames: Sequence[tuple[int, int]]) -> Iterator[tuple[bool, Code]]:
    place = code.start
    for start, end in frames:
        if start < place:
            continue  # Two entries for the same code, as identical code folding leaves them.
        if start > place:
            yield False, Code(place, code.data[place - code.start : start - code.start])
        yield True, Code(start, code.data[start - code.start : end - code.start])
        place = end
    if place < code.end:
        yield False, Code(place, code.data[place - code.start :])
