"""What a recording has left on disk: recipes, pinned files, and notes on what could not be recorded."""

from __future__ import annotations

from functools import lru_cache

from pagefit.errors import InputError
from pagefit.links.recipe import Recipe
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

# A record never changes once it is in place.
_load = lru_cache(maxsize=None)(Recipe.load)


class Journal(NamedTuple):
    """A folder with recorded links. Reads what is there when asked, so it may still be growing."""

    folder: Path
    problems: tuple[str, ...] = ()
    """Why recording could not start; empty when it did."""

    @classmethod
    def load(cls, folder: Path) -> Journal:
        """The journal that `recorder.record` has left in a folder. Raises InputError when it holds none."""
        if not (folder / "links").is_dir():
            raise InputError(
                "no recorded links", where=str(folder), remedy="Record a build with `pagefit record -o FOLDER -- CMD`."
            )
        return cls(folder)

    def recipes(self) -> list[Recipe]:
        """Every recorded link, in the order of the links. Raises InputError for a damaged record."""
        return [_load(folder) for folder in self.links()]

    def links(self) -> list[Path]:
        """The folder of every recorded link, in the order of the links."""
        links = self.folder / "links"
        folders = sorted(links.iterdir()) if links.is_dir() else []
        return [folder for folder in folders if not folder.name.startswith(".")]

    def pinned(self, sha256: str) -> Path:
        """Where the content with this digest is kept."""
        return self.folder / "pins" / sha256

    def notes(self) -> list[str]:
        """What the recorder could not do, one sentence each."""
        notes = self.folder / "notes"
        paths = sorted(notes.iterdir()) if notes.is_dir() else []
        return [*self.problems, *(path.read_text(errors="replace") for path in paths)]
