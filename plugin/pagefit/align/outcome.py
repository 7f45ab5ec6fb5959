"""What became of one ELF file, and of the container it came in. Plain values, for reports and exit codes."""

from __future__ import annotations

import enum

from pagefit.loaders.verdict import COMMON_PAGE_SIZES
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal, Protocol, TypeAlias

    from _typeshed import StrPath

    from pagefit.elf.headers import Image
    from pagefit.loaders.verdict import Judgement
    from pagefit.manifest import Origin

    Engine: TypeAlias = Literal["auto", "relink", "realign"]
    Layout: TypeAlias = Literal["dense", "padded"]

    class Mended(Protocol):
        """What an engine says of a file it wrote: a clause for people, and plain values for a manifest."""

        @property
        def summary(self) -> str:
            """The clause: how it was mended."""

        @property
        def provenance(self) -> Mapping[str, object]:
            """The values, by name."""

    #: Writes the second path from the first, linked again for a page size in bytes, or raises Refused.
    Relinker: TypeAlias = Callable[[StrPath, StrPath, int], Mended]


class Action(enum.Enum):
    """What was done with a file."""

    LEFT = "fits"
    MENDED = "mended"
    REFUSED = "not mended"
    EXCLUDED = "excluded"


class Request(NamedTuple):
    """What the user asked for.

    `page_size` in bytes. With `everywhere`, also files of machines whose kernels never have that page size are mended;
    without, they are "not applicable" and left as they are. With `exactly`, Guile's object files get just this
    alignment, also those that fit with a larger one. `exclude` holds globs over paths inside the container; `relink`
    replays recorded links.
    """

    page_size: int = 65536
    everywhere: bool = False
    exactly: bool = False
    engine: Engine = "auto"
    layout: Layout = "dense"
    drop_debug: bool = False
    exclude: tuple[str, ...] = ()
    relink: Relinker | None = None

    @property
    def page_sizes(self) -> tuple[int, ...]:
        """The page sizes a result must load at (bytes): the one asked for and every common smaller one."""
        return (*(size for size in COMMON_PAGE_SIZES if size < self.page_size), self.page_size)

    def excludes(self, path: str) -> bool:
        """Whether the user wants the file at this path inside the container left alone."""
        if not self.exclude:
            return False
        import fnmatch

        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self.exclude)


class Outcome(NamedTuple):
    """What became of one ELF file. `detail` says how it was mended, or why not; `engine` is empty unless mended."""

    path: str
    action: Action
    before: Image
    judged_before: Judgement
    after: Image | None = None
    judged_after: Judgement | None = None
    engine: str = ""
    detail: str = ""
    provenance: Mapping[str, object] = {}

    def refused(self, reason: str) -> Outcome:
        """The same file, not mended for this reason."""
        return self._replace(action=Action.REFUSED, detail=reason)

    @property
    def size_change(self) -> int:
        """How many bytes the file grew."""
        return self.after.size - self.before.size if self.after else 0


class Report(NamedTuple):
    """What became of a wheel, archive, folder or single file aligned for `page_size`. Sizes in bytes.

    `compressed` maps a path to its size in bytes inside the container, before and after; empty where nothing is
    compressed. `notes` are sentences for the user, such as a signature that had to go.
    """

    container: str
    page_size: int
    outcomes: tuple[Outcome, ...]
    size_before: int
    size_after: int
    compressed: Mapping[str, tuple[int, int]] = {}
    notes: tuple[str, ...] = ()

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """The files that do not fit and could not be mended."""
        return tuple(outcome for outcome in self.outcomes if outcome.action is Action.REFUSED)

    @property
    def origins(self) -> dict[str, Origin]:
        """How each mended file was mended, for the manifest of a prebuilt tarball."""
        from pagefit.manifest import Origin

        return {
            done.path: Origin(
                done.engine, done.detail, tuple(load.align for load in done.before.loads), done.provenance
            )
            for done in self.mended
        }

    @property
    def mended(self) -> tuple[Outcome, ...]:
        """The files that were rewritten."""
        return tuple(outcome for outcome in self.outcomes if outcome.action is Action.MENDED)
