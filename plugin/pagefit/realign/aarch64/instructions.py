"""The A64 instructions that form or use addresses: what their 32 bits say (Arm ARM, C4 and C6).

Instructions are little-endian in both byte orders. Nothing here knows of files; addresses are plain numbers.
"""

from __future__ import annotations

from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TypeAlias

NOP: Final = 0xD503201F
ZERO: Final = 31  # register 31: the zero register or the stack pointer

#: A form of instruction: the bits that tell, and what they say.
Form: TypeAlias = tuple[int, int]

#: ADRP Xd, page; ADR Xd, address.
ADRP: Final[Form] = (0x9F000000, 0x90000000)
ADR: Final[Form] = (0x9F000000, 0x10000000)
#: ADD Xd, Xn, #imm12, 64 bits, unshifted: what `:lo12:` uses.
ADD_IMMEDIATE: Final[Form] = (0xFFC00000, 0x91000000)
#: Loads and stores with a base register and an unsigned scaled offset.
UNSIGNED_OFFSET: Final[Form] = (0x3B000000, 0x39000000)
#: LDR, LDRSW or PRFM with a PC-relative address.
LITERAL: Final[Form] = (0x3B000000, 0x18000000)
#: LDRSW Xt, [Xn, #offset]; LDRSW Xt, [Xn, Rm, extend #2], which reads a table of 32-bit words.
LDRSW: Final[Form] = (0xFFC00000, 0xB9800000)
LDRSW_INDEXED: Final[Form] = (0xFFE01C00, 0xB8A01800)
#: The bits of an ADRP or ADR that say nothing of where it leads.
WITHOUT_TARGET: Final = 0x9F00001F
#: What few words are, but each has to be looked at.
RARE: Final = (ADR, LITERAL, LDRSW, LDRSW_INDEXED)
#: B; B.cond; CBZ and CBNZ; TBZ and TBNZ.
BRANCH: Final[Form] = (0xFC000000, 0x14000000)
CONDITIONAL: Final[Form] = (0xFF000000, 0x54000000)
COMPARE_BRANCH: Final[Form] = (0x7E000000, 0x34000000)
TEST_BRANCH: Final[Form] = (0x7E000000, 0x36000000)
#: BR, BLR, RET, ERET.
BRANCH_REGISTER: Final[Form] = (0xFE000000, 0xD6000000)
#: BL; BLR, with or without pointer authentication.
CALL: Final[Form] = (0xFC000000, 0x94000000)
CALL_REGISTER: Final[Form] = (0xFEFFF000, 0xD63F0000)
#: No instructions, by the top level of the encoding (Arm ARM C4.1).
UNALLOCATED: Final[tuple[Form, ...]] = ((0x9E000000, 0), (0x1A000000, 0x02000000))

_CALLER_SAVED: Final = frozenset({*range(19), 30})


def signed(value: int, bits: int) -> int:
    """Sign-extend the low `bits` of a value."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def matches(word: int, form: Form) -> bool:
    """Whether a word is an instruction of a form."""
    return word & form[0] == form[1]


def adr_target(word: int, pc: int) -> int:
    """The address that an ADR or ADRP at `pc` forms (ADRP: of a 4 KiB page)."""
    immediate = signed((word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3, 21)
    return (pc & ~0xFFF) + (immediate << 12) if word >> 31 else pc + immediate


def with_adr_target(word: int, pc: int, target: int) -> int | None:
    """The same ADR or ADRP leading to another target; None when that is out of its reach."""
    distance = (target - (pc & ~0xFFF)) >> 12 if word >> 31 else target - pc
    if not -(1 << 20) <= distance < 1 << 20:
        return None
    return word & WITHOUT_TARGET | (distance & 3) << 29 | (distance >> 2 & 0x7FFFF) << 5


def add_immediate(register: int, immediate: int) -> int:
    """ADD Xregister, Xregister, #immediate."""
    return 0x91000000 | immediate << 10 | register << 5 | register


def adrp(register: int) -> int:
    """ADRP Xregister, without its immediate."""
    return 0x90000000 | register


def immediate_offset(word: int) -> int | None:
    """The offset of a load or store with a base register and an unsigned scaled offset (bytes); None for others."""
    if not matches(word, UNSIGNED_OFFSET):
        return None
    size = word >> 30
    if word & 0x04800000 == 0x04800000:  # 128-bit SIMD
        size = 4
    return (word >> 10 & 0xFFF) << size


def base(word: int) -> int:
    """Rn: the base register, or first operand."""
    return word >> 5 & 31


