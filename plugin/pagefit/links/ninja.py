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
from pathlib import Path
from typing import Final

from pagefit.elf.headers import is_elf
from pagefit.errors import InputError
from pagefit.links import recorder, replay
from pagefit.links.journal import Journal
from pagefit.links.recipe import Unrecorded

#: Outputs of edges that are no links of what a loader maps: objects, archives and crates.
_NOT_LOADED: Final = {".o", ".obj", ".a", ".rlib", ".rmeta", ".d"}


@dataclass(frozen=True, slots=True)
class Link:
    """One edge of the build that makes a file a loader could map; `output` and `folder` are absolute."""

    output: Path
    command: tuple[str, ...]
    folder: Path

    def relink(self, shipped: Path, target: Path, page_size: int) -> replay.Relinked:
        """Write to `target` what `shipped`, the output as it is, would be had it been linked for this page size.

        Raises Refused when the command leads to no link, or does not reproduce the output; Unrecorded for rustc's.
        """
        if any(Path(word).name.startswith("rustc") for word in self.command):
            # It compiles and links in one command, and writes its other outputs again whoever the linker is.
            raise Unrecorded("rustc cannot link again without compiling again", where=str(self.output))
        with tempfile.TemporaryDirectory(prefix="pagefit-") as scratch:
            journal = Path(scratch, "journal")
            recorder.capture(self.command, self.folder, journal)
            return replay.relink(shipped, target, Journal.load(journal), page_size)


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
            found[output] = Link(output, tuple(shlex.split(edge["command"])), Path(edge["directory"]))
    return tuple(found.values())


def _holds_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return is_elf(file.read(4))
