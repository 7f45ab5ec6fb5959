"""Repacking wheels: one small member changed, and every ELF member rewritten."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import inputs
from benchmarks.harness import compare
from benchmarks.results import Comparison, Part

#: Wheel, target, and a folder whose files replace the members of the same names; begun and ended as the command is.
REWRITE = """
import gc, os, sys
gc.set_threshold(100_000)
from pagefit.containers.wheel import rewrite_wheel
source, target, folder = sys.argv[1:]
found = [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names]
rewrite_wheel(source, target, {os.path.relpath(path, folder): path for path in found})
os._exit(0)
"""
UNPACK_PACK = 'mkdir "$2"; "$3/wheel" unpack -d "$2" "$1"; "$3/wheel" pack -d "$2" "$2"/*/'


def run(bin_: Path, sizes: Sequence[str]) -> list[Part]:
    """Both, against `wheel` and `cp`."""
    peers = inputs.peers()
    one = Comparison(
        "Repacking a wheel, one small member changed",
        "40 times faster than wheel unpack + pack, at most 3 times the time of cp (0.33×), below 40 MiB",
    )
    every = Comparison(
        "Repacking a wheel, every ELF file written anew",
        "5.8 times faster than wheel unpack + pack, which changes nothing; 1.6 times faster with two processors",
    )
    unpacked, copy = inputs.OUT / "unpacked", inputs.OUT / "copy.whl"
    for size in sizes:
        wheel = inputs.wheel(*inputs.WHEELS[size])
        target = inputs.OUT / wheel.name
        others = {
            "wheel unpack + wheel pack": ["sh", "-c", UNPACK_PACK, "sh", wheel, unpacked, peers],
            "cp": ["cp", wheel, copy],
        }
        ours = [bin_ / "python", "-c", REWRITE, wheel, target, _small_member(wheel)]
        rounds = 5 if wheel.stat().st_size < 1e8 else 3
        one.rows += compare(size, ours, others, rounds=rounds, before=inputs.empty_out)
        ours = [bin_ / "python", "-c", REWRITE, wheel, target, inputs.elf_files(wheel)]
        if size in ("14 MB", "39 MB", "92 MB"):
            others = {**others, "ours on one processor": ["taskset", "-c", "0", *ours]}
            every.rows += compare(size, ours, others, rounds=3, before=inputs.empty_out)
    return [one, every]


def _small_member(wheel: Path) -> Path:
    """A folder with another version of the wheel's WHEEL file in it."""
    folder = inputs.SCRATCH / f"{wheel.stem}.changed"
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
        text = archive.read(name)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text + b"Build: 1\n")
    return folder
