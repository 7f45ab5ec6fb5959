"""Which parts of the address space move, and by how much.

A *piece* is a run of addresses that keeps its shape: a LOAD segment, or one side of a LOAD that is cut at the end of
RELRO. Pieces move by whole multiples of 4096, and no 4 KiB page has two owners: so the low twelve bits of every
address stay, and an ADRP page has one answer.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from itertools import pairwise

from pagefit.errors import Refused
from pagefit.realign.columns import Column
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

#: The unit of every move (bytes): the smallest page size, and the reach of aarch64's `:lo12:`.
UNIT: Final = 4096


class Piece(NamedTuple):
    """The addresses `start <= x < end` of the original file, which move by `delta` bytes (0: it stays)."""

    start: int
    end: int
    delta: int


class Moves:
    """All pieces of a file, ascending and disjoint. Addresses are those of the original file."""

    def __init__(self, pieces: tuple[Piece, ...]) -> None:
        self.pieces = pieces

    @cached_property
    def _starts(self) -> list[int]:
        return [piece.start for piece in self.pieces]

    @cached_property
    def moved(self) -> tuple[Piece, ...]:
        """The pieces that do move."""
        return tuple(piece for piece in self.pieces if piece.delta)

    def piece(self, address: int) -> Piece | None:
        """The piece that owns the byte at an address; None in a gap and outside the image."""
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address < self.pieces[index].end:
            return self.pieces[index]
        return None

    def shift(self, address: int) -> int:
        """By how much the byte at an address moves; 0 when nothing owns it."""
        index = bisect_right(self._starts, address) - 1
        return self.pieces[index].delta if index >= 0 and address < self.pieces[index].end else 0

    def owns(self, address: int) -> bool:
        """Whether `delta` has an answer for an address."""
        index = bisect_right(self._starts, address) - 1
        return index >= 0 and address <= self.pieces[index].end

    def inverse(self) -> Moves:
        """The moves that lead back: what must be found in the result, for it to be right."""
        return moves(Piece(piece.start + piece.delta, piece.end + piece.delta, -piece.delta) for piece in self.pieces)

    def page_owner(self, page: int) -> Piece | None:
        """The only piece with a byte in the 4 KiB page at `page`; None when the page lies in a gap."""
        index = bisect_right(self._starts, page + UNIT - 1) - 1
        if index >= 0 and page < self.pieces[index].end:
            return self.pieces[index]
        return None

    def delta(self, address: int) -> int:
        """How far the thing an address points to moves (bytes).

        An address that no piece owns belongs to the piece that ends there (`_end`, one past an array). Raises
        KeyError for an address in a gap or outside the image: what that means is for the caller to settle.
        """
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address <= self.pieces[index].end:
            return self.pieces[index].delta
        raise KeyError(address)

    def settled(self, address: int, kind: str, where: str) -> int:
        """`delta` of what a reference of some kind, in the file `where`, leads to. Raises Refused for a gap."""
        try:
            return self.delta(address)
        except KeyError:
            raise Refused(f"{kind} leads to {address:#x}, where nothing is", where=where) from None

    def carried(self, addresses: Column, among: Column | None = None) -> tuple[Column, Column]:
        """`new` of many addresses, or of those that are flagged in `among`, and flags of those that move.

        Those that `delta` has no answer for are left as they are.
        """
        new, moved = addresses, addresses ^ addresses
        spans = [span for span in self._spans if span[2].delta]
        edges = [edge for first, behind, _ in spans for edge in (first, behind)]
        for here, (_, _, piece) in zip(addresses.parts(edges)[::2], spans, strict=True):
            chosen = here if among is None else here & among
            moved |= chosen
            new = new.plus(piece.delta, chosen)
        return new, moved

    @cached_property
    def _spans(self) -> tuple[tuple[int, int, Piece], ...]:
        """(first address, address behind, piece): what `delta` says, for all."""
        return self._apart((piece.start, piece.end + 1) for piece in self.pieces)

    @cached_property
    def pages(self) -> tuple[tuple[int, int, Piece], ...]:
        """(number of its first 4 KiB page, number of the page behind, piece): what `page_owner` says, for all."""
        return self._apart((piece.start // UNIT, -(-piece.end // UNIT)) for piece in self.pieces)

    def _apart(self, spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int, Piece], ...]:
        """Each piece's span, as far as the next one leaves it."""
        firsts, ends = zip(*spans, strict=True)
        behind = map(min, ends, (*firsts[1:], ends[-1]))
        return tuple(zip(firsts, behind, self.pieces, strict=True))

    def new(self, address: int) -> int:
        """Where the thing an address points to lies in the result. Raises KeyError as `delta` does."""
        return address + self.delta(address)

    def touches(self, start: int, end: int) -> bool:
        """Whether any address of `start <= x < end` moves."""
        return any(piece.start < end and start < piece.end for piece in self.moved)


def moves(pieces: Iterable[Piece]) -> Moves:
    """Order pieces by address into `Moves`. Raises ValueError when two share a 4 KiB page and move differently."""
    ordered = tuple(sorted(pieces, key=lambda piece: piece.start))
    for before, after in pairwise(ordered):
        shared = after.start < before.end or after.start // UNIT == (before.end - 1) // UNIT
        if shared and before.delta != after.delta:
            raise ValueError(f"{before} and {after} share a page")
    return Moves(ordered)
