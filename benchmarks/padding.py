"""What 64 KiB padding costs: real extension modules as linked for 4K, dense at 64K, and padded at 64K."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import inputs
from pagefit import align
from pagefit.align import Request

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: Name, version, platform, Python of wheels whose libraries are linked for 4K.
TREES = (
    ("msgpack", "1.1.0", "manylinux2014_x86_64", "311"),
    ("regex", "2024.11.6", "manylinux2014_x86_64", "311"),
    ("lxml", "5.3.0", "manylinux_2_28_x86_64", "311"),
)
COMPRESSORS = {
    "gzip -9": lambda data: gzip.compress(data, 9, mtime=0),
    "xz -6": lambda data: lzma.compress(data, preset=6),
    "zstd -19": lambda data: zstd.compress(data, 19),
}


@dataclass(frozen=True)
class Cost:
    """One tree of libraries in one layout: bytes raw, and compressed as one tar archive."""

    tree: str
    layout: str
    raw: int
    compressed: dict[str, int]


def measure() -> list[Cost]:
    """Every tree in every layout. Libraries that cannot be realigned are left out of all layouts."""
    costs = []
    for name, version, platform, python in TREES:
        tree = inputs.CACHE / "trees" / name
        shutil.rmtree(tree, ignore_errors=True)
        with zipfile.ZipFile(inputs.download(name, version, platform, python)) as archive:
            for info in archive.infolist():
                if archive.open(info).read(4) == b"\x7fELF":
                    archive.extract(info, tree / "4K")
        for layout in ("dense", "padded"):
            shutil.copytree(tree / "4K", tree / layout)
            report = align.path(tree / layout, Request(everywhere=True, layout=layout), unresolved="ignore")
        kept = [outcome.path for outcome in report.mended]
        label = f"{name} {version}, {len(kept)} of {len(report.outcomes)} files"
        costs += [_cost(label, layout, tree / layout, kept) for layout in ("4K", "dense", "padded")]
    return costs


def _cost(label: str, layout: str, folder: Path, paths: list[str]) -> Cost:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(paths):
            info = tarfile.TarInfo(path[-90:])
            info.size = (folder / path).stat().st_size
            with (folder / path).open("rb") as file:
                archive.addfile(info, file)
    data = buffer.getvalue()
    raw = sum((folder / path).stat().st_size for path in paths)
    return Cost(label, layout, raw, {name: len(compress(data)) for name, compress in COMPRESSORS.items()})
