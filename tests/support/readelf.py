"""What binutils' readelf says of a file's layout, as a second opinion on ours."""

from __future__ import annotations

import itertools
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

_LOAD = re.compile(r"^  LOAD +(\w+) (\w+) \w+ (\w+) (\w+) ([R ][W ][E ]) (\w+)$", re.MULTILINE)


class Load(NamedTuple):
    """One LOAD segment; numbers in bytes, `rights` such as `R E`."""

    offset: int
    vaddr: int
    filesz: int
    memsz: int
    rights: str
    align: int


def loads(path: Path) -> list[Load]:
    """The LOAD segments in their order."""
    printed = subprocess.run(["readelf", "-lW", path], capture_output=True, text=True, check=True).stdout
    rows = [
        Load(*(int(number, 16) for number in row[:4]), row[4].strip(), int(row[5], 16))
        for row in _LOAD.findall(printed)
    ]
    assert rows, printed
    return rows


def is_laid_out_for(path: Path, page_size: int) -> bool:
    """Whether every LOAD is aligned and congruent at this page size (bytes) and no two share a page."""
    segments = loads(path)
    aligned = all(s.align % page_size == 0 and (s.vaddr - s.offset) % page_size == 0 for s in segments)
    apart = all(
        (first.vaddr + first.memsz - 1) // page_size < second.vaddr // page_size
        for first, second in itertools.pairwise(segments)
    )
    return aligned and apart
