"""Relinking after the compile: one more edge in build.ninja, behind every link of the project.

Meson has no hook between compiling and installing, and a subproject cannot name the targets of the project around it.
But Meson writes build.ninja anew at each configuration and then runs postconf scripts, and a Ninja file may have more
than one `default`: so the edge is appended there, and `ninja`, `meson compile` and `meson install` all run it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pagefit.align import passes
from pagefit.align.outcome import Action, Report, Request
from pagefit.containers.member import open_file
from pagefit.errors import InputError
from pagefit.links import ninja
from pagefit.loaders.verdict import format_page_size

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK: Final = "# Appended by pagefit: relink what does not load on every page size."
_STAMP: Final = "pagefit.stamp"
_TARBALL: Final = "pagefit@@prebuilt"
_PAGE_SIZE: Final = ".pagefit-page-size"
#: Target types of Meson's introspection that a loader maps.
_LOADED: Final = {"executable", "shared library", "shared module"}


def hook(build: Path, page_size: int, unresolved: str) -> None:
    """Append the edge to build.ninja of a configured Meson build folder; once, however often it is asked for.

    `page_size` in bytes. Raises InputError when `build` is not a build folder of Meson's Ninja backend.
    """
    path = build / "build.ninja"
    try:
        text = path.read_text()
    except OSError as error:
        raise InputError(
            f"no build.ninja ({error.strerror})", where=str(build), remedy="Use Meson's Ninja backend, or mode=flags."
        ) from error
    if _MARK in text:
        return
    command = [
        *(sys.executable, "-m", "pagefit", "meson", "relink", ".", "--stamp", _STAMP),
        *("--page-size", str(page_size), "--unresolved", unresolved),
    ]
    outputs = list(_default_outputs(build))
    if _relinked_for(build) not in (None, page_size):
        # Relinked for another page size, they could not be proved by their commands: ninja shall link them again.
        for name in outputs:
            (build / name).unlink(missing_ok=True)
    edge = f"""
{_MARK}
rule PAGEFIT_RELINK
 command = {" ".join(shlex.quote(word).replace("$", "$$") for word in command)}
 description = Relinking for pages of up to {format_page_size(page_size)}
 pool = console

build {_STAMP}: PAGEFIT_RELINK | {" ".join(map(_escape, outputs))}
default {_STAMP}
"""
    if _TARBALL in text and "\nbuild prebuilt:" not in text:
        # Meson gives a subproject's run targets a prefix, which `meson compile` does not know.
        edge += f"build prebuilt: phony {_TARBALL}\n"
    part = path.with_suffix(".pagefit")
    part.write_text(text + edge)
    # Meson compares build.ninja's age with its own files': the new one must not look older than the one it wrote.
    os.replace(part, path)


def relink(build: Path, page_size: int) -> Report:
    """Relink in place what a live Ninja build folder (Meson's, CMake's) has linked and what does not fit.

    Modification times stay, so that ninja finds nothing to do afterwards. Files that cannot be mended are left as they
    are and reported. Raises InputError when `build` is not a Ninja build folder.
    """
    found = ninja.links(build)
    outcomes = []
    before = after = 0
    for link in found:
        request = Request(page_size, everywhere=True, relink=link.relink)
        name = os.path.relpath(link.output, build.resolve())
        outcome = passes.assess(open_file(link.output), name, request)
        before += outcome.before.size
        if outcome.action is Action.REFUSED:
            with tempfile.TemporaryDirectory(dir=link.output.parent, prefix=".pagefit-") as scratch:
                mended = Path(scratch, link.output.name)
                outcome = passes.mend(outcome, link.output, mended, request)
                if outcome.action is Action.MENDED:
                    shutil.copystat(link.output, mended)
                    os.replace(mended, link.output)
        after += link.output.stat().st_size
        outcomes.append(outcome)
    return Report(str(build), page_size, tuple(outcomes), before, after)


def stamp(build: Path, name: Path, page_size: int) -> None:
    """Note in a build folder that everything was relinked for pages of `page_size` bytes."""
    # Not in the stamp: after a new configuration Meson has ninja remove outputs that build.ninja does not name yet.
    (build / _PAGE_SIZE).write_text(f"{page_size}\n")
    (build / name).touch()


def _relinked_for(build: Path) -> int | None:
    """The page size for which a build folder was last relinked (bytes)."""
    try:
        return int((build / _PAGE_SIZE).read_text())
    except (OSError, ValueError):
        return None


def _default_outputs(build: Path) -> Iterator[str]:
    """Outputs that `ninja` makes by default and a loader maps, as paths inside the build folder."""
    targets = json.loads((build / "meson-info" / "intro-targets.json").read_text())
    for target in targets:
        if target["type"] in _LOADED and target["build_by_default"]:
            yield from (os.path.relpath(name, build.resolve()) for name in target["filename"])


def _escape(name: str) -> str:
    return name.replace("$", "$$").replace(" ", "$ ").replace(":", "$:")
