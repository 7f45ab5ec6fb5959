"""The words of executable sections, and a fast search for instructions among them."""

from __future__ import annotations

import sys
from array import array
from functools import cache
from itertools import accumulate, islice

from pagefit.elf.sections import ElfFile, Section
from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.columns import Column, take
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

#: So many words are searched at a time: the lines are short-lived.
_CHUNK: Final = 1 << 15
#: Ends a line at each byte that is not zero.
_LINES: Final = b" " + b"\n" * 255


class Text(NamedTuple):
    """One executable section: its bytes, its words as numbers, and the indexes of those that may be of a64.RARE."""

    section: Section
    data: memoryview
    words: Sequence[int]
    rare: array[int]

    def of(self, form: a64.Form) -> list[int]:
        """The indexes of the words of one of the forms in a64.RARE."""
        return [index for index in self.rare if a64.matches(self.words[index], form)]

    def at(self, indexes: Sequence[int], ahead: int = 0) -> Column:
        """The words at some indexes, or `ahead` words behind them."""
        return Column.of(take(self.words[ahead:], indexes), 32)

    def pc(self, index: int) -> int:
        """The address of a word."""
        return self.section.addr + 4 * index

    def offset(self, pc: int) -> int:
        """The file offset of the word at an address."""
        return self.section.offset + pc - self.section.addr


def texts(file: ElfFile, rare: Mapping[int, array[int]]) -> list[Text]:
    """The executable sections of a file. Those whose rare words are known, by their numbers, are not searched."""
    found = []
    for section in file.executable:
        data = memoryview(file.data)[section.offset : section.offset + section.size // 4 * 4]
        known = rare.get(section.index)
        found.append(Text(section, data, _numbers(data), find(data, *a64.RARE) if known is None else known))
    return found


def find(data: memoryview, *forms: a64.Form) -> array[int]:
    """The indexes of words that may be of one of some forms, going by their upper halves.

    The search runs in C: bytes become sets of forms, and what is in the sets of both bytes of a word ends a line of
    text.
    """
    found = array("I")
    top, second = _marks(forms, 24), _marks(forms, 16)
    alone = min(second) == (1 << len(forms)) - 1  # the other byte never speaks against a form
    top = top.translate(_LINES) if alone else top
    for at in range(0, len(data) // 4, _CHUNK):
        words = bytes(data[4 * at : 4 * (at + _CHUNK)])
        part = words[3::4].translate(top)
        if not alone:
            both = int.from_bytes(part, "little") & int.from_bytes(words[2::4].translate(second), "little")
            part = both.to_bytes(len(part), "little").translate(_LINES)
        lines = part.splitlines(keepends=True)
        if not lines[-1].endswith(b"\n"):
            lines.pop()
        found.extend(array("I", list(islice(accumulate(map(len, lines), initial=at - 1), 1, None))))
    return found


@cache
def _marks(forms: tuple[a64.Form, ...], shift: int) -> bytes:
    """For each value of the byte at a place in a word: the forms that it may belong to, one bit each."""
    return bytes(
        sum(1 << number for number, (mask, value) in enumerate(forms) if byte & mask >> shift == value >> shift & 0xFF)
        for byte in range(256)
    )


def _numbers(data: memoryview) -> Sequence[int]:
    """Instructions as numbers; they are little-endian everywhere."""
    if sys.byteorder == "little":
        return data.cast("I")
    words = array("I", data.tobytes())
    words.byteswap()
    return words
