"""Timing whole processes against each other: same run, same inputs, in turn, several rounds, medians and ratios.

Figures come from the operating system's own account of each finished process and its children (wait4): wall clock,
processor time and peak resident memory. Ratios are taken pair by pair, so they hold when the machine's speed drifts.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Command = Sequence[object]

#: Starts a command and prints the account of it. A process of its own, for Linux counts the memory of whoever starts a
#: process as that process's: a bare interpreter's is smaller than that of anything measured here but `cp`.
_LAUNCHER = """
import json, os, sys, time
null = os.open(os.devnull, os.O_RDWR)
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - start
print(json.dumps([os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]))
"""


@dataclass(frozen=True)
class Sample:
    """One finished run: seconds, seconds of processor time, bytes."""

    wall: float
    cpu: float
    peak: int


@dataclass(frozen=True)
class Row:
    """Ours against one peer: medians, and the median of peer / ours over the pairs."""

    subject: str
    peer: str
    ours: Sample
    theirs: Sample
    ratio: float


def run_once(command: Command, before: Callable[[], object] | None = None, *, may_find: bool = False) -> Sample:
    """Run a command to its end. Raises RuntimeError, with what it printed, when it fails.

    `may_find`: that it ends with 1 means that it found something, not that it failed.
    """
    if before:
        before()
    words = [str(word) for word in command]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *words], capture_output=True, text=True, errors="replace"
    )
    if done.returncode:
        raise RuntimeError(f"{words[0]} did not start: {done.stderr[-2000:]}")
    status, wall, cpu, peak = json.loads(done.stdout)
    if status not in ((0, 1) if may_find else (0,)):
        raise RuntimeError(f"{words} ended with {status}: {done.stderr[-2000:]}")
    return Sample(wall, cpu, peak)


def compare(
    subject: str,
    ours: Command,
    peers: Mapping[str, Command],
    *,
    rounds: int = 5,
    before: Callable[[], object] | None = None,
    may_find: bool = False,
) -> list[Row]:
    """Run ours and every peer in turn, `rounds` times after a warm-up; a row for each peer."""
    run_once(ours, before, may_find=may_find)
    pairs: dict[str, list[tuple[Sample, Sample]]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, command in peers.items():
            pairs[name].append(
                (run_once(ours, before, may_find=may_find), run_once(command, before, may_find=may_find))
            )
    rows = []
    for name, samples in pairs.items():
        ratio = statistics.median(theirs.wall / mine.wall for mine, theirs in samples)
        mine, theirs = (median([pair[side] for pair in samples]) for side in (0, 1))
        rows.append(Row(subject, name, mine, theirs, ratio))
        print(f"  {subject}: {name} {ratio:.2f} times ours", file=sys.stderr)
    return rows


def median(samples: Sequence[Sample]) -> Sample:
    """The median of each figure by itself."""
    return Sample(
        statistics.median(s.wall for s in samples),
        statistics.median(s.cpu for s in samples),
        int(statistics.median(s.peak for s in samples)),
    )
