"""Code models whose addresses cannot be found in operands: the large one, and the medium one's large data.

There, code adds 64-bit distances: of the GOT from the code (`movabs $_GLOBAL_OFFSET_TABLE_-., %r11`, R_X86_64_GOTPC64),
and of data from the GOT (R_X86_64_GOTOFF64). See the System V x86-64 ABI, 3.5.1 and 3.5.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from pagefit.errors import Refused
from pagefit.realign.x86_64.operands import Window
from pagefit.realign.x86_64.program import Program

#: `movabs $imm64, %r64` whose value might fit in 32 bits: then assemblers choose it for distances alone.
_MOVABS: Final = re.compile(rb"[\x48\x49][\xb8-\xbf](?=(.{4}(?:\0{4}|\xff{4})))", re.DOTALL)
#: How far the `lea` that a distance counts from may be away from the `movabs` (bytes).
_NEAR: Final = 64


def distances(program: Program) -> Iterator[tuple[int, int]]:
    """The 64-bit distances in code: where the instruction is, and the distance."""
    for code in program.sections.runs:
        for match in _MOVABS.finditer(code.data):
            distance = int.from_bytes(match[1], "little", signed=True)
            if -(1 << 31) <= distance < 1 << 31:
                yield code.start + match.start(), distance


def refuse(distances: Iterable[tuple[int, int]], wanted: Window, where: str) -> None:
    """Raise Refused when one of these 64-bit distances leads from where it is to something in the window."""
    for place, distance in distances:
        if wanted.start - _NEAR <= place + distance < wanted.end + _NEAR:
            raise Refused(
                f"the code at {place:#x} holds a 64-bit distance to data that would move: it was compiled for the "
                "large code model",
                where=where,
                remedy="Compile it again without -mcmodel=large, or link it again.",
            )
