"""Jobs in children give what they give one by one. In processes of their own: children need a single thread."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BOTH = """
import os, signal, time
from pagefit.errors import Refused
from pagefit.children import beside, in_children

HERE = os.getpid()
LARGE = 1 << 30

def fail(error):
    raise error

def killed_in_a_child():
    if os.getpid() != HERE:
        os.kill(os.getpid(), signal.SIGKILL)
    return "here"
"""


def answer(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", BOTH + code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_a_large_file_gets_a_child_when_there_is_a_processor_for_it() -> None:
    apart = len(os.sched_getaffinity(0)) > 1
    assert (
        answer("child, own = beside(os.getpid, os.getpid, LARGE); print(own == HERE, child != HERE)") == f"True {apart}"
    )
    assert answer("child, own = beside(os.getpid, os.getpid, 1000); print(own == child == HERE)") == "True"


def test_a_large_result_comes_whole() -> None:
    assert answer("print(sum(beside(lambda: [1] * 10**6, lambda: None, LARGE)[0]))") == "1000000"


def test_what_a_child_raises_is_raised_with_its_place_and_remedy() -> None:
    code = "\ntry: beside(lambda: fail(Refused('no', where='x.so', remedy='Do this.')), lambda: 1, LARGE)"
    assert answer(f"{code}\nexcept Refused as error: print(error)") == "x.so: no. Do this."


def test_an_error_does_not_wait_for_the_child() -> None:
    code = "\ntry: beside(lambda: time.sleep(600), lambda: fail(KeyError('own')), LARGE)"
    if len(os.sched_getaffinity(0)) > 1:
        assert answer(f"{code}\nexcept KeyError as error: print(error)") == "'own'"


@pytest.mark.parametrize("size", ["LARGE", "1000"])
def test_the_job_of_a_child_that_was_killed_is_done_again(size: str) -> None:
    assert answer(f"print(*beside(killed_in_a_child, lambda: 'own', {size}))") == "here own"


def test_where_no_child_can_be_started_the_jobs_are_done_here() -> None:
    code = """
def fork():
    raise BlockingIOError(11, "no more processes")
os.fork = fork
print(beside(lambda: "other", lambda: "own", LARGE), list(in_children([lambda: 1, lambda: 2, lambda: 3])))
try:
    beside(lambda: 1, lambda: fail(KeyError("own")), LARGE)
except KeyError as error:
    print(error)
"""
    assert answer(code) == "('other', 'own') [1, 2, 3]\n'own'"


def test_results_of_many_jobs_come_in_their_order() -> None:
    code = """
def job(number):
    time.sleep(0.01 * (7 - number) % 0.03)
    return number, os.getpid()
numbers, pids = zip(*in_children(lambda n=n: job(n) for n in range(8)))
print(numbers, len(set(pids)))
"""
    apart = len(os.sched_getaffinity(0)) > 1
    assert answer(code) == f"{tuple(range(8))} {8 if apart else 1}"


def test_a_single_job_is_done_here() -> None:
    assert answer("print(list(in_children([os.getpid])) == [HERE], list(in_children([])))") == "True []"


def test_the_first_error_of_many_jobs_is_raised_and_no_child_is_left() -> None:
    code = """
jobs = [lambda: 1, lambda: fail(KeyError("two")), lambda: time.sleep(0.2), lambda: fail(ValueError("four"))]
try:
    list(in_children(jobs))
except KeyError as error:
    print(error)
try:
    os.wait()
except ChildProcessError:
    print("alone")
"""
    assert answer(code) == "'two'\nalone"


def test_a_child_has_no_children() -> None:
    same = "child, own = beside(lambda: beside(os.getpid, os.getpid, LARGE), os.getpid, LARGE)"
    assert answer(f"{same}; print(child[0] == child[1])") == "True"
