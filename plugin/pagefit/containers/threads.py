"""The same work on several items at once, results in order: the number of threads never shows in what comes out."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

#: More would be faster on larger machines, but each may hold a whole compressed member in memory.
MOST_THREADS: Final = 4


def in_order(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """`map` on threads, for work that releases the interpreter's lock; never more results waiting than threads."""
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    remaining = iter(items)
    first = list(itertools.islice(remaining, 2))
    if threads < 2 or len(first) < 2:
        yield from map(work, itertools.chain(first, remaining))
        return
    # Imported late: most wheels that change at all have one extension module.
    from concurrent.futures import Future, ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[_Result]] = deque()
        for item in itertools.chain(first, remaining):
            running.append(pool.submit(work, item))
            if len(running) > threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def heaviest_first(
    work: Callable[[_Item], _Result], items: Sequence[_Item], weight: Callable[[_Item], int]
) -> Iterator[_Result]:
    """`map` on threads as `in_order`, for items of very different weight, all of which are there.

    The heavy ones begin first, or the threads would wait for one of them at the end. Results wait in memory for their
    turn, all of them if need be.
    """
    threads = min(MOST_THREADS, os.cpu_count() or 1, len(items))
    if threads < 2:
        yield from map(work, items)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        order = sorted(range(len(items)), key=lambda index: weight(items[index]), reverse=True)
        running = {index: pool.submit(work, items[index]) for index in order}
        try:
            for index in range(len(items)):
                yield running.pop(index).result()
        finally:
            for future in running.values():
                future.cancel()
