"""What 64 KiB pages cost Guile's own compiled modules, and how fast pagefit relinks them."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from benchmarks import inputs
from benchmarks.padding import COMPRESSORS, cell, lengths
from benchmarks.results import Grid, Part
from pagefit.guile import realign


def run() -> list[Part]:
    """The modules of the installed Guile for 4K, for 64K as Guile's linker writes them, and as pagefit does."""
    expression = "(display (assq-ref %guile-build-info 'ccachedir))"
    found = subprocess.run(["guile", "-c", expression], capture_output=True, text=True, check=True).stdout
    theirs, small, large = Path(found), inputs.SCRATCH / "guile-4K", inputs.SCRATCH / "guile-64K"
    paths = sorted(str(path.relative_to(theirs)) for path in theirs.rglob("*.go"))
    to_4k, to_64k = _relink(theirs, small, paths, 4096), _relink(small, large, paths, 65536)
    grid = Grid(
        f"Guile's own modules, {len(paths)} files",
        "xz and zstd at most +1 %, gzip +2.1 %, as with Guile's own linker",
        ["pages", "raw", *COMPRESSORS, "on disk", "relinked in (CPU)"],
    )
    base = lengths(small, paths)
    forms = {"4K": (small, to_4k), "64K by Guile": (theirs, "–"), "64K by pagefit": (large, to_64k)}
    for name, (folder, seconds) in forms.items():
        cells = [cell(length, before) for length, before in zip(lengths(folder, paths), base, strict=True)]
        on_disk = sum((folder / path).stat().st_blocks * 512 for path in paths)
        grid.rows.append([name, *cells, f"{on_disk:,}", seconds])
    return [grid]


def _relink(source: Path, target: Path, paths: list[str], page_size: int) -> str:
    shutil.rmtree(target, ignore_errors=True)
    for path in paths:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
    started = time.process_time()
    for path in paths:
        realign(source / path, target / path, page_size)
    return f"{time.process_time() - started:.1f} s"
