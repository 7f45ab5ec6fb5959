"""`checksums sum FILE…` writes a listing, `checksums check LISTING` verifies one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import checksums


def main() -> int:
    parser = argparse.ArgumentParser(prog="checksums", description=checksums.__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    summing = commands.add_parser("sum", help="write a listing of files")
    summing.add_argument("files", nargs="+", type=Path)
    summing.add_argument("--algorithm", choices=checksums.ALGORITHMS, default="crc32c")
    checking = commands.add_parser("check", help="verify the files of a listing")
    checking.add_argument("listing", type=Path)
    arguments = parser.parse_args()

    if arguments.command == "sum":
        for file in arguments.files:
            digest = checksums.file_digest(file, arguments.algorithm)
            print(f"{arguments.algorithm.upper()} ({file}) = {digest}")
        return 0
    failed = 0
    for entry, good in checksums.check(arguments.listing):
        print(f"{entry.name}: {'OK' if good else 'FAILED'}")
        failed += not good
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
