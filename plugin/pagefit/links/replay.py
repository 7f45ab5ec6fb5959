"""Relinking from a recorded link: prove that the recipe makes the file, then make it again with another page size."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pagefit import atomic
from pagefit.errors import InputError, Refused
from pagefit.links import edit
from pagefit.links.facts import Facts, all_sections, read_facts
from pagefit.links.inputs import digest_of
from pagefit.links.journal import Journal
from pagefit.links.match import find
from pagefit.links.recipe import Recipe

if TYPE_CHECKING:
    from _typeshed import StrPath

#: Characters of arguments above which a response file is used; Linux allows 2 MiB with the environment.
_LONG_COMMAND: Final = 100_000

_RECORD_AGAIN: Final = "Record the build again, and relink before its files change."


@dataclass(frozen=True, slots=True)
class Relinked:
    """A file that was linked again."""

    recipe: Recipe
    proof: str
    """How equal the unchanged replay was: `bit for bit` or `section for section`."""
    page_size: int

    @property
    def summary(self) -> str:
        """One clause for a report."""
        return f"relinked by {self.recipe.linker.name} from its recorded link, proved {self.proof}"

    @property
    def provenance(self) -> dict[str, object]:
        """What a manifest should say of the file: plain values for JSON."""
        return {"method": "relink", "linker": self.recipe.linker.name, "proof": self.proof, "page_size": self.page_size}


def relink(shipped: StrPath, target: StrPath, journal: Journal, page_size: int) -> Relinked:
    """Write to `target` what `shipped` would be had it been linked for pages of `page_size` bytes.

    `target` may be `shipped`. RUNPATH, RPATH and strip state are those of `shipped`. Nothing is written unless the
    recorded link, replayed unchanged, gives the recorded file, and the new file has the dynamic interface and the
    sections of `shipped`. Raises Unrecorded when no recorded link made the file, Refused when that is not so, and
    InputError or OutputError when a file cannot be read or written.
    """
    shipped = Path(shipped)
    try:
        recipe, recorded, now = find(shipped, journal)
        with _locked(journal), tempfile.TemporaryDirectory(prefix="pagefit-") as temporary:
            replay = Replay(recipe, Path(temporary))
            with _inputs_in_place(recipe, journal):
                proof = replay.prove(journal)
                changed = _reproducing(replay, recorded, now)
                result = replay.run(edit.with_page_size(changed, page_size))
            _check(read_facts(result), now, shipped)
            with atomic.replacing(target, mode=shipped.stat().st_mode & 0o7777) as new, result.open("rb") as made:
                atomic.write_with_holes(made, new)
    except OSError as error:
        raise InputError(f"relinking it failed: {error}", where=str(shipped)) from error
    return Relinked(recipe, proof, page_size)


class Replay:
    """Runs one recorded link again, with everything it writes kept in a scratch folder."""

    def __init__(self, recipe: Recipe, scratch: Path) -> None:
        self.recipe = recipe
        self.scratch = scratch
        self.environment = dict(recipe.environment)
        self.in_place = False
        self._runs = 0

    def prove(self, journal: Journal) -> str:
        """Run the link unchanged; how equal the result is to what was recorded. Raises Refused when it is not."""
        recorded = journal.pinned(self.recipe.sha256)
        for self.in_place in (False, True):
            replayed = self.run(self.recipe.arguments)
            if digest_of(str(replayed)) == self.recipe.sha256:
                return "bit for bit"
            before, after = all_sections(recorded), all_sections(replayed)
            differing = {key[1] for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
            if differing == {".note.gnu.build-id"}:
                return "section for section"  # --build-id=uuid is random
        where = ", ".join(sorted(differing)[:5]) or "headers"
        raise Refused(
            f"its recorded link, replayed unchanged, gives another file ({where})",
            where=str(self.recipe.output),
            remedy=_RECORD_AGAIN,
        )

    def run(self, arguments: Sequence[str]) -> Path:
        """Run the linker with other arguments; the file it made. Raises Refused when it fails.

        Some linkers write their output's path into the file (gold, into the version definitions of a library without
        soname); `in_place` makes the output where the link made it, with what is there now moved aside.
        """
        self._runs += 1
        folder = self.scratch / str(self._runs)
        side = folder / "side"
        side.mkdir(parents=True)
        result = folder / self.recipe.output.name
        if not self.in_place:
            self._link(edit.redirect(arguments, result, side), folder)
            return result
        with _moved_aside(self.recipe.output):
            self._link(edit.redirect(arguments, None, side), folder)
            shutil.move(self.recipe.output, result)
        return result

    def _link(self, words: list[str], folder: Path) -> None:
        if sum(len(word) + 1 for word in words) > _LONG_COMMAND:
            (folder / "response").write_text(edit.response(words), errors="surrogateescape")
            words = [f"@{folder / 'response'}"]
        try:
            done = subprocess.run(
                [str(self.recipe.linker), *words],
                cwd=self.recipe.directory,
                env={**self.environment, "TMPDIR": str(folder / "side")},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise Refused(
                f"its linker does not run: {error}",
                where=str(self.recipe.output),
                remedy="Install the linker it was built with.",
            ) from error
        if done.returncode:
            complaint = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise Refused(
                f"its recorded link fails when replayed: {complaint or f'exit status {done.returncode}'}",
                where=str(self.recipe.output),
                remedy=_RECORD_AGAIN,
            )


@contextmanager
def _moved_aside(path: Path) -> Iterator[None]:
    """Free a path for a while; what was there comes back."""
    aside = path.with_name(f".{path.name[:100]}.pagefit-{os.getpid()}")
    occupied = path.exists()
    try:
        if occupied:
            path.rename(aside)
        yield
    except OSError as error:
        raise Refused(f"its link cannot be replayed in place: {error}", where=str(path)) from error
    finally:
        if occupied and aside.exists():
            aside.replace(path)
        elif not occupied:
            path.unlink(missing_ok=True)


def _reproducing(replay: Replay, recorded: Facts, now: Facts) -> list[str]:
    """The recorded arguments, changed to give the RUNPATH, RPATH and strip state that the file has now."""
    changed = list(replay.recipe.arguments)
    if (recorded.rpath, recorded.runpath) != (now.rpath, now.runpath):
        replay.environment.pop("LD_RUN_PATH", None)  # what GNU ld takes where there is no -rpath
        value = now.runpath or now.rpath
        changed = edit.with_rpath(changed, os.fsdecode(value) if value else None, runpath=now.runpath is not None)
    if recorded.symbols is not None and now.symbols is None:
        changed.append("-s")
    elif recorded.debug and not now.debug:
        changed.append("-S")
    return changed


def _check(result: Facts, shipped: Facts, where: Path) -> None:
    """Raises Refused unless the relinked file is, page size apart, the shipped one."""
    for what, mine, theirs in (
        ("ELF class, type, machine or flags", result.header, shipped.header),
        ("DT_NEEDED", result.needed, shipped.needed),
        ("DT_SONAME", result.soname, shipped.soname),
        ("DT_RPATH", result.rpath, shipped.rpath),
        ("DT_RUNPATH", result.runpath, shipped.runpath),
        ("dynamic symbols", result.dynamic_symbols, shipped.dynamic_symbols),
        ("the symbol table", result.symbols, shipped.symbols),
        ("the set of sections", result.section_names, shipped.section_names),
    ):
        if mine != theirs:
            raise Refused(
                f"relinked, it would differ in {what}",
                where=str(where),
                remedy="Something changed the file after it was linked. Make that change part of the link.",
            )


@contextmanager
def _locked(journal: Journal) -> Iterator[None]:
    """One replay at a time: two could want to put the same file back."""
    with (journal.folder / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def _inputs_in_place(recipe: Recipe, journal: Journal) -> Iterator[None]:
    """Put missing inputs and folders back where the link found them, and take them away again."""
    with ExitStack() as undo:
        try:
            _make_folders(recipe.directory, undo)
            _make_folders(recipe.output.parent, undo)
            for name, digest in recipe.inputs.items():
                if digest is not None:
                    _put_back(Path(name), digest, journal, undo)
        except OSError as error:
            raise Refused(
                f"an input of its link cannot be put back: {error}", where=str(recipe.output), remedy=_RECORD_AGAIN
            ) from error
        yield


def _put_back(path: Path, digest: str, journal: Journal, undo: ExitStack) -> None:
    if os.path.lexists(path):
        if not path.is_file() or digest_of(str(path)) != digest:
            raise Refused("an input of its link has changed since", where=str(path), remedy=_RECORD_AGAIN)
        return
    _make_folders(path.parent, undo)
    with journal.pinned(digest).open("rb") as kept, path.open("xb") as stream:
        undo.callback(path.unlink, missing_ok=True)
        shutil.copyfileobj(kept, stream)
    if digest_of(str(path)) != digest:
        raise Refused(
            "the journal's copy of an input is damaged", where=str(journal.pinned(digest)), remedy="Record it again."
        )


def _make_folders(folder: Path, undo: ExitStack) -> None:
    """Make missing folders; each is removed again if nothing else has come into it."""
    if folder.is_dir():
        return
    _make_folders(folder.parent, undo)
    if not folder.is_dir():  # `a/..` is there once `a` is
        folder.mkdir()
        undo.callback(_remove_folder, folder)


def _remove_folder(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
