"""The same work on several items at once, results in order: the number of threads never shows in what comes out."""

from __future__ import annotations

import itertools
from collections import deque
from functools import partial

from pagefit.processors import processors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from threading import Event, Thread
    from typing import Any, Final, TypeVar

    _Item = TypeVar("_Item")
    _Result = TypeVar("_Result")

#: What a job weighs for each byte that it hashes, inflates or deflates.
HASHING: Final = 1
INFLATING: Final = 3
DEFLATING: Final = 16
#: More would be faster on larger machines, but each may hold a whole compressed member in memory.
MOST_THREADS: Final = 4
#: Jobs that weigh less together are done before threads have begun.
_WORTH_THREADS: Final = 4 << 20
#: What is lighter than this part of a thread's share can come at the end without keeping the other threads waiting.
_SMALL_CHANGE: Final = 8


def threads() -> int:
    """How many threads to work on: as many as this process may have processors, within reason."""
    return min(MOST_THREADS, processors())


def in_order(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """`map` on threads, for work that releases the interpreter's lock; never more results waiting than threads."""
    remaining = iter(items)
    first = list(itertools.islice(remaining, 2))
    if threads() < 2 or len(first) < 2:
        yield from map(work, itertools.chain(first, remaining))
        return
    # Imported late: most wheels that change at all have one extension module.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads()) as pool:
        running: deque[Future[_Result]] = deque()
        for item in itertools.chain(first, remaining):
            running.append(pool.submit(work, item))
            if len(running) > threads():
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


class Jobs:
    """Jobs of very different weight, done within a `with` block on threads and by whoever waits for a result.

    The heaviest begin first, or the others would wait for one of them at the end; the others begin as they were added,
    or when they are asked for: so jobs can ask for the results of others, and without threads, where there is one
    processor or so little to do that they do not pay, nothing is done before. What a job raises is raised where its
    result is asked for; so is that a job was not done, when nobody had begun it before the block ended. Results wait in
    memory until then, all of them if need be. A job that others ask for must ask for none.
    """

    # Not those of `concurrent.futures`, which imports `logging`: that takes as long as to copy a wheel of average size.

    def __init__(self) -> None:
        self._jobs: list[_Job] = []
        self._waiting: deque[_Job] = deque()
        self._threads: list[Thread] = []
        self._heavy = 0

    def add(self, weight: int, work: Callable[[], _Result]) -> Callable[[], _Result]:
        """Add a job, before the block begins; what to call, once, for its result. Weights are as above."""
        job = _Job(weight, work)
        self._jobs.append(job)
        return partial(self._result, job)

    def __enter__(self) -> None:
        in_all = sum(job.weight for job in self._jobs)
        if threads() < 2 or len(self._jobs) < 2 or in_all < _WORTH_THREADS:
            return
        from threading import Event, Thread

        self._heavy = in_all // (_SMALL_CHANGE * threads())
        ordered = sorted(self._jobs, key=lambda job: job.weight if self._is_heavy(job) else 0, reverse=True)
        self._waiting.extend(ordered)
        for job in ordered:
            job.finished = Event()
        self._threads += [Thread(target=self._work) for _ in range(min(threads(), len(ordered)) - 1)]
        for thread in self._threads:
            thread.start()

    def __exit__(self, *error: object) -> None:
        self._waiting.clear()
        for job in self._jobs:
            job.cancel()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while self._do_next():
            pass

    def _do_next(self) -> bool:
        """Do the next job; False when there is none."""
        try:
            job = self._waiting.popleft()
        except IndexError:
            return False
        job.do()
        return True

    def _is_heavy(self, job: _Job) -> bool:
        return job.weight >= self._heavy

    def _result(self, job: _Job) -> Any:
        if not self._threads or not self._is_heavy(job):
            job.do()
        while job.finished and not job.finished.is_set() and self._do_next():
            pass
        return job.result()


class _Job:
    def __init__(self, weight: int, work: Callable[[], Any]) -> None:
        self.weight = weight
        self.finished: Event | None = None
        self._unbegun = [work]
        self._outcome: Any = None
        self._error: BaseException | None = None

    def do(self) -> None:
        """Do the job, unless it has begun."""
        try:
            work = self._unbegun.pop()
        except IndexError:
            return
        try:
            self._outcome = work()
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):  # an interruption is for whoever does the job, not who asks for it
                raise
        finally:
            if self.finished:
                self.finished.set()

    def cancel(self) -> None:
        """Let nobody wait for the job, unless it has begun."""
        try:
            self._unbegun.pop()
        except IndexError:
            return
        self._error = RuntimeError("the job was not done: the block has ended")
        if self.finished:
            self.finished.set()

    def result(self) -> Any:
        """The result of a job that has begun, when it has ended."""
        if self.finished:
            self.finished.wait()
        if self._error is not None:
            raise self._error
        outcome, self._outcome = self._outcome, None  # whoever asked has it, and may be done with it soon
        return outcome
