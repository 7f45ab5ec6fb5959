"""Parsers that are made quickly, with help as wide as the terminal.

`argparse` asks `shutil` how wide that is, once for every option it is told of; and `shutil` imports every compression
there is.
"""

from __future__ import annotations

import argparse
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    #: What every subcommand adds its parser to; argparse has no public name for it.
    Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001


class Formatter(argparse.HelpFormatter):
    """What `argparse.HelpFormatter` does."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


class RawFormatter(Formatter, argparse.RawDescriptionHelpFormatter):
    """What `argparse.RawDescriptionHelpFormatter` does: descriptions keep their lines."""


class Parser(argparse.ArgumentParser):
    """What `argparse.ArgumentParser` does; those of subcommands are of this class, too."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"formatter_class": Formatter, **options})


def _columns() -> int:
    """What `shutil.get_terminal_size().columns` says."""
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    try:
        columns = os.get_terminal_size(sys.__stdout__.fileno()).columns if sys.__stdout__ else 0
    except (OSError, ValueError):  # no terminal
        columns = 0
    return columns or 80
