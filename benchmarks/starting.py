"""What importing costs: the backend, that every build imports, and the command before it does anything."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from benchmarks import inputs
from benchmarks.harness import Command, median, run_once
from benchmarks.results import Grid, Part


def run(bin_: Path) -> list[Part]:
    """Each start: its modules and time, and the imports that cost the most by themselves."""
    wheel = inputs.wheel(*inputs.WHEELS["24 KB"])
    python = bin_ / "python"
    starts: dict[str, list[object]] = {
        "python -c pass": ["-c", "pass"],
        "python -m zipfile -l, 24 KB wheel": ["-m", "zipfile", "-l", wheel],
        "import pagefit.setuptools": ["-c", "import pagefit.setuptools"],
        "import pagefit.mesonpy": ["-c", "import pagefit.mesonpy"],
        "pagefit --help": [bin_ / "pagefit", "--help"],
        "pagefit check, 24 KB wheel": [bin_ / "pagefit", "check", wheel],
        "pagefit align, 24 KB wheel that fits": [bin_ / "pagefit", "align", wheel],
    }
    grid = Grid(
        "Starting",
        "nothing is imported that the work at hand does not need",
        ["", "wall", "CPU", "peak", "modules", "imports that cost most by themselves (µs)"],
    )
    for name, words in starts.items():
        sample = median([run_once([python, *words], may_find=True) for _ in range(15)])
        imports = _imports([python, "-X", "importtime", *words])
        dearest = ", ".join(f"{module} {cost}" for cost, module in sorted(imports, reverse=True)[:4])
        cells = [name, f"{sample.wall * 1000:.0f} ms", f"{sample.cpu * 1000:.0f} ms", f"{sample.peak / 2**20:.0f} MiB"]
        grid.rows.append([*cells, str(len(imports)), dearest])
    return [grid]


def _imports(command: Command) -> list[tuple[int, str]]:
    """What `-X importtime` says: microseconds in a module itself, and its name."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    found = re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", done.stderr, re.MULTILINE)
    return [(int(cost), module) for cost, module in found]