def literal_target(word: int, pc: int) -> int:
    """The address that a literal load reads."""
    return pc + (signed(word >> 5, 19) << 2)


def literal_size(word: int) -> int:
    """How many bytes a literal load into a general register reads (4: LDR W, LDRSW; 8: LDR X); 0 for the others."""
    return {0x18: 4, 0x98: 4, 0x58: 8}.get(word >> 24, 0)


@cache
def additions(one: int, other: int) -> frozenset[int]:
    """ADD of two registers in either order, unshifted or extended by SXTW/SXTX #0, without the lowest bits (Rd)."""
    return frozenset(
        form | first << 5 | second << 16
        for form in (0x8B000000, 0x8B20C000, 0x8B20E000)
        for first, second in ((one, other), (other, one))
    )


def branch_target(word: int, pc: int) -> int | None:
    """Where a direct branch other than a call leads; None for everything else."""
    if matches(word, BRANCH):
        return pc + (signed(word, 26) << 2)
    if matches(word, CONDITIONAL) or matches(word, COMPARE_BRANCH):
        return pc + (signed(word >> 5, 19) << 2)
    if matches(word, TEST_BRANCH):
        return pc + (signed(word >> 5, 14) << 2)
    return None


def is_call(word: int) -> bool:
    """BL or BLR (with or without pointer authentication)."""
    return matches(word, CALL) or matches(word, CALL_REGISTER)


def sets_flags(word: int) -> bool:
    """Whether an instruction may change the condition flags: ADDS, SUBS, ANDS, BICS, CCMP, FCMP, ADCS, and calls."""
    group = word >> 25 & 15
    if group in (8, 9, 5, 13):  # bit 29 is S, in arithmetic and logical instructions alike; CCMP and ADCS have it, too
        return bool(word & 0x20000000)
    return is_call(word) or (group in (7, 15) and word & 0x5F200C00 in (0x1E200000, 0x1E200400)) or group == 2


def falls_through(word: int) -> bool:
    """Whether control can reach the next instruction: not behind B, BR, RET, ERET, UDF."""
    if matches(word, BRANCH) or word >> 16 == 0:
        return False
    return not matches(word, BRANCH_REGISTER) or is_call(word)


def allocated(word: int) -> bool:
    """Whether the word can be an instruction at all."""
    return not any(matches(word, form) for form in UNALLOCATED)


def writes(word: int, register: int) -> bool:
    """Whether an instruction may write a general register; true when in doubt. Calls write what callers save."""
    group = word >> 25 & 15
    if group in (8, 9):  # data processing, immediate: Rd 31 of the flag-setting ones is the zero register
        return word & 31 == register
    if group in (10, 11):  # branches, exceptions, system
        if is_call(word):
            return register in _CALLER_SAVED
        if word & 0xFFC00000 == 0xD5000000:  # MRS, SYSL read into Rt
            return bool(word & 0x00200000) and word & 31 == register
        return word & 0xFF000000 == 0xD4000000 and register in _CALLER_SAVED  # SVC
    if group in (5, 13):  # data processing, registers
        return word & 31 == register and word & 0x1FE00000 != 0x1A400000  # CCMP, CCMN have no Rd
    if group in (4, 6, 12, 14):
        return _memory_writes(word, register)
    # SIMD and floating point: only moves and conversions to general registers (bits 28..24 = 11110, or UMOV, SMOV).
    return word & 31 == register and (word & 0x5F200000 == 0x1E200000 or word & 0xBFE08400 == 0x0E000400 or group == 2)


def _memory_writes(word: int, register: int) -> bool:
    vector = bool(word & 0x04000000)
    if word & 0x3B000000 == 0x18000000:  # literal
        return not vector and word & 31 == register and word >> 30 != 3
    if word & 0x3A000000 == 0x28000000:  # pairs
        written = base(word) == register and bool(word & 0x00800000)
        loads = bool(word & 0x00400000) and not vector
        return written or (loads and register in (word & 31, word >> 10 & 31))
    if word & 0x3B000000 == 0x39000000:  # unsigned offset
        return not vector and word & 0x00C00000 != 0 and word & 31 == register
    if word & 0x3B200C00 == 0x38200800:  # register offset
        return not vector and word & 0x00C00000 != 0 and word & 31 == register
    if word & 0x3B200000 == 0x38000000:  # unscaled, pre- and post-indexed, unprivileged
        written = base(word) == register and bool(word & 0x00000400)
        return written or (not vector and word & 0x00C00000 != 0 and word & 31 == register)
    return register in (word & 31, base(word), word >> 10 & 31, word >> 16 & 31)  # exclusives, atomics, vectors
