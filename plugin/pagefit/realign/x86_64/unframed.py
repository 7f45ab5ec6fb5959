"""Code that no unwind table names: start-up code, and hand-written assembly with its constants between the functions.

Bytes there are instructions only when something leads to them. So they are followed from what is known to be called:
along each path, through calls and branches, to its end. What no path reaches may be data; an operand that only *could*
be one there is refused by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pagefit.realign.x86_64.operands import Operand, Window, displacement, is_lea, near_target
from pagefit.realign.x86_64.program import Runs


@dataclass(slots=True)
class Reached:
    """What following the code found: the extent of every instruction, and the operands into the window."""

    #: Address of each instruction and the one behind it.
    instructions: dict[int, int] = field(default_factory=dict)
    operands: dict[int, Operand] = field(default_factory=dict)

    def covers(self, address: int) -> bool:
        """Whether the byte at an address belongs to an instruction that was reached."""
        # No instruction is longer than 15 bytes, so there are few places to ask.
        return any(self.instructions.get(start, 0) > address for start in range(address - 14, address + 1))

    def merge(self, other: Reached) -> None:
        """Take over what another path found."""
        self.instructions.update(other.instructions)
        self.operands.update(other.operands)


def follow(iced: Any, gaps: Runs, entry: int, wanted: Window, known: Reached) -> Reached | None:
    """Follow the code from an entry through `gaps`, without going where `known` has been.

    Returns what is new; None when a path runs into bytes that are no instruction: then the entry was no code.
    """
    reached = Reached()
    pending = [entry]
    while pending:
        address = pending.pop()
        gap = gaps.at(address)
        if gap is None:
            continue  # It leads into a function that unwind tables name, or to another section.
        decoder = iced.Decoder(64, gap.data, ip=gap.start)
        decoder.position, decoder.ip = address - gap.start, address
        for instruction in decoder:
            if instruction.is_invalid:
                return None
            if instruction.ip in reached.instructions or instruction.ip in known.instructions:
                break
            reached.instructions[instruction.ip] = instruction.next_ip
            place = displacement(decoder, instruction)
            if place is not None and (target := instruction.ip_rel_memory_address) in wanted:
                reached.operands[place] = Operand(place, instruction.next_ip, target, is_lea(iced, instruction))
            if (target := near_target(instruction)) is not None:
                pending.append(target)
            if _ends(iced, instruction):
                break
    return reached


def _ends(iced: Any, instruction: Any) -> bool:
    kinds = iced.FlowControl
    return instruction.flow_control in (
        kinds.UNCONDITIONAL_BRANCH,
        kinds.INDIRECT_BRANCH,
        kinds.RETURN,
        kinds.EXCEPTION,
    )
