"""What 64 KiB padding costs: extension modules as linked for 4K, dense at 64K, and padded at 64K, by themselves and in an
archive under each compression.
"""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks import inputs
from benchmarks.results import Grid, Part
from pagefit import align
from pagefit.align import Request

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: Name, version and platform of wheels whose libraries are linked for 4K.
_WHEELS: Final = (
    ("msgpack", "1.1.0", "manylinux2014_x86_64"),
    ("regex", "2024.11.6", "manylinux2014_x86_64"),
    ("lxml", "5.3.0", "manylinux_2_28_x86_64"),
)
COMPRESSORS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip -9": lambda data: gzip.compress(data, 9, mtime=0),
    "xz -6": lambda data: lzma.compress(data, preset=6),
    "zstd -19": lambda data: zstd.compress(data, 19),
}


def run() -> list[Part]:
    """Every tree in every layout. Libraries that cannot be realigned are left out of all layouts."""
    goal = "at most +0.5 % in xz and zstd, +0.6 % in gzip, or a few hundred bytes for each tiny file; dense: +0 raw"
    grid = Grid("What padding costs", goal, ["tree", "layout", "raw", *COMPRESSORS])
    for wheel in _wheels():
        source, tree = inputs.elf_files(wheel), inputs.SCRATCH / "trees"
        shutil.rmtree(tree, ignore_errors=True)
        for layout in ("dense", "padded"):
            shutil.copytree(source, tree / layout)
            report = align.path(tree / layout, Request(everywhere=True, layout=layout), unresolved="ignore")
        kept = sorted(outcome.path for outcome in report.mended)
        label = f"{' '.join(wheel.name.split('-')[:2])}, {len(kept)} of {len(report.outcomes)} files"
        base = lengths(source, kept)
        for layout, folder in (("4K", source), ("dense", tree / "dense"), ("padded", tree / "padded")):
            cells = [cell(length, before) for length, before in zip(lengths(folder, kept), base, strict=True)]
            grid.rows.append([label, layout, *cells])
    return [grid]


def _wheels() -> Iterator[Path]:
    """The sample projects as they are without pagefit, and published wheels."""
    yield from sorted((inputs.samples() / "before").glob("*.whl"))
    for name, version, platform in _WHEELS:
        yield inputs.wheel(name, version, platform)


def lengths(folder: Path, paths: list[str]) -> list[int]:
    """Bytes of the files by themselves, and of a tar archive of them in each compression."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in paths:
            info = tarfile.TarInfo(path[-90:])
            info.size = (folder / path).stat().st_size
            with (folder / path).open("rb") as file:
                archive.addfile(info, file)
    data = buffer.getvalue()
    return [sum((folder / path).stat().st_size for path in paths), *(len(c(data)) for c in COMPRESSORS.values())]


def cell(length: int, before: int) -> str:
    """A length in bytes, and how it differs from what it was."""
    return (
        f"{length:,}"
        if length == before
        else f"{length:,} ({100 * (length / before - 1):+.2f} %, {length - before:+,})"
    )
