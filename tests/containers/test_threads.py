"""Work on threads: the heavy first, results when asked for, errors at their turn."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from pagefit.containers.threads import Jobs

#: As a weight, enough for threads to pay.
MB = 1 << 20


@pytest.fixture(params=[1, 2, 4])
def processors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(request.param))
    return int(request.param)


def test_each_result_is_that_of_its_job_whatever_begins_first(processors: int) -> None:
    jobs = Jobs()
    weights = [3, 9 * MB, 1, 40, 9 * MB, 2]
    results = [jobs.add(weight, partial(str, weight)) for weight in weights]
    with jobs:
        assert [result() for result in results] == [*map(str, weights)]


def test_a_job_can_ask_for_the_results_of_others(processors: int) -> None:
    jobs = Jobs()
    parts = [jobs.add(weight, partial(str, weight)) for weight in (1, 9 * MB, 2)]
    # It begins first, being the heaviest, and on all threads but one there is nothing else to wait for.
    whole = jobs.add(20 * MB, lambda: "".join(part() for part in parts))
    with jobs:
        assert whole() == f"1{9 * MB}2"


def test_with_one_processor_nothing_is_done_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    done: list[int] = []
    jobs = Jobs()
    results = [jobs.add(MB, partial(done.append, number)) for number in range(3)]
    with jobs:
        results[1]()
    assert done == [1]


def test_the_heaviest_begin_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2))
    begun: list[int] = []
    both_run = threading.Barrier(2, timeout=20)

    def work(weight: int) -> None:
        begun.append(weight)
        if weight >= 100 * MB:  # two threads, or this waits in vain
            both_run.wait()

    jobs = Jobs()
    results = [jobs.add(weight, partial(work, weight)) for weight in (1, 100 * MB, 3, 2, 200 * MB)]
    with jobs:
        for result in results:
            result()
    # Whoever asks does what nobody has begun: the first light one may be done before the threads run.
    assert sorted(weight for weight in begun[:3] if weight > 1) == [100 * MB, 200 * MB]
    assert sorted(begun) == [1, 2, 3, 100 * MB, 200 * MB]


def test_an_error_comes_at_its_turn_and_ends_what_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2))
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            raise ValueError("number 1")
        time.sleep(0.05)
        return number

    jobs = Jobs()
    results: list[Callable[[], int]] = [jobs.add(MB, partial(work, number)) for number in range(200)]
    with jobs:
        assert results[0]() == 0
        with pytest.raises(ValueError, match="number 1"):
            results[1]()
    assert len(begun) < 200


def test_a_block_that_an_error_ends_waits_for_no_job_that_nobody_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2))
    jobs, asked = Jobs(), threading.Event()
    parts = [jobs.add(8 * MB, partial(time.sleep, 0.1)) for _ in range(3)]

    def ask_all() -> None:
        asked.set()
        for part in parts:
            part()

    whole = jobs.add(20 * MB, ask_all)

    def fill_the_disk() -> None:
        with jobs:
            asked.wait()
            raise OSError("full")

    def leave() -> None:
        with pytest.raises(OSError, match="full"):
            fill_the_disk()
        with pytest.raises(RuntimeError, match="block has ended"):
            whole()

    thread = threading.Thread(target=leave, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
