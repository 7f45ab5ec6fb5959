"""RIP-relative operands that lead into moved pieces: every one of them, found from the bytes and proved by decoding.

An operand `disp32(%rip)` is a ModRM byte with mod 00 and r/m 101, then the displacement (Intel SDM 2.2.1.6), then at
most four bytes of immediate. So a search for such bytes finds a *superset* of all operands into a range of addresses,
whatever the instructions are; it misses none. Decoding then says of each place whether it is an operand or something
else: the tail of an immediate, or bytes of two neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pagefit.realign.moves import UNIT, Moves
from pagefit.realign.x86_64.program import Code, Program

#: ModRM bytes that announce disp32(%rip).
_MODRM: Final = rb"[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]"
#: `lea disp32(%rip), %r64`.
_LEA: Final = re.compile(rb"[\x48\x4c]\x8d" + _MODRM + rb"(?=(.{4}))", re.DOTALL)
#: Code is searched in pieces of this length (bytes): the shorter, the fewer upper halves a displacement can have.
_PIECE: Final = 1 << 20
#: The longest immediate behind a displacement (bytes).
_IMMEDIATE: Final = 4
#: The longest instruction (bytes, Intel SDM 2.3.11).
LONGEST: Final = 15


class Operand(NamedTuple):
    """The operand `disp32(%rip)` whose displacement lies at address `field` and leads to `target`.

    `after` is the address of the next instruction, which the displacement counts from; `lea` tells an address that
    is formed from memory that is read or written.
    """

    field: int
    after: int
    target: int
    lea: bool


@dataclass(frozen=True, slots=True)
class Window:
    """The addresses worth looking at: all that moves, and a page of the gaps around it.

    A displacement into such a gap is no reference that anybody can settle; it has to be seen to be refused.
    """

    start: int
    end: int

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.end


def window(moves: Moves) -> Window | None:
    """The range around all moved pieces; None when nothing moves."""
    if not moves.moved:
        return None
    first, last = moves.moved[0], moves.moved[-1]
    below = max((p.end + 1 for p in moves.pieces if p.end <= first.start), default=0)
    above = min((p.start for p in moves.pieces if p.start >= last.end), default=last.end + UNIT + 1)
    # Where a piece that stays ends as the first starts, what lies there is the first's.
    return Window(min(max(first.start - UNIT, below), first.start), min(last.end + UNIT + 1, above))


def candidates(data: bytes, address: int, wanted: Window) -> list[int]:
    """The addresses of all displacements in `data` (which lies at `address`) that could lead into a window."""
    # The displacement counts from behind the immediate, whose length is not known yet.
    low, high = wanted.start - address - 5 - _IMMEDIATE, wanted.end - address - 5
    convert = int.from_bytes
    found: list[int] = []
    for start in range(0, len(data), _PIECE):
        end = min(start + _PIECE, len(data))
        fields = _fields(low - end, high - start).finditer(data, start, end + 4)
        found += [
            address + place + 1
            for place, displacement in ((m.start(), m[1]) for m in fields)
            if low <= place + convert(displacement, "little", signed=True) < high and place < end
        ]
    return found


def _fields(low: int, high: int) -> re.Pattern[bytes]:
    """What finds ModRM bytes with displacements from `low` to `high`, and with others of the same upper halves."""
    middles: dict[int, list[int]] = {}
    for upper in range(max(low, -1 << 31) >> 16, (min(high, (1 << 31) - 1) >> 16) + 1):
        middles.setdefault(upper >> 8, []).append(upper)
    uppers = b"|".join(one_of(those) + one_of([top]) for top, those in middles.items()) or one_of([])
    return re.compile(_MODRM + b"(?=(..(?:" + uppers + b")))", re.DOTALL)


def one_of(numbers: Iterable[int]) -> bytes:
    """A regular expression for a byte that is the lowest one of one of these numbers; maybe there is none."""
    escaped = b"".join(b"\\x%02x" % (number & 0xFF) for number in numbers)
    return b"[" + escaped + b"]" if escaped else b"(?!)"


@dataclass(slots=True)
class Explained:
    """What decoding one run of code made of its candidates."""

    operands: list[Operand]
    #: Candidates that are other parts of instructions.
    others: list[int]
    #: Candidates from the first invalid instruction on, where nothing is known.
    unknown: list[int]


def explain(iced: Any, code: Code, fields: Sequence[int], wanted: Window) -> Explained:
    """Decode a run of code up to its last candidate, and say what each candidate is.

    `fields` are addresses in ascending order inside `code`.
    """
    result = Explained([], [], [])
    pending = iter(fields)
    field = next(pending, None)
    decoder = iced.Decoder(64, code.data, ip=code.start)
    for instruction in decoder:
        if field is None:
            break
        after = instruction.next_ip
        if instruction.is_invalid:
            result.unknown += [field, *pending]
            break
        if after <= field:
            continue
        place = displacement(decoder, instruction)
        while field is not None and field < after:
            if field != place:
                result.others.append(field)
            elif (target := instruction.ip_rel_memory_address) in wanted:
                result.operands.append(Operand(field, after, target, is_lea(iced, instruction)))
            field = next(pending, None)
    return result


def displacement(decoder: Any, instruction: Any) -> int | None:
    """The address of an instruction's RIP-relative displacement; None when it has none."""
    if not instruction.is_ip_rel_memory_operand:
        return None
    return int(instruction.ip + decoder.get_constant_offsets(instruction).displacement_offset)


def is_lea(iced: Any, instruction: Any) -> bool:
    """Whether an instruction forms an address without touching what lies there."""
    return bool(instruction.mnemonic == iced.Mnemonic.LEA)


def consistent(iced: Any, code: Code) -> bool:
    """Whether a run of code decodes to its end, and every branch inside it lands where an instruction starts.

    Data between instructions shifts the decoder; a branch over the data then lands inside an instruction. Branches that
    skip a LOCK or REP prefix do so on purpose.
    """
    starts: set[int] = set()
    targets: set[int] = set()
    for instruction in iced.Decoder(64, code.data, ip=code.start):
        if instruction.is_invalid:
            return False
        starts.add(instruction.ip)
        if instruction.has_lock_prefix or instruction.has_rep_prefix or instruction.has_repne_prefix:
            starts.add(instruction.ip + 1)
        if (target := near_target(instruction)) is not None and code.start <= target < code.end:
            targets.add(target)
    return targets <= starts


def near_target(instruction: Any) -> int | None:
    """Where a direct jump, call or loop leads; None for other instructions."""
    return instruction.near_branch_target or None


def could_be_operand(iced: Any, code: Code, field: int, wanted: Window) -> bool:
    """Whether *any* way to decode the bytes around a candidate makes it an operand into the window.

    Every start up to the longest instruction before the candidate is tried.
    """
    for start in range(max(code.start, field - LONGEST + 4), field):
        place = start - code.start
        decoder = iced.Decoder(64, code.data[place : place + LONGEST], ip=start)
        instruction = decoder.decode()
        if (
            not instruction.is_invalid
            and displacement(decoder, instruction) == field
            and instruction.ip_rel_memory_address in wanted
        ):
            return True
    return False


def lea_sites(program: Program) -> Iterator[tuple[int, int]]:
    """The bytes that read as `lea disp32(%rip), %r64`: their address, and the address they form."""
    for code in program.sections.runs:
        for match in _LEA.finditer(code.data):
            after = code.start + match.end() + 4
            yield code.start + match.start(), after + int.from_bytes(match[1], "little", signed=True)
