"""The code of a file: its functions, and what tells code from data in between."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from functools import cached_property

from pagefit.elf import symbols
from pagefit.elf.functions import Functions
from pagefit.elf.sections import ElfFile
from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.aarch64.flow import Function
from pagefit.realign.aarch64.text import Text, find, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

#: A function without unwind table: at most this many bytes around a place are looked at.
_AROUND: Final = 4096


class Code:
    """All executable sections of a file, its functions, and its mapping symbols.

    Sections whose rare words are known, by their numbers, are not searched for them.
    """

    def __init__(self, file: ElfFile, rare: Mapping[int, array[int]]) -> None:
        self.file = file
        self.texts = texts(file, rare)
        self.functions = Functions(file)
        self._targets: dict[int, frozenset[int]] = {}
        self._merged: dict[int, list[tuple[int, bool]]] = {}

    def function(self, text: Text, pc: int) -> Function:
        """The function around an address; where no unwind table tells, the code near it."""
        start, end = self.functions.before(pc) or (0, 0)
        if end <= pc:
            start = max(end, pc - _AROUND)
            end = min(self.functions.after(pc) or text.section.end, pc + _AROUND)
        start = max(start, text.section.addr)
        first = (start - text.section.addr) // 4
        last = min((end - text.section.addr) // 4, len(text.words))
        return Function(text.words[first:last], start, start + 4 * (last - first))

    @cached_property
    def _marks(self) -> list[tuple[int, bool]]:
        """Mapping symbols (ELF for the Arm 64-bit Architecture, 5.5.5): address, and whether code starts there."""
        marks: dict[int, bool] = {}
        for table in symbols.tables(self.file):
            names = symbols.named(self.file, table, rb"\$[xd]")
            for symbol in symbols.symbols(self.file, table, names=names.keys()):
                if symbol.type == symbols.STT_NOTYPE:
                    marks[symbol.value] = names[symbol.name] == b"$x"
        return sorted(marks.items())

    def marks(self, text: Text) -> list[tuple[int, bool]]:
        """The mapping symbols of a section, without those that repeat the one before."""
        if text.section.index not in self._merged:
            merged: list[tuple[int, bool]] = []
            first, last = (bisect_left(self._marks, (a, False)) for a in (text.section.addr, text.section.end))
            for mark in self._marks[first:last]:
                if not merged or merged[-1][1] != mark[1]:
                    merged.append(mark)
            self._merged[text.section.index] = merged
        return self._merged[text.section.index]

    def runs(self, text: Text, indexes: Sequence[int]) -> Iterator[tuple[Sequence[int], bool | None]]:
        """Ascending indexes of words in runs, each with what `marked` says of all of them."""
        marks = self.marks(text)
        first = 0
        while first < len(indexes):
            number = bisect_right(marks, (text.pc(indexes[first]), True))
            behind = len(indexes)
            if number < len(marks):
                behind = bisect_left(indexes, (marks[number][0] - text.section.addr + 3) // 4, first)
            yield indexes[first:behind], marks[number - 1][1] if number else None
            first = behind

    def marked(self, text: Text, pc: int) -> bool | None:
        """What mapping symbols say: True for code, False for data, None when the file has none there."""
        marks = self.marks(text)
        index = bisect_right(marks, (pc, True)) - 1
        return marks[index][1] if index >= 0 else None

    def branch_targets(self, text: Text) -> frozenset[int]:
        """Where the direct branches and calls of a section lead."""
        if text.section.index not in self._targets:
            branches = find(text.data, a64.BRANCH, a64.CONDITIONAL, a64.COMPARE_BRANCH, a64.TEST_BRANCH)
            found = {a64.branch_target(text.words[i], text.pc(i)) for i in branches}
            found |= {text.pc(i) + (a64.signed(text.words[i], 26) << 2) for i in find(text.data, a64.CALL)}
            self._targets[text.section.index] = frozenset(target for target in found if target is not None)
        return self._targets[text.section.index]

    def plausible(self, text: Text, pc: int) -> bool:
        """Whether what follows an address can be run: control leaves before a word that is no instruction."""
        index = (pc - text.section.addr) // 4
        for word in text.words[index:]:
            if not a64.allocated(word):
                return False
            if not a64.falls_through(word) or a64.is_call(word):
                return word >> 16 != 0
        return False
