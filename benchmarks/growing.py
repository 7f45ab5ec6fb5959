"""How the cost of checking, repacking and packing grows with a wheel's size and with the number of its members."""

from __future__ import annotations

import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from benchmarks import inputs
from benchmarks.harness import Command, Sample, median, run_once
from benchmarks.repacking import REWRITE
from benchmarks.results import Grid, Part

_MEGABYTES = (10, 100, 1000)
_MEMBERS = (1, 10, 100, 1000)
_METADATA = b"Wheel-Version: 1.0\n"


def run(bin_: Path, *, small: bool) -> list[Part]:
    """Wheels of one library of growing size, and of a growing number of small ones."""
    sizes = {float(size): _wheel(size * 1_000_000, 1) for size in _MEGABYTES[: 2 if small else None]}
    counts = {float(count): _wheel(10_000, count) for count in _MEMBERS}
    return [
        _grid(bin_, "Growth with the size of a library", "MB", sizes),
        _grid(bin_, "Growth with the number of libraries", "libraries", counts),
    ]


def _grid(bin_: Path, title: str, unit: str, wheels: dict[float, Path]) -> Grid:
    goal = "checking costs the same for any size; all else grows no faster than its input, in constant memory"
    columns = [unit, *(f"{name}, {what}" for name in ("check", "repack", "pack gz") for what in ("CPU", "peak"))]
    grid = Grid(title, goal, columns, axes=(unit, "seconds of CPU"))
    for amount, wheel in wheels.items():
        cells = [f"{amount:g}"]
        for name, command in _commands(bin_, wheel).items():
            sample: Sample = median([run_once(command, may_find=name == "check") for _ in range(3)])
            cells += [f"{sample.cpu:.2f} s", f"{sample.peak / 2**20:.0f} MiB"]
            grid.curves.setdefault(name, []).append((amount, sample.cpu))
        grid.rows.append(cells)
    return grid


def _commands(bin_: Path, wheel: Path) -> dict[str, Command]:
    metadata: Sequence[Path] = [wheel.with_suffix(".changed")]
    return {
        "check": [bin_ / "pagefit", "check", wheel],
        "repack": [bin_ / "python", "-c", REWRITE, wheel, inputs.SCRATCH / wheel.name, *metadata],
        "pack gz": [bin_ / "pagefit", "pack", "--compression", "gz", "-o", inputs.SCRATCH / "prebuilt", wheel],
    }


def _wheel(length: int, count: int) -> Path:
    """A wheel with `count` libraries of `length` bytes each, and beside it a folder with one changed member of it."""
    path = inputs.CACHE / "grown" / f"grown{length}-{count}-py3-none-any.whl"
    folder = f"grown{length}-{count}.dist-info"
    changed = path.with_suffix(".changed") / folder
    if not path.exists():
        library = path.with_suffix(".so")
        inputs.library(length, library)
        changed.mkdir(parents=True, exist_ok=True)
        (changed / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py3-none-any\n")
        names = [f"grown/{index}.so" for index in range(count)]
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name in names:
                archive.write(library, name)
            archive.writestr(f"{folder}/WHEEL", _METADATA)
            digest = urlsafe_b64encode(sha256(_METADATA).digest()).rstrip(b"=").decode()
            record = [f"{name},," for name in [*names, f"{folder}/RECORD"]]
            archive.writestr(
                f"{folder}/RECORD", "\n".join([f"{folder}/WHEEL,sha256={digest},{len(_METADATA)}", *record])
            )
        library.unlink()
    return path
