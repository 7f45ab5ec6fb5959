"""The passes over everything in a wheel, archive, folder or file: assess, mend, then write once, or not at all."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from itertools import chain

from pagefit.align import passes
from pagefit.align.outcome import Action, Report, Request
from pagefit.containers import rewrite
from pagefit.containers.walk import walk
from pagefit.errors import InputError, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Literal, TypeAlias

    from _typeshed import StrPath

    from pagefit.align.outcome import Outcome, Relinker
    from pagefit.containers.member import Member
    from pagefit.links.journal import Journal

    Unresolved: TypeAlias = Literal["error", "warn", "ignore"]

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
            where=os.path.basename(report.container),
            remedy='Link them for 64K pages, exclude them, or set unresolved to "warn".',
        )


def path(
    source: StrPath,
    request: Request,
    *,
    output: StrPath | None = None,
    unresolved: Unresolved = "error",
    dry_run: bool = False,
) -> Report:
    """Align every ELF file in `source`, a wheel, archive, folder or single file, in place or to the path `output`.

    Where nothing needs mending, the source stays (or is copied) byte for byte. Nested archives are judged; what does
    not fit inside them is refused by name. Raises InputError for what cannot be read, and Unmended, before anything
    is written, when files stay unmended and `unresolved` is "error".
    """
    source = os.fspath(source)
    target = source if output is None else os.fspath(output)
    before = rewrite.sizes(source)
    with _Scratch(target if rewrite.replaces_files(source) and not dry_run else None) as scratch:
        outcomes, replacements = _mend_all(source, scratch, request)
        report = Report(source, request.page_size, tuple(outcomes), before.total, before.total)
        if report.refused and unresolved == "error":
            raise Unmended(report)
        if dry_run:
            return report
        notes = rewrite.rewrite(source, target, replacements)
    after = rewrite.sizes(target) if replacements else before
    compressed = {
        name: (before.members[name], after.members[name]) for name in before.members.keys() & after.members.keys()
    }
    return report._replace(size_after=after.total, compressed=compressed, notes=notes)


class _Scratch:
    """A folder for what is mended, made when there is something: most inputs fit. It is gone when the block ends.

    It is made in the folder `near`, which may be still to come, or else where temporary files go. What replaces whole
    files lies near them, so that it only has to be renamed.
    """

    def __init__(self, near: str | None) -> None:
        self._near = near
        self._stack = ExitStack()
        self._folder: str | None = None

    def __enter__(self) -> _Scratch:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def folder(self) -> str:
        """Where it is. Raises OSError when it cannot be made."""
        if self._folder is None:
            near = self._near and os.path.abspath(self._near)
            while near and not os.path.isdir(near):
                near = os.path.dirname(near)
            # Where nothing can be written, what is wrong with a file can still be said.
            if near and os.access(near, os.W_OK):
                # Not `tempfile`: it takes long to import, and every file that is mended alone would wait for it.
                self._folder = os.path.join(near, f".pagefit-{os.urandom(8).hex()}")
                os.mkdir(self._folder, 0o700)
                self._stack.callback(_remove, self._folder)
            else:
                from tempfile import TemporaryDirectory

                self._folder = self._stack.enter_context(TemporaryDirectory(prefix="pagefit-"))
        return self._folder


def _remove(folder: str) -> None:
    """Remove a folder, with what lies in it: most often all of it has been renamed, and nothing does."""
    try:
        os.rmdir(folder)
    except OSError:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)


def _mend_all(source: str, scratch: _Scratch, request: Request) -> tuple[list[Outcome], dict[str, str]]:
    """Assess every file; mend those that need it into `scratch`. What was mended comes back by its name."""
    outcomes: list[Outcome] = []
    targets: list[tuple[int, str]] = []  # of the outcomes with these numbers

    def jobs() -> Iterator[Callable[[], Outcome]]:
        for member in walk(source):
            name = _name_inside(source, member)
            try:
                outcomes.append(passes.assess(member, name, request))
            except InputError:
                if request.excludes(name):
                    continue
                raise
            if outcomes[-1].action is not Action.REFUSED:
                continue
            if "!" in name:
                reason = "it lies in an archive inside this one: align that archive by itself"
                outcomes[-1] = outcomes[-1].refused(reason)
                continue
            target = os.path.join(scratch.folder, f"{len(outcomes)}.mended")
            targets.append((len(outcomes) - 1, target))
            yield _mending(outcomes[-1], member, target, request)

    replacements: dict[str, str] = {}
    mending = jobs()
    first = next(mending, None)
    if first is None:  # nothing needs it
        return outcomes, replacements
    from pagefit.children import in_children

    for done, outcome in enumerate(in_children(chain([first], mending))):
        number, target = targets[done]
        outcomes[number] = outcome
        if outcome.action is Action.MENDED:
            replacements[outcome.path] = target
    return outcomes, replacements


def _mending(outcome: Outcome, member: Member, target: str, request: Request) -> Callable[[], Outcome]:
    """What mends a file where it lies, or a copy beside `target`, made here, of one that lies in an archive."""
    if len(member.names) == 1:
        return partial(passes.mend, outcome, member.names[0], target, request)
    original = target + ".elf"
    with open(original, "wb") as copy:
        copy.writelines(
            member.read_at(offset, min(_CHUNK, member.size - offset)) for offset in range(0, member.size, _CHUNK)
        )

    def mend() -> Outcome:
        try:
            return passes.mend(outcome, original, target, request)
        finally:
            os.unlink(original)

    return mend


def _name_inside(source: str, member: Member) -> str:
    """The member's path inside its container; a single file goes by its own name."""
    outer, *inner = member.names
    if os.path.isdir(source):
        inner.insert(0, os.path.relpath(outer, source))
    return "!".join(inner) or os.path.basename(source)


def wheel(
    source: StrPath,
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
