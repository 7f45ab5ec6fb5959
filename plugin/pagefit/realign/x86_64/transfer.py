"""What one instruction does to the values in the registers: the cases that matter, and "unknown" for the rest."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final, NamedTuple

from pagefit.realign.x86_64.values import ANY, UNKNOWN, Base, Bound, Number, Pointer, State, Value, Word

#: After `cmp number, N`: what a condition says of the number when the branch is taken, and when it isn't: the upper
#: limit's distance from N, or None.
_CONDITIONS: Final = {
    "A": (None, 0),
    "AE": (None, -1),
    "B": (-1, None),
    "BE": (0, None),
    "E": (0, None),
    "NE": (None, 0),
}
#: What a 32-bit operation leaves: the upper half of the register is zero (Intel SDM 3.4.1.1).
_UNKNOWN_32: Final = Number(None, 32)


class Read(NamedTuple):
    """A table read as distances: the word at `entry` + 4 × index (None: anywhere) is added to the address `base`.

    `bound` limits the index, None: nothing does; `reader` and `adder` are the addresses of the instructions that load
    the word and add it.
    """

    base: int
    entry: int | None
    bound: Bound | None
    reader: int
    adder: int


class Transfer:
    """Applies instructions to a `State`, and collects every read of one of the `tables` on the way in `reads`."""

    def __init__(self, iced: Any, tables: Container[int]) -> None:
        self._tables = tables
        self.reads: set[Read] = set()
        #: The adders of reads whose sum is jumped to.
        self.jumps: set[int] = set()
        self._iced = iced
        self._info = iced.InstructionInfoFactory()
        self._conditions = {getattr(iced.ConditionCode, name): limits for name, limits in _CONDITIONS.items()}
        self._immediates = {kind for name, kind in vars(iced.OpKind).items() if name.startswith("IMMEDIATE")}
        m = iced.Mnemonic
        self._steps = {
            m.LEA: self._lea,
            m.MOV: self._mov,
            m.MOVSXD: self._movsxd,
            m.MOVZX: self._movzx,
            m.ADD: self._add,
            m.AND: self._and,
            m.SHR: self._shr,
            m.XOR: self._xor,
        }

    def step(self, instruction: Any, state: State) -> None:
        """Apply an instruction that neither branches nor calls."""
        m = self._iced.Mnemonic
        if instruction.mnemonic == m.CMP:
            self._cmp(instruction, state)
            return
        handler = self._steps.get(instruction.mnemonic)
        target = self.register(instruction, 0)
        result = handler(instruction, state) if handler and target is not None else None
        if result is None:
            written = self._written(instruction)
            state.clobber(written)
            if target in written and self._bits(instruction, 0) == 32:
                state.registers[target] = _UNKNOWN_32
        elif target is not None:
            state.registers[target] = result
        if instruction.rflags_modified:
            state.flags = None

    def branch(self, instruction: Any, state: State) -> tuple[State, State]:
        """The states behind a conditional branch: taken, and not taken."""
        taken, fallen = state.copy(), state
        limits = self._conditions.get(instruction.condition_code)
        if limits and state.flags:
            name, bits, immediate, guard = state.flags
            for side, distance in zip((taken, fallen), limits, strict=True):
                if distance is not None and immediate + distance >= 0:
                    side.limit(name, bits, Bound(immediate + distance, guard))
        return taken, fallen

    def jump(self, instruction: Any, state: State) -> bool:
        """Note where an indirect jump leads; whether a table gave the place."""
        register = self.register(instruction, 0)
        value = state.registers[register] if register is not None else None
        if not isinstance(value, Pointer):
            return False
        self.jumps.add(value.adder)
        return True

    def register(self, instruction: Any, operand: int) -> int | None:
        """The number (0 to 15) of the general register that an operand is, at whatever width; None for others."""
        if operand >= instruction.op_count or instruction.op_kind(operand) != self._iced.OpKind.REGISTER:
            return None
        return self._number(instruction.op_register(operand))

    def _number(self, register: int) -> int | None:
        r = self._iced.Register
        index = int(self._iced.RegisterExt.full_register(register)) - int(r.RAX)
        return index if 0 <= index < 16 else None

    def _bits(self, instruction: Any, operand: int) -> int:
        """The width of a register operand; 0 for ah, bh, ch, dh, which are no low bits of anything."""
        register = instruction.op_register(operand)
        r = self._iced.Register
        if register in (r.AH, r.BH, r.CH, r.DH):
            return 0
        return 8 * int(self._iced.RegisterExt.size(register))

    def _written(self, instruction: Any) -> set[int]:
        access = self._iced.OpAccess
        reading = (access.READ, access.COND_READ, access.NONE, access.NO_MEM_ACCESS)
        used = self._info.info(instruction).used_registers()
        numbers = (self._number(u.register) for u in used if u.access not in reading)
        return {number for number in numbers if number is not None}

    # Each of these returns what operand 0 holds afterwards, or None for "unknown".

    def _lea(self, instruction: Any, state: State) -> Value | None:
        if self._bits(instruction, 0) != 64:
            return None
        if instruction.is_ip_rel_memory_operand:
            address = instruction.ip_rel_memory_address
            return Base(frozenset((address,))) if address in self._tables else None
        base, index = self._number(instruction.memory_base), self._number(instruction.memory_index)
        if base is None:
            return None
        displacement = _signed(instruction.memory_displacement)
        if index is None:
            return _shifted(state.registers[base], displacement)
        if instruction.memory_index_scale == 1:
            return self._sum(instruction, state.registers[base], state.registers[index], displacement)
        return None

    def _mov(self, instruction: Any, state: State) -> Value | None:
        bits = self._bits(instruction, 0)
        source = self.register(instruction, 1)
        if source is not None and bits in (32, 64) and bits == self._bits(instruction, 1):
            value = state.registers[source]
            if isinstance(value, Number):
                value = state.number(source, instruction.ip)
            if bits == 64:
                return value
            return _zero_extended(value, 32)
        if bits in (32, 64) and self._is_immediate(instruction, 1):
            return self._fresh(instruction, state, instruction.immediate(1) & ((1 << bits) - 1))
        return None

    def _movsxd(self, instruction: Any, state: State) -> Value | None:
        if self._bits(instruction, 0) != 64:
            return None
        if self._is_memory(instruction, 1):
            return self._load(instruction, state)
        source = self.register(instruction, 1)
        return None if source is None else self._sign_extended(instruction, state, source)

    def _movzx(self, instruction: Any, state: State) -> Value | None:
        source = self.register(instruction, 1)
        if source is None:
            size = self._iced.MemorySizeExt.size(instruction.memory_size)
            return self._fresh(instruction, state, (1 << 8 * size) - 1)
        bits = self._bits(instruction, 1)
        if not bits:
            return self._fresh(instruction, state, 0xFF)
        if not isinstance(state.registers[source], Number):
            return self._fresh(instruction, state, (1 << bits) - 1)
        value = _zero_extended(state.number(source, instruction.ip), bits)
        if isinstance(value, Number) and value.name is not None:
            state.limit(value.name, bits, Bound((1 << bits) - 1, instruction.ip))
        return value

    def _add(self, instruction: Any, state: State) -> Value | None:
        if self._bits(instruction, 0) != 64:
            return None
        target, source = self.register(instruction, 0), self.register(instruction, 1)
        if target is None:
            return None
        value = state.registers[target]
        if source is not None:
            return self._sum(instruction, value, state.registers[source], 0)
        if self._is_immediate(instruction, 1):
            return _shifted(value, _signed(instruction.immediate(1)))
        return None

    def _and(self, instruction: Any, state: State) -> Value | None:
        bits = self._bits(instruction, 0)
        if bits < 32 or not self._is_immediate(instruction, 1):
            return None
        return self._fresh(instruction, state, instruction.immediate(1) & ((1 << bits) - 1))

    def _shr(self, instruction: Any, state: State) -> Value | None:
        bits = self._bits(instruction, 0)
        if bits < 32 or not self._is_immediate(instruction, 1):
            return None
        return self._fresh(instruction, state, ((1 << bits) - 1) >> (instruction.immediate(1) & (bits - 1)))

    def _xor(self, instruction: Any, state: State) -> Value | None:
        if self._bits(instruction, 0) < 32 or instruction.op0_register != instruction.op1_register:
            return None
        return self._fresh(instruction, state, 0)

    def _cmp(self, instruction: Any, state: State) -> None:
        register = self.register(instruction, 0)
        bits = self._bits(instruction, 0) if register is not None else 0
        state.flags = None
        if register is None or not bits or not self._is_immediate(instruction, 1):
            return
        value = state.registers[register]
        if isinstance(value, Word) and not value.bases.addresses:
            state.registers[register] = UNKNOWN  # What is compared with a constant is a number.
        if not isinstance(state.registers[register], Number):
            return
        number = state.number(register, instruction.ip)
        if number.name is not None:
            immediate = instruction.immediate(1) & ((1 << bits) - 1)
            state.flags = (number.name, min(bits, number.bits), immediate, instruction.ip)

    def _load(self, instruction: Any, state: State) -> Word:
        """The word that `movslq` reads: from a table, if a base is in sight."""
        reader = instruction.ip
        if instruction.is_ip_rel_memory_operand:
            place = Base(frozenset((instruction.ip_rel_memory_address,)))
            return Word(place, 0, Bound(0, reader), reader)
        numbers = (self._number(instruction.memory_base), self._number(instruction.memory_index))
        base, index = (UNKNOWN if number is None else state.registers[number] for number in numbers)
        if not isinstance(base, Base):
            return Word(ANY, 0, None, reader)
        bound = Bound(0, reader) if numbers[1] is None else None
        if instruction.memory_index_scale == 4:
            bound = state.bound(index)
        return Word(base, _signed(instruction.memory_displacement), bound, reader)

    def _sum(self, instruction: Any, one: Value, other: Value, displacement: int) -> Value | None:
        """A base plus a word makes a pointer, and is what this analysis looks for."""
        base, word = (one, other) if isinstance(one, Base) else (other, one)
        if not isinstance(base, Base) or not isinstance(word, Word):
            return None
        paired = word.bases.addresses == base.addresses and len(base.addresses) > 1
        exact = base.exact and word.bases.exact and (paired or len(word.bases.addresses) == 1)
        for address in base.addresses:
            first = address if paired else next(iter(word.bases.addresses), address)
            entry = first + word.displacement if exact else None
            bound = word.index if exact else None
            self.reads.add(Read(address + displacement, entry, bound, word.reader, instruction.ip))
        return None if displacement else Pointer(base, instruction.ip)

    def _sign_extended(self, instruction: Any, state: State, register: int) -> Value | None:
        if not isinstance(state.registers[register], Number):
            return None
        value = state.number(register, instruction.ip)
        if value.bits < 32:
            return value  # Extended from fewer bits: bit 31 and those above agree already.
        return Number(value.name, 32, signed=True)

    def _fresh(self, instruction: Any, state: State, limit: int) -> Number:
        """A new number, at most `limit`."""
        state.forget(instruction.ip)
        state.limit(instruction.ip, 64, Bound(limit, instruction.ip))
        return Number(instruction.ip)

    def _is_immediate(self, instruction: Any, operand: int) -> bool:
        return instruction.op_kind(operand) in self._immediates

    def _is_memory(self, instruction: Any, operand: int) -> bool:
        return bool(instruction.op_kind(operand) == self._iced.OpKind.MEMORY)


def _signed(value: int) -> int:
    """A 64-bit value as a signed number."""
    return value - (1 << 64) if value >> 63 else value


def _shifted(value: Value, displacement: int) -> Value | None:
    if not isinstance(value, Base):
        return None
    return Base(frozenset(address + displacement for address in value.addresses), value.exact)


def _zero_extended(value: Value, bits: int) -> Value | None:
    if not isinstance(value, Number):
        return None
    if value.bits >= bits:
        return Number(value.name, bits)
    return None if value.signed else value
