"""A process's memory as a loader builds it: which bytes and which rights lie at which address.

Intervals, not bytes: a bss of gigabytes costs no more than one of a page. The loaders' modules perform their own
operations on it in their own order; `pagefit.loaders.audit` then compares the result with what the file promises.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, bisect_right

from pagefit.elf import constants as c
from pagefit.loaders.model import up
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Source(enum.Enum):
    """Where the bytes of a piece come from."""

    FILE = "file"
    ZERO = "zero"


class Piece(NamedTuple):
    """Addresses `start .. end` with one source and one set of rights.

    Bytes from the file come from offset `address - delta`. `owner` is the index of the program header on whose behalf
    the piece was made last.
    """

    start: int
    end: int
    source: Source
    delta: int
    rights: int
    owner: int


class Memory:
    """The pieces mapped so far, in address order, and never overlapping."""

    def __init__(self, page_size: int, file_size: int) -> None:
        self.page_size = page_size
        #: Bytes of the file beyond this offset cannot be touched: SIGBUS (the last page reads as zero).
        self.file_limit = up(file_size, page_size)
        self._pieces: list[Piece] = []
        self._starts: list[int] = []

    def map_file(self, start: int, end: int, offset: int, rights: int, owner: int) -> None:
        """Map whole pages of the file over whatever is there (mmap with MAP_FIXED); all three are page multiples."""
        self._replace(start, end, [Piece(start, end, Source.FILE, start - offset, rights, owner)])

    def map_zero(self, start: int, end: int, rights: int, owner: int) -> None:
        """Map whole pages of zeros over whatever is there."""
        self._replace(start, end, [Piece(start, end, Source.ZERO, 0, rights, owner)])

    def unmap(self, start: int, end: int) -> None:
        """Leave nothing there."""
        self._replace(start, end, [])

    def zero(self, start: int, end: int, owner: int, *, unlocked: bool = False) -> bool:
        """Write zeros, as memset does; False when that faults: nothing there, no right to write, beyond the file's end.

        `unlocked` is for loaders that grant themselves the right to write first.
        """
        if start >= end:
            return True
        pieces = list(self.within(start, end))
        reached = start
        for piece in pieces:
            if piece.start != reached or not (unlocked or piece.rights & c.PF_W) or self.beyond_file(piece):
                return False
            reached = piece.end
        zeros = (piece._replace(source=Source.ZERO, delta=0, owner=owner) for piece in pieces)
        self._replace(start, end, _merged(zeros))
        return reached == end

    def protect(self, start: int, end: int, rights: int) -> bool:
        """Change the rights of whole pages, as mprotect does; False (ENOMEM) when not all of them are mapped."""
        pieces = list(self.within(start, end))
        self._replace(start, end, _merged(piece._replace(rights=rights) for piece in pieces))
        covered = sum(piece.end - piece.start for piece in pieces)
        return covered == max(0, end - start)

    def beyond_file(self, piece: Piece) -> bool:
        """Whether touching the piece's last byte raises SIGBUS."""
        return piece.source is Source.FILE and piece.end - piece.delta > self.file_limit

    def within(self, start: int, end: int) -> Iterator[Piece]:
        """The pieces between two addresses, cut to them."""
        first = max(0, bisect_right(self._starts, start) - 1)
        for piece in self._pieces[first : bisect_left(self._starts, end)]:
            low, high = max(piece.start, start), min(piece.end, end)
            if low < high:
                yield piece._replace(start=low, end=high)

    def _replace(self, start: int, end: int, middle: list[Piece]) -> None:
        if start >= end:
            return
        first = max(0, bisect_right(self._starts, start) - 1)
        last = bisect_left(self._starts, end)
        replacement = middle
        for piece in self._pieces[first:last]:
            if piece.start < start:
                replacement = [piece._replace(end=min(piece.end, start)), *replacement]
            if piece.end > end:
                replacement = [*replacement, piece._replace(start=max(piece.start, end))]
        self._pieces[first:last] = replacement
        self._starts[first:last] = [piece.start for piece in replacement]


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbours that have become alike as one, so that thousands of segments in one page stay cheap."""
    merged: list[Piece] = []
    for piece in pieces:
        if merged and merged[-1].end == piece.start and merged[-1][2:] == piece[2:]:
            merged[-1] = merged[-1]._replace(end=piece.end)
        else:
            merged.append(piece)
    return merged
