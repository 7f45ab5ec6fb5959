"""The same work on several items at once, results in order: the number of threads never shows in what comes out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

#: Each thread may hold a whole compressed member in memory.
_MOST_THREADS: Final = 4


def in_order(work: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
    """`map` on threads, for work that releases the interpreter's lock; never more results waiting than threads."""
    threads = min(len(items), _MOST_THREADS, os.cpu_count() or 1)
    if threads < 2:
        yield from map(work, items)
        return
    # Imported late: most wheels that change at all have one extension module.
    from concurrent.futures import Future, ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[_Result]] = deque()
        for item in items:
            running.append(pool.submit(work, item))
            if len(running) > threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
