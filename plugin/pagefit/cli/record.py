"""`pagefit record`: run any build and keep what its links were made of."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from pagefit.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pagefit.cli.parser import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the `record` subcommand."""
    parser = subparsers.add_parser(
        "record",
        help="run a build and record its links",
        description="Run a build (make, cargo, meson compile, ...) and record every link of gcc and clang, so that "
        "`pagefit align --journal FOLDER` can relink what it made. Nothing about the build changes.",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="where the records go")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD", help="the build")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    from pagefit.links.recorder import record

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise InputError(
            "no command to run", remedy="Name the build after two dashes: `pagefit record -o DIR -- make`."
        )
    with record(args.output) as journal:
        try:
            status = subprocess.run(command, check=False).returncode
        except OSError as error:
            raise InputError(f"cannot be run: {error.strerror}", where=command[0]) from error
    for note in journal.notes():
        print(f"pagefit: {note}", file=sys.stderr)
    count = len(journal.links())
    print(f"pagefit: {count} link{'s' * (count != 1)} recorded in {args.output}", file=sys.stderr)
    return status if status >= 0 else 128 - status
