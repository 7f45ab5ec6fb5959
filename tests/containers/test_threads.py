"""Work on threads: results in order, errors at their turn."""

from __future__ import annotations

import os
import threading
import time

import pytest

from pagefit.containers.threads import heaviest_first


@pytest.mark.parametrize("processors", [1, 2, 4])
def test_results_keep_their_order_whatever_begins_first(processors: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    items = [3, 900, 1, 40, 900, 2]
    assert list(heaviest_first(lambda item: item * 10, items, lambda item: item)) == [item * 10 for item in items]


def test_the_heaviest_runs_while_the_first_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    heavy_is_done = threading.Event()

    def work(item: int) -> int:
        # In the order of the items, both threads would wait here for the last.
        if item == 100:
            heavy_is_done.set()
        elif not heavy_is_done.wait(20):
            raise TimeoutError
        return item

    assert list(heaviest_first(work, [1, 2, 3, 100], lambda item: item)) == [1, 2, 3, 100]


def test_an_error_comes_at_its_turn_and_ends_what_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 1000:
            raise ValueError("1000")
        if item < 999:
            time.sleep(0.05)
        return item

    results = heaviest_first(work, [999, 1000, *range(200)], lambda item: item)
    assert next(results) == 999
    with pytest.raises(ValueError, match="1000"):
        next(results)
    assert len(begun) < 202
