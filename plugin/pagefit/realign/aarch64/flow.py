"""Data flow inside one function: which instruction defines a register, and which use what an ADRP formed.

Found on demand and along the function's own branches, backwards and forwards, not by looking at neighbours. A path that
leaves the function, or a function larger than the limit, gives no answer; callers then refuse.
"""

from __future__ import annotations

from functools import cached_property

from pagefit.realign.aarch64 import instructions as a64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

#: Longest path that is followed (instructions).
_LIMIT: Final = 20000
#: Longest chain of copies and additions that is followed.
_DEPTH: Final = 32


class Function:
    """The instructions of `start <= pc < end`: `words[0]` is the one at `start`."""

    def __init__(self, words: Sequence[int], start: int, end: int) -> None:
        self.words = words
        self.start = start
        self.end = end

    def word(self, pc: int) -> int:
        """The instruction at an address."""
        return self.words[(pc - self.start) >> 2]

    @cached_property
    def sources(self) -> dict[int, list[int]]:
        """Branch target: the addresses of the branches inside the function that lead there."""
        found: dict[int, list[int]] = {}
        for index, word in enumerate(self.words):
            target = a64.branch_target(word, self.start + 4 * index)
            if target is not None:
                found.setdefault(target, []).append(self.start + 4 * index)
        return found

    @cached_property
    def _anywhere(self) -> list[int]:
        """Where control comes from to a place that no branch names: indirect branches, and calls (unwinding)."""
        pcs = range(self.start, self.end, 4)
        return [
            pc for pc, word in zip(pcs, self.words, strict=True) if word & 0xFE1F0000 == 0xD61F0000 or a64.is_call(word)
        ]

    def before(self, pc: int) -> list[int]:
        """The addresses from which control reaches `pc`."""
        found = list(self.sources.get(pc, ()))
        if pc > self.start and a64.falls_through(self.word(pc - 4)):
            found.append(pc - 4)
        return found or ([] if pc == self.start else self._anywhere)

    def after(self, pc: int) -> Iterator[int]:
        """The addresses that control reaches from `pc`, inside the function; calls return."""
        word = self.word(pc)
        if a64.falls_through(word) and pc + 4 < self.end:
            yield pc + 4
        target = a64.branch_target(word, pc)
        if target is not None and self.start <= target < self.end:
            yield target

    def definitions(self, pc: int, register: int) -> set[int] | None:
        """The instructions that may have written a register last when control arrives at `pc`.

        A value from the function's caller is left out. None when there are too many paths to follow.
        """
        found: set[int] = set()
        seen: set[int] = set()
        waiting = [pc]
        while waiting:
            for source in self.before(waiting.pop()):
                if source in seen:
                    continue
                seen.add(source)
                if a64.writes(self.word(source), register):
                    found.add(source)
                else:
                    waiting.append(source)
            if len(seen) > _LIMIT:
                return None
        return found

    def constants(self, pc: int, register: int, within: frozenset[int] = frozenset()) -> set[int] | None:
        """The addresses formed by ADRP, ADR and ADD that a register may hold when control arrives at `pc`.

        Values of other origin (arguments, memory) are left out, and so is what a loop adds (`within`: the instructions
        being followed). None when there are too many paths to follow.
        """
        values: set[int] = set()
        sources = self.definitions(pc, register)
        if sources is None or len(within) > _DEPTH:
            return None
        for source in sources - within:
            word = self.word(source)
            if a64.matches(word, a64.ADR) or a64.matches(word, a64.ADRP):
                values.add(a64.adr_target(word, source))
                continue
            operands, addend = _operands(word)
            for operand in operands:
                formed = self.constants(source, operand, within | {source})
                if formed is None:
                    return None
                values |= {value + addend for value in formed}
        return values

    def low_bits(self, pc: int) -> set[int]:
        """The low twelve bits that the users of the ADRP at `pc` add to its page."""
        register = self.word(pc) & 31
        found: set[int] = set()
        seen: set[int] = set()
        waiting = list(self.after(pc))
        while waiting and len(seen) < _LIMIT:
            here = waiting.pop()
            if here in seen:
                continue
            seen.add(here)
            word = self.word(here)
            if a64.base(word) == register:
                offset = word >> 10 & 0xFFF if a64.matches(word, a64.ADD_IMMEDIATE) else a64.immediate_offset(word)
                if offset is not None:
                    found.add(offset)
            if not a64.writes(word, register):
                waiting += self.after(here)
        return found


def _operands(word: int) -> tuple[tuple[int, ...], int]:
    """The registers that an instruction passes on, and what it adds: ADD immediate, MOV, CSEL."""
    if a64.matches(word, a64.ADD_IMMEDIATE):
        return (a64.base(word),), word >> 10 & 0xFFF
    if word & 0xFFE0FFE0 == 0xAA0003E0:
        return (word >> 16 & 31,), 0
    if word & 0xFFE00C00 == 0x9A800000:
        return (a64.base(word), word >> 16 & 31), 0
    return (), 0
