"""How large an index can be: the guard that every `switch` puts before its table.

LLVM writes CMP Wi, #last; B.HI default; and reads the table with Wi, a copy, or its low 8 or 16 bits extended again.
"""

from __future__ import annotations

from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.aarch64.flow import Function
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: Conditions that bound an unsigned number by the compared one: HI, LS (one entry more), HS, LO.
_ENTRIES: Final = {8: 1, 9: 1, 2: 0, 3: 0}
#: LS and LO hold on the taken branch; HI and HS on the other.
_BELOW: Final = frozenset({9, 3})
_FAR: Final = 512


class _View(NamedTuple):
    """The low `bits` of a register, extended in whatever way."""

    register: int
    bits: int


class _Path(NamedTuple):
    """A way backwards: where it is, what the index is there, the guards met, and the branch just taken."""

    here: int
    view: _View
    guards: dict[_View, int]
    condition: tuple[int, bool] | None = None
    masked: int | None = None


def index_bound(function: Function, pc: int, register: int) -> int | None:
    """How many entries the weakest guard on the paths to `pc` allows; None when one path has none.

    Walks backwards along every path. Both the index and what was compared are followed through copies, until they turn
    out to be the same.
    """
    found: list[int] = []
    waiting = [_Path(pc, _View(register, 32), {})]
    seen: set[tuple[int, _View]] = set()
    while waiting:
        path = waiting.pop()
        if len(seen) > _FAR:
            return None
        sources = function.before(path.here)
        if not sources and not path.masked:
            return None
        for source in sources or [path.here]:
            # Around a loop the index does not change: what bounds it is met on the other ways in.
            if not sources or (source, path.view) not in seen:
                seen.add((source, path.view))
                step = _step(function, path, source) if sources else path.masked
                if step is None:
                    return None
                if isinstance(step, _Path):
                    waiting.append(step)
                else:
                    found.append(step)
    return max(found, default=None)


def _step(function: Function, path: _Path, source: int) -> _Path | int | None:
    """One instruction further back: the rest of the path, the bound of the index, or None when it is lost."""
    word, taken = function.word(source), source != path.here - 4
    index, guards, condition, masked = path.view, path.guards, path.condition, path.masked
    if word & 0xFF000010 == 0x54000000:
        condition = (word & 15, taken)
    elif word & 0x7FC0001F == 0x7100001F:  # CMP Rn, #imm
        code, holds = condition or (-1, False)
        if code in _ENTRIES and holds == (code in _BELOW):
            guards = guards | {_View(a64.base(word), 32): (word >> 10 & 0xFFF) + _ENTRIES[code]}
        condition = None
    elif a64.sets_flags(word):
        condition = None
    if a64.writes(word, index.register):
        origin = _origin(word, index)
        if origin is None:
            return masked
        if origin.bits < index.bits:
            masked = 1 << origin.bits
        index = origin
    guards = _before(word, guards)
    for guarded, entries in guards.items():
        # With fewer bits the extensions differ, unless the number is below their sign bit.
        narrow = min(index.bits, guarded.bits)
        same = guarded.register == index.register and (guarded.bits == index.bits or guarded.bits == 32)
        if same and (narrow == 32 or entries <= 1 << narrow - 1):
            return entries
    return _Path(source, index, guards, condition, masked)


def _before(word: int, guards: dict[_View, int]) -> dict[_View, int]:
    """The guards, in terms of the registers before an instruction."""
    found = {}
    for guarded, guard in guards.items():
        origin = _origin(word, guarded) if a64.writes(word, guarded.register) else guarded
        if origin is not None:
            found[origin] = guard
    return found


def _origin(word: int, view: _View) -> _View | None:
    """What a view of the written register was before a copy, an extension or a mask; None for anything else."""
    if word & 0x7FE0FFE0 == 0x2A0003E0:  # MOV
        return _View(word >> 16 & 31, view.bits)
    if word & 0x7F800000 in (0x13000000, 0x53000000) and word >> 16 & 63 == 0:  # SXTB, SXTH, SXTW, UXTB, UXTH, UBFX #0
        return _View(a64.base(word), min(view.bits, (word >> 10 & 63) + 1))
    if word & 0x7F800000 == 0x12000000 and word >> 16 & 63 == 0:  # AND with low bits
        return _View(a64.base(word), min(view.bits, (word >> 10 & 63) + 1))
    return None
