"""What a register may hold, as far as relative tables need it, and how that changes from path to path.

A relative table is read as `lea table(%rip), base; movslq (base,index,4), word; add base, word`. So three kinds of
value matter: a base (an address formed by `lea`), a word loaded from such a base, and the index with its proved bound.
Everything else is unknown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

#: What identifies a number that several registers hold copies of: the address of the instruction that named it.
Name: TypeAlias = int


@dataclass(frozen=True, slots=True)
class Number:
    """Some integer: the low `bits` of the number called `name`, extended to 64 bits; `name` None: nothing is known."""

    name: Name | None = None
    bits: int = 64
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Base:
    """One of some addresses formed by `lea`; not `exact`: or, on another path, something unknown."""

    addresses: frozenset[int]
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Bound:
    """A number is at most `limit` (unsigned), as the instruction at address `guard` ensures."""

    limit: int
    guard: int


@dataclass(frozen=True, slots=True)
class Word:
    """A 32-bit word, sign-extended, loaded by `reader` from one of `bases` + `displacement` + 4 × index."""

    bases: Base
    displacement: int
    index: Bound | None
    reader: int


@dataclass(frozen=True, slots=True)
class Pointer:
    """A base plus a word of its table, added at `adder`: where a jump table leads, or what a lookup table holds."""

    bases: Base
    adder: int


Value: TypeAlias = Number | Base | Word | Pointer
UNKNOWN: Final = Number()
#: One of so many addresses (a pointer that a loop advances) that they are not kept.
ANY: Final = Base(frozenset(), exact=False)
_MANY: Final = 8


@dataclass(slots=True)
class State:
    """The sixteen general registers, the bounds known of named numbers, and what the flags compare."""

    registers: list[Value] = field(default_factory=lambda: [UNKNOWN] * 16)
    bounds: dict[tuple[Name, int], Bound] = field(default_factory=dict)
    #: The number compared, the width of the comparison in bits, the immediate, the instruction's address.
    flags: tuple[Name, int, int, int] | None = None

    def copy(self) -> State:
        """A state that can change on its own."""
        return State(self.registers.copy(), self.bounds.copy(), self.flags)

    def clobber(self, registers: Iterable[int]) -> None:
        """Note that some registers were written with something unknown."""
        for register in registers:
            self.registers[register] = UNKNOWN

    def forget(self, name: Name) -> None:
        """Take a name from the number that had it, for a new one."""
        for index, value in enumerate(self.registers):
            if isinstance(value, Number) and value.name == name:
                self.registers[index] = UNKNOWN
        self.bounds = {key: bound for key, bound in self.bounds.items() if key[0] != name}
        if self.flags and self.flags[0] == name:
            self.flags = None

    def number(self, register: int, name: Name) -> Number:
        """The number in a register, called `name` when it has no name yet."""
        value = self.registers[register]
        if isinstance(value, Number) and value.name is not None:
            return value
        self.forget(name)
        if not isinstance(value, Number):
            return Number(name)
        named = Number(name, value.bits, value.signed)
        self.registers[register] = named
        return named

    def bound(self, value: Value) -> Bound | None:
        """The proved upper bound of a number as a 64-bit register holds it."""
        if not isinstance(value, Number) or value.name is None:
            return None
        # The low bits of a number are at most the number, so a bound on wider bits holds for fewer.
        known = [b for (name, bits), b in self.bounds.items() if name == value.name and bits >= value.bits]
        best = min(known, key=lambda bound: bound.limit, default=None)
        if best is not None and value.signed and best.limit >= 1 << (value.bits - 1):
            return None  # It may be negative.
        return best

    def limit(self, name: Name, bits: int, bound: Bound) -> None:
        """Note that the low `bits` of a number are bounded."""
        known = self.bounds.get((name, bits))
        if known is None or bound.limit < known.limit:
            self.bounds[name, bits] = bound


def join(one: State, other: State) -> State:
    """What is known where two paths meet."""
    if one.registers == other.registers:
        registers = one.registers.copy()
    else:
        registers = [_join_values(a, b) for a, b in zip(one.registers, other.registers, strict=True)]
    named = {value.name for value in registers if isinstance(value, Number)}
    bounds = {
        key: max(bound, other.bounds[key], key=lambda b: (b.limit, b.guard))
        for key, bound in one.bounds.items()
        if key[0] in named and key in other.bounds
    }
    return State(registers, bounds, one.flags if one.flags == other.flags else None)


def _join_values(one: Value, other: Value) -> Value:
    if one == other:
        return one
    # What might be a base or a word stays one, inexactly: a table must be seen to be refused.
    bases = [value for value in (one, other) if isinstance(value, Base)]
    if bases:
        return _union(bases, exact=len(bases) == 2)
    words = [value for value in (one, other) if isinstance(value, Word)]
    if words:
        same = len(words) == 2 and words[0].displacement == words[1].displacement
        known = [word.index for word in words if word.index]
        index = max(known, key=lambda bound: bound.limit) if same and len(known) == 2 else None
        return dataclasses.replace(words[0], bases=_union([word.bases for word in words], exact=same), index=index)
    if isinstance(one, Number) and isinstance(other, Number) and (one.bits, one.signed) == (other.bits, other.signed):
        return Number(None, one.bits, one.signed)
    if isinstance(one, Pointer) and isinstance(other, Pointer):
        # As two adders can meet before one jump: then neither is known to be a jump table.
        return Pointer(_union([one.bases, other.bases], exact=True), one.adder) if one.adder == other.adder else UNKNOWN
    return UNKNOWN


def _union(bases: list[Base], *, exact: bool) -> Base:
    addresses = frozenset[int]().union(*(base.addresses for base in bases))
    if len(addresses) > _MANY or any(not base.addresses for base in bases):
        return ANY
    return Base(addresses, exact=exact and all(base.exact for base in bases))
