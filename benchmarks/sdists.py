"""What 64 KiB padding costs in a source distribution that carries prebuilt files: with a 4K wheel, and with a 64K one."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import inputs
from benchmarks.padding import cell
from benchmarks.results import Grid, Part
from pagefit import align
from pagefit.align import Request
from pagefit.prebuilt import sdist as packing

#: The sample projects: their folders by name.
_SAMPLES: Final = {"textindex": "meson", "checksums": "setuptools"}
#: Name, version, platform of wheels whose libraries are linked for 4K. Of these there are no objects to relink.
_PUBLISHED: Final = (
    ("msgpack", "1.1.0", "manylinux2014_x86_64"),
    ("lxml", "5.3.0", "manylinux_2_28_x86_64"),
)


def run() -> list[Part]:
    """Every package's sdist as it is, and with either wheel in it."""
    goal = "at most +1 % from 4K to 64K"
    grid = Grid("Source distributions with prebuilt files", goal, ["sdist", "64K by", "without", "with 4K", "with 64K"])
    for sdist, how, small, padded in _packages():
        lengths = [_with(sdist, wheel) for wheel in (small, padded)]
        cells = [f"{sdist.stat().st_size:,}", f"{lengths[0]:,}", cell(lengths[1], lengths[0])]
        grid.rows.append([sdist.name.removesuffix(".tar.gz"), how, *cells])
    return [grid]


def _packages() -> Iterator[tuple[Path, str, Path, Path]]:
    """Sdist, how the 64K wheel was made, the 4K wheel and the 64K one: of the samples, and of published packages."""
    demo = inputs.samples()
    for name, folder in _SAMPLES.items():
        (before,), (after,) = (demo.glob(f"{when}/{name}-*.whl") for when in ("before", "dist"))
        stem = "-".join(before.name.split("-")[:2])
        sdist = inputs.SCRATCH / f"{stem}.tar.gz"
        with tarfile.open(sdist, "w:gz") as archive:
            archive.add(inputs.ROOT / "sample_project" / folder, stem)
        yield sdist, "relink", before, after
    for name, version, platform in _PUBLISHED:
        wheel = inputs.wheel(name, version, platform)
        padded = Path(shutil.copy(wheel, inputs.SCRATCH))
        align.path(padded, Request(everywhere=True, layout="padded"))
        yield inputs.sdist(f"{name}=={version}"), "realign, padded", wheel, padded


def _with(sdist: Path, wheel: Path) -> int:
    """The length of an sdist that carries a wheel's files (bytes)."""
    folder = inputs.SCRATCH / "packed"
    folder.mkdir(parents=True, exist_ok=True)
    copy = Path(shutil.copy(sdist, folder))
    packing.add(copy, [wheel])
    return copy.stat().st_size
