"""Arithmetic on whole columns of numbers: Python's long integers as vectors, one number of fixed width a row.

An operation touches every row at the speed of memory, a hundred times faster than a loop over them. Rows are unsigned
and do not know of each other: a result that is negative or too wide for its row would spoil the next one, so callers
see to it that there is none.
"""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache
from itertools import compress, pairwise
from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
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
        code = _CODES[width]
        if not (isinstance(rows, array) and rows.typecode in ("I", code)):
            rows = array(code, rows if isinstance(rows, tuple) else list(rows))  # twice as fast as from an iterator
        data = _swapped(rows) if sys.byteorder == "big" else rows
        if data.itemsize * 8 < width:
            wide = array("I", bytes(width // 8 * len(rows)))
            wide[::2] = data
            data = wide
        return Column(int.from_bytes(data.tobytes(), "little"), len(rows), width)

    def rows(self) -> array[int]:
        """The numbers."""
        rows = array(_CODES[self.width], self.number.to_bytes(self.length * self.width // 8, "little"))
        return _swapped(rows) if sys.byteorder == "big" else rows

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
        return self._with(self.number + where.number * number)

    def count(self) -> int:
        """How many rows are flagged."""
        return self.number.bit_count()

    def flagged(self) -> list[int]:
        """The numbers of the rows that are flagged, from 0."""
        return list(compress(range(self.length), self.flags()))

    def take(self, numbers: Sequence[int]) -> Column:
        """The rows with these numbers, in their order."""
        return Column.of(take(self.rows(), numbers), self.width)

    def head(self, count: int) -> Column:
        """The first rows, up to all of them."""
        return Column(self.number & (1 << count * self.width) - 1, count, self.width)

    def at_least(self, number: int) -> Column:
        """Which rows are not less than a number, which may be one that no row can hold."""
        return next(self._not_less([number]))

    def parts(self, edges: Sequence[int]) -> list[Column]:
        """Between each two neighbours of ascending numbers: the rows that are not less than the one, but the other."""
        return [here ^ beyond for here, beyond in pairwise(self._not_less(edges))]

    def between(self, first: int, behind: int) -> Column:
        """Which rows are not less than the one number, which is not the larger one, and less than the other."""
        return self.parts([first, behind])[0]

    def _not_less(self, numbers: Iterable[int]) -> Iterator[Column]:
        half = 1 << self.width - 1
        tops = self._all(half)
        topped = self.number | tops
        for number in numbers:
            if not 0 < number < 2 * half:
                yield self._with(self._all(int(number <= 0)))
            elif number <= half:
                yield self._with(((topped - self._all(number) | self.number) & tops) >> self.width - 1)
            else:
                yield self._with((topped - self._all(number - half) & self.number & tops) >> self.width - 1)

    def equals(self, other: Column | int) -> Column:
        """Which rows are those of another column, or a number."""
        ones = self._all(1)
        low = (ones << self.width - 1) - ones
        odd = self.number ^ self._all(other)
        return self._with(((odd & low) + low | odd) >> self.width - 1 & ones ^ ones)

    def _with(self, number: int) -> Column:
        return Column(number, self.length, self.width)

    def _all(self, other: Column | int) -> int:
        """The rows of another column, or a number in every row."""
        return other.number if isinstance(other, Column) else _ones(self.length, self.width) * other


@lru_cache(maxsize=2)
def _ones(length: int, width: int) -> int:
    """A one in every row."""
    return int.from_bytes((1).to_bytes(width // 8, "little") * length, "little")


def take(values: Sequence[int], numbers: Sequence[int]) -> Sequence[int]:
    """The values with these numbers, from 0."""
    return itemgetter(*numbers)(values) if len(numbers) > 1 else [values[number] for number in numbers]


def _swapped(rows: array[int]) -> array[int]:
    rows = rows[:]
    rows.byteswap()
    return rows
