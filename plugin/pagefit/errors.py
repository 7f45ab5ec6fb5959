"""Every error a user can meet: what is wrong, where, and what to do about it.

One base class, so that the command line and the build hooks turn any of them into one sentence and an exit code.
Not for programming mistakes: those stay ordinary exceptions and show a traceback.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


class PagefitError(Exception):
    """What went wrong, where it was seen, and the remedy.

    `what` is a clause without a final stop; `where` names the file, member or key; `remedy` is a full sentence.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f". {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{advice}"


class ConfigError(PagefitError):
    """A key, value or option that cannot be used as given."""


class InputError(PagefitError):
    """A file that is not what it claims to be, or cannot be read: broken archives, hostile or truncated ELF."""


class Refused(PagefitError):
    """A file that could be mended only by guessing. Nothing was written."""

    exit_code = 3


class OutputError(PagefitError):
    """A file that cannot be written: no room, no right. What was there before is untouched."""
