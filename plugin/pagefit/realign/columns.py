"""Arithmetic on whole columns of numbers: Python's long integers as vectors, one number of fixed width a row.

An operation touches every row at the speed of memory, a hundred times faster than a loop over them. Rows are unsigned
and do not know of each other: a result that is negative or too wide for its row would spoil the next one, so callers
see to it that there is none.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from functools import lru_cache
from itertools import compress
from typing import Final

_CODES: Final = {32: "I", 64: "Q"}


class Column:
    """`length` numbers of `width` bits (32 or 64), in one `number`. Comparisons give flags: 0 or 1 in each row."""

    __slots__ = ("length", "number", "width")

    def __init__(self, number: int, length: int, width: int) -> None:
        self.number, self.length, self.width = number, length, width

    @staticmethod
    def of(rows: Iterable[int], width: int) -> Column:
        """The column of some numbers."""
        return Column.read(array(_CODES[width], rows).tobytes(), width)

    @staticmethod
    def read(data: bytes, width: int) -> Column:
        """The column that lies in memory, in the order of this machine's bytes."""
        if sys.byteorder == "big":
            data = _swapped(data, width)
        return Column(int.from_bytes(data, "little"), 8 * len(data) // width, width)

    def rows(self) -> array[int]:
        """The numbers."""
        data = self.number.to_bytes(self.length * self.width // 8, "little")
        return array(_CODES[self.width], _swapped(data, self.width) if sys.byteorder == "big" else data)

    def flags(self) -> bytes:
        """One byte for each row of flags, as `itertools.compress` takes them."""
        return self.number.to_bytes(self.length * self.width // 8, "little")[:: self.width // 8]

    def __bool__(self) -> bool:
        """Whether any row is not zero."""
        return self.number != 0

    def __and__(self, other: Column | int) -> Column:
        return self._with(self.number & self._all(other))

    def __or__(self, other: Column | int) -> Column:
        return self._with(self.number | self._all(other))

    def __xor__(self, other: Column | int) -> Column:
        return self._with(self.number ^ self._all(other))

    def __add__(self, other: Column | int) -> Column:
        return self._with(self.number + self._all(other))

    def __lshift__(self, bits: int) -> Column:
        return self._with((self.number & self._all((1 << self.width - bits) - 1)) << bits)

    def __rshift__(self, bits: int) -> Column:
        return self._with(self.number >> bits & self._all((1 << self.width - bits) - 1))

    def plus(self, number: int, where: Column) -> Column:
        """The column with a number, which may be negative, added to the rows that are flagged."""
        change = where.number * abs(number)
        return self._with(self.number + change if number >= 0 else self.number - change)

    def only(self, where: Column) -> Column:
        """The rows that are flagged, without the others."""
        return Column.of(compress(self.rows(), where.flags()), self.width)

    def at_least(self, number: int) -> Column:
        """Which rows are not less than a number, which may be one that no row can hold."""
        half = 1 << self.width - 1
        if not 0 < number < 2 * half:
            return self._with(self._all(int(number <= 0)))
        tops = self._all(half)
        tested = (self.number | tops) - self._all(number if number <= half else number - half)
        tested = tested | self.number if number <= half else tested & self.number
        return self._with((tested & tops) >> self.width - 1)

    def between(self, first: int, behind: int) -> Column:
        """Which rows are `first` or more and less than `behind`."""
        return self.at_least(first) ^ self.at_least(max(first, behind))

    def equals(self, other: Column | int) -> Column:
        """Which rows are those of another column, or a number."""
        odd = self.number ^ self._all(other)
        low = self._all((1 << self.width - 1) - 1)
        differ = ((odd & low) + low | odd) >> self.width - 1 & self._all(1)
        return self._with(differ ^ self._all(1))

    def _with(self, number: int) -> Column:
        return Column(number, self.length, self.width)

    def _all(self, other: Column | int) -> int:
        """The rows of another column, or a number in every row."""
        return other.number if isinstance(other, Column) else _ones(self.length, self.width) * other


@lru_cache(maxsize=2)
def _ones(length: int, width: int) -> int:
    """A one in every row."""
    return int.from_bytes((1).to_bytes(width // 8, "little") * length, "little")


def _swapped(data: bytes, width: int) -> bytes:
    rows = array(_CODES[width], data)
    rows.byteswap()
    return rows.tobytes()
