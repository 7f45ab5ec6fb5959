"""`pagefit check` against what people use to look at a wheel's segments."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import inputs
from benchmarks.harness import compare, run_once
from benchmarks.results import Comparison, Part

UNZIP_READELF = """
d=$(mktemp -d); unzip -q -o "$1" -d "$d"
find "$d" -type f -name '*.so*' -print0 | xargs -0 readelf -lW >/dev/null
rm -rf "$d"
"""
PYELFTOOLS = """
import sys, zipfile, io
from elftools.elf.elffile import ELFFile
with zipfile.ZipFile(sys.argv[1]) as z:
    for i in z.infolist():
        data = z.read(i)
        if data[:4] == b"\\x7fELF":
            [(s["p_type"], s["p_align"], s["p_offset"], s["p_vaddr"]) for s in ELFFile(io.BytesIO(data)).iter_segments()]
"""
LIEF = """
import sys, zipfile, io, lief
with zipfile.ZipFile(sys.argv[1]) as z:
    for i in z.infolist():
        data = z.read(i)
        if data[:4] == b"\\x7fELF":
            binary = lief.ELF.parse(io.BytesIO(data))
            [(s.alignment, s.file_offset, s.virtual_address) for s in binary.segments]
"""


def run(pagefit: Path, sizes: Sequence[str]) -> list[Part]:
    """Every size of wheel against every peer."""
    bin_ = inputs.peers()
    part = Comparison(
        "Checking a wheel",
        "20 times faster than unzip + readelf, zipfile + pyelftools and LIEF from 39 MB on, never slower than a listing of the names, below 32 MiB",
    )
    for size in sizes:
        wheel = inputs.wheel(*inputs.WHEELS[size])
        ours = [pagefit, "check", wheel]
        quick = {
            "python -m zipfile -l": [bin_ / "python", "-m", "zipfile", "-l", wheel],
            "unzip + readelf of every file": ["sh", "-c", UNZIP_READELF, "sh", wheel],
        }
        slow = {
            "zipfile + pyelftools": [bin_ / "python", "-c", PYELFTOOLS, wheel],
            "zipfile + LIEF": [bin_ / "python", "-c", LIEF, wheel],
            "auditwheel show": [bin_ / "auditwheel", "show", wheel],
        }
        part.rows += compare(size, ours, quick, rounds=9 if wheel.stat().st_size < 1e8 else 3, may_find=True)
        part.rows += compare(size, ours, slow, rounds=3 if wheel.stat().st_size < 1e8 else 1, may_find=True)
    bare = run_once([sys.executable, "-c", ""])
    part.remarks.append(f"A Python that starts and ends takes {bare.wall * 1000:.0f} ms here; it is part of ours.")
    return [part]
