"""Links of earlier builds of the same project: a build tool skips a link whose output is still in its build folder.

What the next build may need is kept in the user's cache: each link whose output is still where the linker wrote it,
with copies of the output and of the inputs outside the project; those inside are there while the output is current.
Nothing is kept for projects in the temporary folder, and nothing for projects that are gone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pagefit.hooks.cache import cache_folder

if TYPE_CHECKING:
    from pagefit.links.journal import Journal
    from pagefit.links.recipe import Recipe

_PROJECT = "project"


def recall(root: Path, journal: Path) -> None:
    """Copy what is kept of the project in `root` into the folder of a journal, before it records. Raises OSError."""
    kept = _kept(root)
    if kept.is_dir():
        for part in ("links", "pins"):
            shutil.copytree(kept / part, journal / part, dirs_exist_ok=True)


def remember(root: Path, journal: Journal) -> None:
    """Keep what the next build of the project in `root` may need from this one's journal. Raises OSError."""
    _forget_the_gone()
    kept = _kept(root)
    shutil.rmtree(kept, ignore_errors=True)
    recipes = (
        [] if root.resolve().is_relative_to(Path(tempfile.gettempdir()).resolve()) else list(_still_there(journal))
    )
    if not recipes:
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".", ignore_cleanup_errors=True) as scratch:
        new = Path(scratch, "new")
        (new / "pins").mkdir(parents=True)
        (new / _PROJECT).write_text(str(root), encoding="utf-8", errors="surrogateescape")
        for recipe in recipes:
            shutil.copytree(journal.folder / "links" / recipe.name, new / "links" / recipe.name)
            outside = (digest for path, digest in recipe.inputs.items() if digest and not _inside(path, root))
            for digest in {recipe.sha256, *outside}:
                shutil.copyfile(journal.pinned(digest), new / "pins" / digest)
        os.rename(new, kept)


def _still_there(journal: Journal) -> Iterable[Recipe]:
    from pagefit.links.inputs import digest_of

    latest = {recipe.output: recipe for recipe in journal.recipes()}
    for output, recipe in latest.items():
        if output.is_file() and digest_of(str(output)) == recipe.sha256:
            yield recipe


def _inside(path: str, root: Path) -> bool:
    return Path(path).resolve().is_relative_to(root.resolve())


def _kept(root: Path) -> Path:
    return cache_folder() / "links" / hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]


def _forget_the_gone() -> None:
    for project in cache_folder().glob(f"links/*/{_PROJECT}"):
        with suppress(OSError):
            if not Path(project.read_text(encoding="utf-8", errors="surrogateescape")).is_dir():
                shutil.rmtree(project.parent)
