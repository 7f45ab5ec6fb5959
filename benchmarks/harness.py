"""Timing whole processes against each other: same run, same inputs, in turn, several rounds, medians and ratios.

Figures come from the operating system's own account of each finished process (wait4): wall clock, processor time and
peak resident memory. Ratios are taken pair by pair, so they hold when the machine's speed drifts.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

Command = Sequence[object]


@dataclass(frozen=True)
class Sample:
    """One finished run: seconds and bytes."""

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
    runs: int


@dataclass
class Table:
    """One part of the results: rows, what was to be reached, and remarks."""

    title: str
    goal: str = ""
    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def run_once(command: Command, before: Callable[[], object] | None = None) -> Sample:
    """Run a command to its end. Raises RuntimeError, with what it printed, when it fails."""
    if before:
        before()
    words = [str(word) for word in command]
    start = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise RuntimeError(f"{words} ended with {process.returncode}: {errors.decode(errors='replace')[-2000:]}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def compare(
    subject: str,
    ours: Command,
    peers: dict[str, Command],
    *,
    rounds: int = 5,
    before: Callable[[], object] | None = None,
) -> list[Row]:
    """Run ours and every peer in turn, `rounds` times after a warm-up; a row for each peer."""
    run_once(ours, before)
    pairs: dict[str, list[tuple[Sample, Sample]]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, command in peers.items():
            pairs[name].append((run_once(ours, before), run_once(command, before)))
    rows = []
    for name, samples in pairs.items():
        ratio = statistics.median(theirs.wall / mine.wall for mine, theirs in samples)
        mine, theirs = (_median([pair[side] for pair in samples]) for side in (0, 1))
        rows.append(Row(subject, name, mine, theirs, ratio, rounds))
        print(f"  {subject}: {name} {ratio:.2f} times ours", file=sys.stderr)
    return rows


def _median(samples: Sequence[Sample]) -> Sample:
    return Sample(
        statistics.median(s.wall for s in samples),
        statistics.median(s.cpu for s in samples),
        int(statistics.median(s.peak for s in samples)),
    )
