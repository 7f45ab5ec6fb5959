"""Runs every part and writes RESULTS.md with its plots. `python -m benchmarks --small` leaves out the largest inputs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from benchmarks import (
    checking,
    growing,
    guile,
    inputs,
    packing,
    padding,
    paging,
    realigning,
    recording,
    repacking,
    sdists,
    starting,
)
from benchmarks.results import Part, write


def main() -> int:
    """Measure and write, part by part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--small", action="store_true", help="leave out what is larger than 100 MB")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="PART",
        help="some of: check, repack, realign, pack, grow, start, record, padding, sdists, guile, paging",
    )
    args = parser.parse_args()
    sizes = list(inputs.WHEELS)[: 4 if args.small else None]
    inputs.SCRATCH.mkdir(parents=True, exist_ok=True)
    bin_ = inputs.product()
    pagefit = bin_ / "pagefit"
    parts: dict[str, Callable[[], list[Part]]] = {
        "check": lambda: checking.run(pagefit, sizes),
        "repack": lambda: repacking.run(bin_, sizes),
        "realign": lambda: realigning.run(bin_),
        "pack": lambda: packing.run(pagefit, ["14 MB", "39 MB"]),
        "grow": lambda: growing.run(bin_, small=args.small),
        "start": lambda: starting.run(bin_),
        "record": lambda: recording.run(pagefit),
        "padding": padding.run,
        "sdists": sdists.run,
        "guile": guile.run,
        "paging": paging.run,
    }
    unknown = set(args.only or parts) - set(parts)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for name in args.only or parts:
        print(f"{name}:", file=sys.stderr)
        write(parts[name](), inputs.ROOT / "benchmarks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
