"""Links of a live Ninja build folder: nothing was recorded, but everything a link reads is still where it was.

`ninja -t compdb` prints the command of every edge. Run again with the recorder in capture mode, a link's command leaves
its recipe and changes nothing. Not for build folders that are gone: those need a recording.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pagefit.elf.headers import is_elf
from pagefit.errors import InputError
from pagefit.links import options, recorder, replay, rust
from pagefit.links.journal import Journal
from pagefit.links.recipe import Unrecorded

if TYPE_CHECKING:
    from _typeshed import StrPath

#: Outputs of edges that are no links of what a loader maps: objects, archives and crates.
_NOT_LOADED: Final = {".o", ".obj", ".a", ".rlib", ".rmeta", ".d"}

_OPERATORS: Final = frozenset((";", "|", "||", "&", "<", ">", ">>", "(", ")"))
#: How compiler drivers are called, versions aside: only these are run again, for a script could do anything.
_DRIVERS: Final = ("cc", "++", "cxx", "clang", "fortran", "flang", "flang-new", "icx", "icpx", "ifx", "gdc", "ldc2")


@dataclass(frozen=True, slots=True)
class Link:
    """One edge of the build that makes a file a loader could map; `output` and `folder` are absolute."""

    output: Path
    command: tuple[str, ...]
    """The words and operators of its line for the shell."""
    folder: Path

    def relink(self, shipped: StrPath, target: StrPath, page_size: int) -> replay.Relinked:
        """Write to `target` what `shipped`, the output as it is, would be had it been linked for this page size.

        Raises Refused when the command does not reproduce the output; Unrecorded when it is no link that can be run.
        """
        with tempfile.TemporaryDirectory(prefix="pagefit-") as folder:
            scratch = Path(folder)
            if rust.is_rustc(self.command):
                journal = rust.record(self.command, self.folder, Path(shipped), scratch)
            else:
                recorder.capture(self._driver(), self.folder, scratch / "journal")
                journal = Journal.load(scratch / "journal")
            return replay.relink(shipped, target, journal, page_size)

    def _driver(self) -> list[str]:
        """The call of a compiler driver that makes the output; CMake puts it between others, as `: && CALL && :`."""
        for call in (list(words) for _, words in groupby(self.command, lambda word: word == "&&")):
            made = options.option_value(call, "-o")
            known = any(Path(word).name.rstrip("0123456789.-").endswith(_DRIVERS) for word in call[:2])
            if known and made and Path(self.folder, made) == self.output and not _OPERATORS.intersection(call):
                return call
        raise Unrecorded("no compiler driver's link in its command", where=str(self.output))


def links(build: Path, ninja: str = "ninja") -> tuple[Link, ...]:
    """Every edge of a Ninja build folder whose output exists and starts like an ELF file, in the order of build.ninja.

    Raises InputError when the folder has no build.ninja or ninja cannot read it.
    """
    if not (build / "build.ninja").is_file():
        raise InputError("no build.ninja in this folder", where=str(build), remedy="Name a Ninja build folder.")
    try:
        # -x writes out response files, which ninja deletes after each edge.
        done = subprocess.run([ninja, "-C", build, "-t", "compdb", "-x"], capture_output=True, text=True, check=True)
        edges = json.loads(done.stdout[done.stdout.index("[") :])
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise InputError(f"ninja could not print the build's commands ({error})", where=str(build)) from error
    found = {}
    for edge in edges:
        output = Path(edge["directory"], edge.get("output", ""))
        if output.suffix not in _NOT_LOADED and output.is_file() and not output.is_symlink() and _holds_elf(output):
            found[output] = Link(output, _words(edge["command"]), Path(edge["directory"]))
    return tuple(found.values())


def _words(command: str) -> tuple[str, ...]:
    """The words and operators of a command; none where it has more of a shell's syntax than links have."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return tuple(lexer)
    except ValueError:
        return ()


def _holds_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return is_elf(file.read(4))
