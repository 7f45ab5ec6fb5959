"""Runs of code: which one an address lies in, wherever in 64 bits they lie."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pagefit.realign.x86_64.program import Code, Runs

MEGABYTE = 1 << 20


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 15, 16, MEGABYTE - 5, 1 << 46]), st.integers(1, 40)), max_size=9),
    st.sampled_from([1, 3 * MEGABYTE + 7]),
)
def test_an_address_lies_in_the_run_that_holds_it(layout: list[tuple[int, int]], last: int) -> None:
    runs, place = [], 0x1000
    for gap, length in [*layout, (0, last)]:
        runs.append(Code(place + gap, bytes(length)))
        place += gap + length
    found = Runs(tuple(runs))
    edges = {
        edge + step for run in runs for edge in (run.start, run.end, run.end >> 20 << 20) for step in (-17, -1, 0, 1)
    }
    for address in edges:
        assert found.at(address) is next((run for run in runs if run.start <= address < run.end), None)
