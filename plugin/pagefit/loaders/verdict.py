"""What a judgement says: verdicts, findings and the judgement of one file.

Plain values: the rules are in `pagefit.loaders.rules`, the loaders' behaviour in the modules named after them.
"""

from __future__ import annotations

import enum

from pagefit.errors import ConfigError
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: The page sizes that kernels run with today (bytes); 64 KiB is their least common multiple.
COMMON_PAGE_SIZES = (4096, 16384, 65536)


class Verdict(enum.IntEnum):
    """How a file fares under one loader at one page size. Greater is worse, so `max` picks the verdict that counts."""

    NOT_APPLICABLE = 0
    FITS = 1
    RELRO_WEAKER = 2
    CRASHES = 3
    CORRUPTS = 4
    REJECTED = 5

    @property
    def loads(self) -> bool:
        """Whether the file loads and runs with the bytes and rights its linker meant (weaker hardening allowed)."""
        return self <= _WORST_THAT_LOADS

    @property
    def label(self) -> str:
        """The verdict in words."""
        return _LABELS[self]


#: Looked up once: the members of an enumeration are found by code in Python before 3.12.
_WORST_THAT_LOADS = Verdict.RELRO_WEAKER

_LABELS = {
    Verdict.NOT_APPLICABLE: "not applicable",
    Verdict.FITS: "fits",
    Verdict.RELRO_WEAKER: "fits, RELRO weaker",
    Verdict.CRASHES: "crashes on write or exec",
    Verdict.CORRUPTS: "loads but corrupts",
    Verdict.REJECTED: "rejected",
}


class Finding(NamedTuple):
    """One rule that a file breaks under one loader at one page size.

    `segments` are indexes into the program header table; `page` is the address (not offset) of the page concerned,
    a multiple of `page_size`, or None; `message` says what happens, in numbers; the remedy is the rule's.
    """

    rule: str
    loader: str
    page_size: int
    verdict: Verdict
    segments: tuple[int, ...]
    page: int | None
    message: str


class Judgement(NamedTuple):
    """All findings about one file, and the verdict per loader and page size."""

    verdicts: dict[tuple[str, int], Verdict]
    findings: tuple[Finding, ...]

    def at(self, page_size: int) -> Verdict:
        """The worst verdict of any loader at one page size (bytes)."""
        return max((v for (_, size), v in self.verdicts.items() if size == page_size), default=Verdict.NOT_APPLICABLE)

    @property
    def worst(self) -> Verdict:
        """The worst verdict of any loader at any page size judged."""
        return max(self.verdicts.values(), default=Verdict.NOT_APPLICABLE)

    @property
    def page_sizes(self) -> tuple[int, ...]:
        """The page sizes judged, ascending (bytes)."""
        return tuple(sorted({size for _, size in self.verdicts}))


def parse_page_size(text: str) -> int:
    """Turn `64K`, `16k`, `65536` or `2M` into bytes.

    Raises ConfigError unless it is a power of two from 4 KiB to 1 GiB.
    """
    stripped = text.strip()
    units = {"k": 1024, "m": 1024**2}
    digits, unit = (stripped[:-1], units[stripped[-1].lower()]) if stripped[-1:].lower() in units else (stripped, 1)
    size = int(digits) * unit if digits.isascii() and digits.isdigit() else 0
    if size & (size - 1) or not 4096 <= size <= 1 << 30:
        raise ConfigError(
            f"{text!r} is not a page size", remedy="Give a power of two from 4K up, such as 4K, 16K or 64K."
        )
    return size


def format_page_size(size: int) -> str:
    """Write a page size (bytes) as people do: `4K`, `64K`, `2M`."""
    for unit, letter in ((1024**2, "M"), (1024, "K")):
        if size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)


def format_page_sizes(sizes: Iterable[int]) -> str:
    """Write several page sizes: `4K, 16K, 64K`."""
    return ", ".join(format_page_size(size) for size in sizes)
