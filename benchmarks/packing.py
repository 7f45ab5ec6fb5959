"""The prebuilt tarball in every compression, against tar with the compressors' own commands, on one and two processors."""

from __future__ import annotations

from pathlib import Path

from benchmarks import inputs
from benchmarks.harness import Command, compare, run_once
from benchmarks.results import Comparison, Grid, Part

#: What people write instead, by the ending of the tarball.
_COMMANDS = {"gz": "gzip -9n", "xz": "xz -6 -T2", "zst": "zstd -q -9 --long=27 -T2"}


def run(pagefit: Path, sizes: list[str]) -> list[Part]:
    """Every compression of each wheel's tarball."""
    times = Comparison(
        "Writing the prebuilt tarball",
        "1.6 times faster with two processors than with one, with the same bytes",
    )
    lengths = Grid(
        "Length of the prebuilt tarball",
        "no more than tar and the command",
        ["wheel", "", "ours", "tar and the command"],
    )
    for size in sizes:
        wheel = inputs.wheel(*inputs.WHEELS[size])
        tree = inputs.elf_files(wheel)
        for ending, command in _COMMANDS.items():
            if ending == "xz" and wheel.stat().st_size > 2e7:
                continue  # minutes for each run, and nothing that the smaller wheel does not show
            ours: Command = [pagefit, "pack", "--compression", ending, "-o", inputs.OUT, wheel]
            theirs = inputs.OUT / f"tree.tar.{ending}"
            pipe = f'tar -C "$1" --sort=name -cf - . | {command} > "$2"'
            peer: Command = ["sh", "-c", pipe, "sh", tree, theirs]
            others: dict[str, Command] = {
                "ours on one processor": ["taskset", "-c", "0", *ours],
                f"tar | {command}": peer,
            }
            times.rows += compare(f"{size}, {ending}", ours, others, rounds=5, before=inputs.empty_out)
            run_once(ours)
            run_once(peer)
            mine = next(inputs.OUT.glob(f"{wheel.stem}*.{ending}")).stat().st_size
            lengths.rows.append([size, ending, f"{mine:,}", f"{theirs.stat().st_size:,}"])
    return [times, lengths]
