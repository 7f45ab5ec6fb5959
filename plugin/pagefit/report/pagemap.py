"""How a file's segments lie on pages: the facts that `show` and the HTML page draw.

Runs of pages that look alike count as one row, so a library of 40,000 pages has as many rows as one of ten.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, Segment
from pagefit.loaders.model import down, up

#: Hostile files can have thousands of segments; no drawing of more rows helps anybody.
_ROWS_AT_MOST = 200


class Part(NamedTuple):
    """Addresses `start .. end` of one LOAD. `kind` is `code`, `data` (writable), `relro`, `const` or `bss`."""

    start: int
    end: int
    kind: str
    segment: int


class Row(NamedTuple):
    """`pages` pages from `address` on, and what lies in them; no parts: nothing."""

    address: int
    pages: int
    parts: tuple[Part, ...]

    @property
    def segments(self) -> tuple[int, ...]:
        """The LOADs in these pages, as indexes into the program header table."""
        return tuple(dict.fromkeys(part.segment for part in self.parts))


def page_map(image: Image, page_size: int) -> list[Row]:
    """The rows for one page size (bytes), ascending by address."""
    parts = _parts(image)
    edges = {edge for part in parts for end in (part.start, part.end) for edge in _page_of(end, page_size)}
    rows: list[Row] = []
    for start, end in pairwise(sorted(edges)):
        inside = tuple(
            Part(max(part.start, start), min(part.end, end), part.kind, part.segment)
            for part in parts
            if part.start < end and part.end > start
        )
        rows.append(Row(start, (end - start) // page_size, inside))
    return rows[:_ROWS_AT_MOST]


def _page_of(address: int, page_size: int) -> tuple[int, int]:
    return down(address, page_size), up(address, page_size)


def _parts(image: Image) -> list[Part]:
    relro = image.first(c.PT_GNU_RELRO)
    parts: list[Part] = []
    for load in image.loads:
        kind = "code" if load.flags & c.PF_X else "data" if load.flags & c.PF_W else "const"
        parts += _split(load, kind, relro)
        parts.append(Part(load.file_vend, load.vend, "bss", load.index))
    return [part for part in parts if part.start < part.end]


def _split(load: Segment, kind: str, relro: Segment | None) -> list[Part]:
    """A LOAD's file bytes, with the part that becomes read-only set apart."""
    if relro is None or not load.flags & c.PF_W:
        return [Part(load.vaddr, load.file_vend, kind, load.index)]
    start = min(max(relro.vaddr, load.vaddr), load.file_vend)
    end = min(max(relro.vend, start), load.file_vend)
    return [
        Part(load.vaddr, start, kind, load.index),
        Part(start, end, "relro", load.index),
        Part(end, load.file_vend, kind, load.index),
    ]
