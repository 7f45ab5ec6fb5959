"""Runs every part and writes RESULTS.md with its plots. `python -m benchmarks --small` leaves out the largest inputs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import checking, inputs, padding, paging, recording, results, rewriting


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--small", action="store_true", help="leave out wheels of 50 MB and more")
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="PART", help="check, repack, realign, padding, record, paging"
    )
    args = parser.parse_args()
    sizes = list(inputs.WHEELS)[: 2 if args.small else None]
    python = Path(sys.executable)
    pagefit = python.with_name("pagefit")
    (inputs.CACHE / "scratch").mkdir(parents=True, exist_ok=True)

    def wanted(part: str) -> bool:
        return not args.only or part in args.only

    found = results.Results()
    if wanted("check"):
        found.tables += checking.run(pagefit, sizes)
    if wanted("repack"):
        found.tables.append(rewriting.repacking(python, sizes))
    if wanted("realign"):
        found.tables.append(rewriting.realigning(pagefit))
    if wanted("record"):
        found.tables.append(recording.run(pagefit))
    if wanted("padding"):
        found.costs = padding.measure()
    if wanted("paging"):
        found.paging = paging.measure(Path("/usr/lib/x86_64-linux-gnu/libcrypto.so.3"))
    found.write(inputs.ROOT / "benchmarks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
