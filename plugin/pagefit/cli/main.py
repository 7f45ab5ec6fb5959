"""The `pagefit` command: finds the subcommand, runs it, and turns errors into one sentence and an exit code.

Exit codes: 0 all is well, 1 files do not fit, 2 usage, configuration or input, 3 a file could not be mended.
"""

from __future__ import annotations

import gc
import os
import sys

from pagefit import __version__
from pagefit.errors import PagefitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Final, NoReturn

#: Objects made before the garbage collector looks at them: 700 by default, which suits longer lives.
_GARBAGE: Final = 100_000

#: Module of each subcommand; only the one asked for is imported.
_COMMANDS: Final = {
    "check": "pagefit.cli.check",
    "align": "pagefit.cli.align",
    "show": "pagefit.cli.show",
    "explain": "pagefit.cli.explain",
    "pack": "pagefit.cli.pack",
    "record": "pagefit.cli.record",
    "meson": "pagefit.cli.meson",
}
#: Those that need nothing but paths.
_OF_PATHS: Final = ("check", "align")


def start() -> NoReturn:
    """What the installed command runs: `main`, without the time that an orderly end of Python takes."""
    # Facts refer to each other one way only: a collector that looks at them every few hundred objects finds nothing.
    gc.set_threshold(_GARBAGE)
    status = main()
    if "multiprocessing" in sys.modules:  # its helpers have to be told
        sys.exit(status)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name; `sys.argv` by default) and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        status = _run(words)
        sys.stdout.flush()
    except PagefitError as error:
        print(f"pagefit: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader has seen enough (`| head`).
        _stop_printing()
        return 128 + 13
    except OSError as error:
        # What is read and written is PagefitError's; what is printed can fail as well, on a full disk for one.
        _stop_printing()
        print(f"pagefit: {error}", file=sys.stderr)
        return PagefitError.exit_code
    except KeyboardInterrupt:
        return 128 + 2
    return status


def _stop_printing() -> None:
    """Let what is left to print go nowhere: at exit Python would try, and complain, once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: Sequence[str]) -> int:
    status: int
    if len(words) > 1 and words[0] in _OF_PATHS and not any(word.startswith("-") for word in words):
        # Nothing but paths: there is nothing to parse, and `argparse` takes longer to import than a wheel to check.
        command = _module(words[0])
        status = command.run(command.Arguments(words[1:]))
    else:
        args = _parser(words).parse_args(words)
        status = args.run(args)
    return status


def _module(command: str) -> ModuleType:
    """What `importlib.import_module` gives, without importing `importlib` for it."""
    name = _COMMANDS[command]
    __import__(name)
    return sys.modules[name]


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    from pagefit.cli.parser import Parser

    parser = Parser(
        "pagefit", description="Make compiled Python packages load on every page size, and check that they do."
    )
    parser.add_argument("--version", action="version", version=f"pagefit {__version__}")
    # Without `prog`, argparse formats a usage message to take it from, with modules that take long to import.
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", prog=parser.prog)
    named = next((word for word in words if not word.startswith("-")), "")
    for command in [named] if named in _COMMANDS else _COMMANDS:
        _module(command).add_parser(subparsers)
    return parser


if __name__ == "__main__":
    start()
