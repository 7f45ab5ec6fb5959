"""Work in forked children: they have what this process has, maps of files among it, and send back what they found.

For work that is Python's own, which threads would not make faster. One job after the other is done here where children
are not safe or not worth it: beside other threads, elsewhere than on Linux, with one processor, inside a child.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from contextlib import suppress
from itertools import chain, islice

from pagefit.processors import processors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Final, NoReturn, TypeVar

    _Result = TypeVar("_Result")
    _Own = TypeVar("_Own")

#: More would be faster on larger machines, but each may hold several times a file in memory.
_MOST: Final = 8
#: Smaller files (bytes) are done before a child would have begun.
_WORTH_A_CHILD: Final = 8_000_000
_CHILDREN: Final[set[int]] = set()


def beside(other: Callable[[], _Result], own: Callable[[], _Own], size: int) -> tuple[_Result, _Own]:
    """The results of two jobs over a file of `size` bytes; `other` is done in a child when it is large enough.

    Raises what a job raises.
    """
    if size < _WORTH_A_CHILD or _processors() < 2:
        return other(), own()
    child = _Child(other)
    try:
        result = own()
    except BaseException:
        child.kill()
        raise
    return child.result(), result


def in_children(jobs: Iterable[Callable[[], _Result]]) -> Iterator[_Result]:
    """The results of jobs, in order; as many jobs at a time as there are processors. A single one is done here.

    Raises what a job raises, when the children that run have ended.
    """
    remaining = iter(jobs)
    first = list(islice(remaining, 2))
    if len(first) < 2 or _processors() < 2:
        yield from (job() for job in chain(first, remaining))
        return
    running: deque[_Child] = deque()
    try:
        for job in chain(first, remaining):
            running.append(_Child(job))
            if len(running) == _processors():
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for child in running:
            child.wait()


def _processors() -> int:
    """How many children may run at once; 1 where none should."""
    if (
        sys.platform != "linux"
        or not hasattr(os, "memfd_create")
        or len(os.listdir("/proc/self/task")) > 1
        or os.getpid() in _CHILDREN
    ):
        return 1
    return min(_MOST, processors())


class _Child:
    """A child that does one job."""

    def __init__(self, job: Callable[[], Any]) -> None:
        self._job = job
        self._pid: int | None = None  # none: the job is done here when its result is asked for
        with suppress(OSError):  # there may be no more memory, or no more processes
            # A pipe would hold up the child until this process has time to read.
            self._answer = os.memfd_create("pagefit")
            try:
                self._pid = os.fork()
            except OSError:
                os.close(self._answer)
        if self._pid == 0:
            _answer(job, self._answer)

    def result(self) -> Any:
        """The job's result. Raises what the job raised."""
        if self._pid is None:
            return self._job()
        # A single job needs them nowhere.
        import pickle
        from mmap import ACCESS_READ, mmap

        with open(self._answer, "rb") as stream:
            if not _ended_well(self._pid):  # it was killed: memory may be short
                return self._job()
            with mmap(stream.fileno(), 0, access=ACCESS_READ) as answer:
                found, error = pickle.loads(answer)
        if error is not None:
            raise error
        return found

    def wait(self) -> None:
        """Let it come to its end; its result is lost."""
        if self._pid is not None:
            os.close(self._answer)
            _ended_well(self._pid)

    def kill(self) -> None:
        """End it."""
        import signal

        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
            self.wait()


def _ended_well(pid: int) -> bool:
    return os.waitpid(pid, 0)[1] == 0


def _answer(job: Callable[[], object], answer: int) -> NoReturn:
    """Do the job and write (result, error); nothing else of this process may go on."""
    status = 1
    try:
        _CHILDREN.add(os.getpid())
        outcome: tuple[object, Exception | None]
        try:
            outcome = job(), None
        except Exception as error:  # whatever it is, it is raised again in the parent
            outcome = None, error
        import pickle

        with open(answer, "wb") as stream:
            pickle.dump(outcome, stream, pickle.HIGHEST_PROTOCOL)
        status = 0
    finally:
        os._exit(status)
