"""Editing a linker's arguments: where it writes, its RUNPATH, its strip state, its page size.

Understands what GNU ld, gold, lld and mold have in common. For all four the last `-z max-page-size` wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pagefit.links import options

_RPATH: Final = ("rpath", "R")


def redirect(arguments: Sequence[str], output: Path | None, side_folder: Path) -> list[str]:
    """The arguments with the output at `output`, and every other file the linker writes inside `side_folder`.

    Without `output`, it stays where it is.
    """
    edited = list(arguments)
    for index, prefix, path in options.side_outputs(edited):
        edited[index] = f"{prefix}{side_folder / f'{index}-{Path(path).name}'}"
    if output is None:
        return edited
    index = 0
    while index < len(edited):
        argument = edited[index]
        if argument in ("-o", "--output"):
            edited[index + 1 : index + 2] = [str(output)]
            index += 1
        elif argument.startswith("--output="):
            edited[index] = f"--output={output}"
        elif argument.startswith("-o"):
            edited[index] = f"-o{output}"
        index += 1
    return edited


def with_rpath(arguments: Sequence[str], value: str | None, *, runpath: bool) -> list[str]:
    """The arguments with exactly this `DT_RUNPATH` (or else `DT_RPATH`), or none at all.

    The folders named before stay `-rpath-link`: GNU ld looks for libraries of libraries there.
    """
    edited: list[str] = []
    words = iter(arguments)
    for word in words:
        body = word.lstrip("-")
        name, equals, path = body.partition("=")
        if not word.startswith("-"):
            edited.append(word)
        elif body in _RPATH:
            edited += ["-rpath-link", next(words, "")]
        elif equals and name == "rpath":
            edited += ["-rpath-link", path]
        elif word.startswith("-R") and Path(word[2:]).is_absolute():
            edited += ["-rpath-link", word[2:]]
        else:
            edited.append(word)
    if value is not None:
        edited += ["-rpath", value, "--enable-new-dtags" if runpath else "--disable-new-dtags"]
    return edited


def with_page_size(arguments: Sequence[str], page_size: int) -> list[str]:
    """The arguments for pages of `page_size` bytes."""
    return [*arguments, "-z", f"max-page-size={page_size}", "-z", f"common-page-size={page_size}"]


def response(arguments: Iterable[str]) -> str:
    """The text of a response file that every linker reads back as these arguments."""
    return "".join(f"{_quoted(argument)}\n" for argument in arguments)


def _quoted(argument: str) -> str:
    # Backslashes alone: libiberty, LLVM and mold agree on them outside quotes.
    escaped = "".join(f"\\{letter}" if letter in " \t\n\r\f\v\\'\"" else letter for letter in argument)
    return escaped or '""'
