"""`pagefit check` against what people use to look at a wheel's segments."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import inputs
from benchmarks.harness import Table, compare, run_once

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
import sys, zipfile, lief
with zipfile.ZipFile(sys.argv[1]) as z:
    for i in z.infolist():
        data = z.read(i)
        if data[:4] == b"\\x7fELF":
            binary = lief.ELF.parse(list(data))
            [(s.alignment, s.file_offset, s.virtual_address) for s in binary.segments]
"""


def run(pagefit: Path, sizes: list[str]) -> list[Table]:
    """Every size of wheel against every peer."""
    bin_ = inputs.peers()
    table = Table("Checking a wheel", "at least 20 times faster than unzip + readelf on 100 MB and more, below 64 MiB")
    for size in sizes:
        wheel = inputs.wheel(size)
        ours = [pagefit, "check", wheel]
        others = {
            "unzip + readelf of every file": ["sh", "-c", UNZIP_READELF, "sh", wheel],
            "zipfile + pyelftools": [bin_ / "python", "-c", PYELFTOOLS, wheel],
            "python -m zipfile -l": [sys.executable, "-m", "zipfile", "-l", wheel],
        }
        table.rows += compare(size, ours, others, rounds=3)
        lief = {"zipfile + LIEF": [bin_ / "python", "-c", LIEF, wheel]}
        table.rows += compare(size, ours, lief, rounds=1)
    bare = run_once([sys.executable, "-c", ""])
    table.remarks.append(f"A Python that starts and ends takes {bare.wall * 1000:.0f} ms here; it is part of ours.")
    return [table]
