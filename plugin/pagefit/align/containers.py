"""The passes over everything in a wheel, archive, folder or file: assess, mend, then write once, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pagefit.align import passes
from pagefit.align.outcome import Action, Outcome, Relinker, Report, Request
from pagefit.containers import rewrite
from pagefit.containers.walk import walk
from pagefit.errors import InputError, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pagefit.containers.member import Member
    from pagefit.links.journal import Journal

Unresolved = Literal["error", "warn", "ignore"]

#: How much of a member is copied at a time when it has to lie on disk for an engine (bytes).
_CHUNK = 1 << 20


class Unmended(Refused):
    """Some files fit neither before nor after. Nothing was written; `report` says what each file was."""

    def __init__(self, report: Report) -> None:
        self.report = report
        listed = "; ".join(f"{outcome.path} ({outcome.detail})" for outcome in report.refused)
        super().__init__(
            f"{len(report.refused)} of {len(report.outcomes)} ELF files could not be mended, so nothing was written: "
            + listed,
            where=report.container.name,
            remedy='Link them for 64K pages, exclude them, or set unresolved to "warn".',
        )


def path(
    source: Path,
    request: Request,
    *,
    output: Path | None = None,
    unresolved: Unresolved = "error",
    dry_run: bool = False,
) -> Report:
    """Align every ELF file in `source`, a wheel, archive, folder or single file, in place or to the path `output`.

    Where nothing needs mending, the source stays (or is copied) byte for byte. Nested archives are judged; what does
    not fit inside them is refused by name. Raises InputError for what cannot be read, and Unmended, before anything
    is written, when files stay unmended and `unresolved` is "error".
    """
    with tempfile.TemporaryDirectory(prefix="pagefit-") as scratch:
        outcomes, replacements = _mend_all(source, Path(scratch), request)
        before = rewrite.sizes(source)
        report = Report(source, request.page_size, tuple(outcomes), before.total, before.total)
        if report.refused and unresolved == "error":
            raise Unmended(report)
        if dry_run:
            return report
        notes = _write(source, output, replacements)
    after = rewrite.sizes(output or source)
    compressed = {
        name: (before.members[name], after.members[name]) for name in before.members.keys() & after.members.keys()
    }
    return Report(source, request.page_size, report.outcomes, before.total, after.total, compressed, notes)


def _mend_all(source: Path, scratch: Path, request: Request) -> tuple[list[Outcome], dict[str, Path]]:
    """Assess every file; mend those that need it into `scratch`. What was mended comes back by its name."""
    outcomes = []
    replacements = {}
    for number, member in enumerate(walk(source)):
        name = _name_inside(source, member)
        try:
            outcome = passes.assess(member, name, request)
        except InputError:
            if request.excludes(name):
                continue
            raise
        if outcome.action is Action.REFUSED:
            target = scratch / f"{number}.mended"
            outcome = _mend(outcome, member, scratch / f"{number}.elf", target, request)
            if outcome.action is Action.MENDED:
                replacements[name] = target
        outcomes.append(outcome)
    return outcomes, replacements


def _mend(outcome: Outcome, member: Member, original: Path, target: Path, request: Request) -> Outcome:
    """Mend a file where it lies, or a copy at `original` of one that lies in an archive."""
    if "!" in outcome.path:
        return outcome.refused("it lies in an archive inside this one: align that archive by itself")
    if len(member.names) == 1:
        return passes.mend(outcome, Path(member.names[0]), target, request)
    with original.open("wb") as copy:
        for offset in range(0, member.size, _CHUNK):
            copy.write(member.read_at(offset, min(_CHUNK, member.size - offset)))
    try:
        return passes.mend(outcome, original, target, request)
    finally:
        original.unlink()


def _name_inside(source: Path, member: Member) -> str:
    """The member's path inside its container; a single file goes by its own name."""
    outer, *inner = member.names
    if source.is_dir():
        inner.insert(0, os.path.relpath(outer, source))
    return "!".join(inner) or source.name


def _write(source: Path, output: Path | None, replacements: Mapping[str, Path]) -> tuple[str, ...]:
    if output is None and not replacements:
        return ()
    target = output or source
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        if output is not None:
            shutil.copytree(source, output, symlinks=True, dirs_exist_ok=True)
        return rewrite.folder(target, replacements)
    return rewrite.file(source, target, replacements)


def wheel(
    source: Path,
    *,
    page_size: int,
    journal: Journal | None = None,
    exclude: Sequence[str] = (),
    unresolved: Unresolved = "error",
) -> Report:
    """Align a freshly built wheel in place, for a page size in bytes that counts on every machine. See `path`."""
    request = Request(page_size, everywhere=True, exclude=tuple(exclude), relink=relinker(journal))
    return path(source, request, unresolved=unresolved)


def relinker(journal: Journal | None) -> Relinker | None:
    """The engine that replays the links of a journal."""
    if journal is None:
        return None
    from pagefit.links import replay

    return lambda shipped, target, page_size: replay.relink(shipped, target, journal, page_size)
