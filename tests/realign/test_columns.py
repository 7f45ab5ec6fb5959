"""Arithmetic on columns says of every row what plain arithmetic says of its number."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from pagefit.realign.columns import Column

WIDTHS = st.sampled_from([32, 64])


@st.composite
def _rows(draw: st.DrawFn) -> tuple[int, list[int], list[int]]:
    """A width, and two columns of it; edges are drawn often."""
    width = draw(WIDTHS)
    top = 1 << width
    edges = st.sampled_from([0, 1, top // 2 - 1, top // 2, top // 2 + 1, top - 1])
    pairs = draw(st.lists(st.tuples(edges | st.integers(0, top - 1), edges | st.integers(0, top - 1)), max_size=9))
    return width, [a for a, _ in pairs], [b for _, b in pairs]


@given(_rows(), st.integers(0, 31), st.data())
def test_bits(rows: tuple[int, list[int], list[int]], bits: int, data: st.DataObject) -> None:
    width, left, right = rows
    a, b, full = Column.of(left, width), Column.of(right, width), (1 << width) - 1
    number = data.draw(st.integers(0, full))
    assert list((a & b).rows()) == [x & y for x, y in zip(left, right, strict=True)]
    assert list((a | b).rows()) == [x | y for x, y in zip(left, right, strict=True)]
    assert list((a ^ number).rows()) == [x ^ number for x in left]
    assert list((a << bits).rows()) == [x << bits & full for x in left]
    assert list((a >> bits).rows()) == [x >> bits for x in left]


@given(_rows(), st.data())
def test_comparisons(rows: tuple[int, list[int], list[int]], data: st.DataObject) -> None:
    width, left, right = rows
    column, other = Column.of(left, width), Column.of(right, width)
    somewhere = st.integers(-(1 << width + 1), 1 << width + 1) | st.sampled_from([*left, 1 << width - 1, 0])
    first, behind = sorted([data.draw(somewhere), data.draw(somewhere)])
    assert list(column.at_least(first).flags()) == [x >= first for x in left]
    assert list(column.between(first, behind).flags()) == [first <= x < behind for x in left]
    assert list(column.equals(other).flags()) == [x == y for x, y in zip(left, right, strict=True)]
    assert bool(column) == any(left)


@given(_rows(), st.integers(-(2**20), 2**20))
def test_numbers_are_added_where_it_is_said(rows: tuple[int, list[int], list[int]], change: int) -> None:
    width, left, right = rows
    fits = [x for x in left if 0 <= x + change < 1 << width]
    chosen = [y & 1 for y in right[: len(fits)]]
    added = Column.of(fits, width).plus(change, Column.of(chosen, width))
    assert list(added.rows()) == [x + change * flag for x, flag in zip(fits, chosen, strict=True)]
    if change >= 0:
        assert list((Column.of(fits, width) + change).rows()) == [x + change for x in fits]


def test_an_array_is_taken_as_it_is() -> None:
    rows = array("I", [1, 0x80000000, 7])
    assert Column.of(rows, 32).rows() == rows
    assert Column.of(rows, 64).rows() == array("Q", rows)


def test_rows_are_chosen_by_flags() -> None:
    column = Column.of([5, 1, 7, 0], 32)
    assert column.at_least(2).flagged() == [0, 2]
    assert list(column.take([2, 0]).rows()) == [7, 5]
    assert list(column.take([3]).rows()) == [0]
    assert list(column.take([]).rows()) == []
