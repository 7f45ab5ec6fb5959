"""What an address that code leads to belongs to, and the patch that follows from it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final

from pagefit.elf import relocations
from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.moves import UNIT, Moves
from pagefit.realign.patches import Patch, WordPatches
from pagefit.realign.x86_64.operands import Operand

#: R_X86_64_DTPMOD64 and R_X86_64_TLSDESC: GOT slots whose address is passed on, not read in place.
_TLS_SLOTS: Final = (16, 36)
_MASK: Final = 0xFFFFFFFF
_REMEDY: Final = "Link the file again for the larger page size."


class Settler:
    """Turns displacements into patches: by the section that owns the target, or not at all.

    `counts_from_got` tells that there is code which adds distances to addresses, as that of larger code models does.
    """

    def __init__(self, file: ElfFile, moves: Moves, *, counts_from_got: bool) -> None:
        self._file = file
        self._counts_from_got = counts_from_got
        self._moves = moves
        held = (s for s in file.sections if s.alloc and s.size and not (s.tls and not s.file_size))
        self._sections = sorted(held, key=lambda section: section.addr)
        self._starts = [section.addr for section in self._sections]

    def patches(self, operands: Sequence[Operand]) -> WordPatches:
        """The patches of operands, which ascend: what `patch` says of each, by a table of the pages they lead to."""
        found = WordPatches("PC32")
        deltas = self._pages({operand.target // UNIT for operand in operands})
        changed = [
            (operand, delta)
            for operand in operands
            if (
                delta := (
                    known
                    if (known := deltas.get(operand.target // UNIT)) is not None
                    else self._checked(operand.field, operand.target, operand.lea)
                )
            )
        ]
        for operand, delta in changed:
            self._in_reach(operand.field, operand.target, operand.target - operand.after + delta)
        found.offsets.extend(self._file.offsets_of([operand.field for operand, _ in changed]))
        found.old.extend(operand.target - operand.after & _MASK for operand, _ in changed)
        found.new.extend(operand.target - operand.after + delta & _MASK for operand, delta in changed)
        found.targets.extend(operand.target for operand, _ in changed)
        return found

    def _pages(self, pages: Iterable[int]) -> dict[int, int]:
        """By how much all addresses of a page move, for those that lie in one piece and one section (not the GOT)."""
        found = {}
        for page in pages:
            start, end = page * UNIT, page * UNIT + UNIT
            index = bisect_right(self._starts, start) - 1
            piece = self._moves.piece(start)
            if index >= 0 and piece and end <= piece.end:
                home = self._sections[index]
                if end <= home.end and not home.name.startswith(".got"):
                    found[page] = piece.delta
        return found

    def patch(self, place: int, target: int, *, lea: bool, kind: str = "PC32") -> Patch | None:
        """The patch of the 32-bit distance at address `place` that leads to `target`; None when that stays.

        `lea` tells that the address itself is wanted, not what lies there: it may then be the end of something.
        Raises Refused when no section owns the target, or the distance grows beyond 32 bits.
        """
        delta = self._checked(place, target, lea)
        if not delta:
            return None
        offset, old = self._file.offset_of(place), self._file.read(place, 4)
        if offset is None or old is None:
            raise self._refuse(place, target, "the file holds no such place")
        value = int.from_bytes(old, "little", signed=True) + delta
        self._in_reach(place, target, value)
        return Patch(offset, old, value.to_bytes(4, "little", signed=True), kind, target)

    def _checked(self, place: int, target: int, lea: bool) -> int:
        """By how much a target moves, unless it is a place in the GOT that may be counted from."""
        delta = self._delta(place, target)
        if delta and lea and self._in_got(target) and target not in self._tls_slots:
            raise self._refuse(place, target, "that is a place in the GOT, from which code may count further")
        return delta

    def _in_reach(self, place: int, target: int, distance: int) -> None:
        if not -(1 << 31) <= distance < 1 << 31:
            raise self._refuse(place, target, "the distance would not fit in 32 bits")

    def _delta(self, place: int, target: int) -> int:
        index = bisect_right(self._starts, target) - 1
        before = self._sections[index] if index >= 0 else None
        if before and target < before.end:
            return self._moves.delta(target)
        if before and target == before.end:
            return self._moves.delta(target - 1)  # The end of something: `_end`, one past an array.
        behind = self._sections[index + 1] if index + 1 < len(self._sections) else None
        if before and behind and self._moves.delta(before.end - 1) == self._moves.delta(behind.addr):
            return self._moves.delta(behind.addr)  # Padding.
        raise self._refuse(place, target, "no section holds that")

    def _in_got(self, target: int) -> bool:
        if not any(s.addr <= target < s.end for s in self._sections if s.name.startswith(".got")):
            return False
        # Where the GOT starts, something may end: .init_array, .tm_clone_table, a section with __stop_ symbols.
        ends = any(s.alloc and s.end == target and not s.name.startswith(".got") for s in self._file.sections)
        return self._counts_from_got or not ends

    @cached_property
    def _tls_slots(self) -> frozenset[int]:
        return frozenset(r.place for r in relocations.relocations(self._file) if r.info & 0xFFFFFFFF in _TLS_SLOTS)

    def _refuse(self, place: int, target: int, why: str) -> Refused:
        return Refused(
            f"the code or table at {place:#x} leads to {target:#x}, and {why}", where=self._file.where, remedy=_REMEDY
        )
