"""Two jobs over one large file at the same time: one of them in a child process, which has the file's map already."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

_Other = TypeVar("_Other")
_Own = TypeVar("_Own")

#: Smaller files (bytes) are done before a child would have begun.
_WORTH_A_CHILD: Final = 8_000_000


def beside(other: Callable[[], _Other], own: Callable[[], _Own], size: int) -> tuple[_Other, _Own]:
    """The results of two jobs over a file of `size` bytes; `other`'s is pickled, when a child does it.

    One after the other where a child is not worth it, or not safe: with threads, and elsewhere than on Linux. Raises
    what a job raises.
    """
    if size < _WORTH_A_CHILD or not _can_fork():
        return other(), own()
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(other, sender)
    os.close(sender)
    with open(receiver, "rb") as stream:
        try:
            result = own()
            answer = stream.read()
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        finally:
            os.waitpid(child, 0)
    if not answer.endswith(pickle.STOP):  # it was killed: memory may be short
        return other(), result
    found, error = pickle.loads(answer)
    if error is not None:
        raise error
    return found, result


def _can_fork() -> bool:
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1 and len(os.listdir("/proc/self/task")) == 1


def _answer(job: Callable[[], object], sender: int) -> NoReturn:
    """Do the job and write (result, error); nothing else of this process may go on."""
    try:
        outcome: tuple[object, Exception | None]
        try:
            outcome = job(), None
        except Exception as error:  # whatever it is, it is raised again in the parent
            outcome = None, error
        with open(sender, "wb") as stream:
            pickle.dump(outcome, stream, pickle.HIGHEST_PROTOCOL)
    finally:
        os._exit(0)
