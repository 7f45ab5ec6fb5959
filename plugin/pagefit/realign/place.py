"""Where each part of the image goes: its new address and its new file offset.

One walk over the parts in address order. Two parts that share a page of the target size are *glued* when they may
share it (they keep their distance, in memory and in the file, and become one mapping there); otherwise the later one
moves on to a page of its own. Addresses only grow, and by no more than needed.

With the same walk: nothing may move (classes a0, a1), only the tail may (b), or all data may (c).
"""

from __future__ import annotations

from pagefit.errors import Refused
from pagefit.realign.moves import UNIT, Moves, Piece, moves
from pagefit.realign.parts import Part
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

_RELINK = "Link it again with -Wl,-z,max-page-size={0} -Wl,-z,common-page-size={0}."


class Policy(NamedTuple):
    """What the walk may do. Sizes in bytes.

    `unit`: moves are multiples of it. `movable`: whether a part's address may change. `relro`: whether RELRO must have
    pages of its own. `apart`: movable parts share no page with others. `file`: where bytes go: `dense`, they stay and
    movable parts take an address that suits them, others go to the next offset that suits their address; `padded`, to
    an offset equal to the address. `shared`: RELRO may share a page with the constants before it, which is
    writable until the loader has written its relocations, and protected by RELRO from there on.
    """

    page: int
    unit: int
    movable: Callable[[Part], bool]
    relro: bool
    file: Literal["dense", "padded"]
    apart: bool = False
    shared: bool = False


class Placed(NamedTuple):
    """A part with its move (bytes), its new file offset, and whether it is glued to the part before.

    `end` is the new address behind its last byte of memory: RELRO is stretched to the end of its page.
    """

    part: Part
    delta: int
    offset: int
    glued: bool
    end: int

    @property
    def start(self) -> int:
        """The new address."""
        return self.part.start + self.delta

    @property
    def file_end(self) -> int:
        """The new address behind the last byte that comes from the file."""
        return self.part.file_end + self.delta

    @property
    def bias(self) -> int:
        """New address minus new offset."""
        return self.start - self.offset


def place(parts: Sequence[Part], policy: Policy, *, where: str = "") -> tuple[Placed, ...]:
    """Walk the parts. Raises Refused when a part that may not move would have to."""
    placed: list[Placed] = []
    cursor = 0
    for part in parts:
        placed.append(_next(part, placed, cursor, policy, where))
        if part.file_end > part.start:
            cursor = placed[-1].offset + part.file_end - part.start
    return tuple(placed)


def moves_of(placed: Sequence[Placed]) -> Moves:
    """The moves of a placement, in the terms that references are looked up by."""
    return moves(Piece(one.part.start, one.part.end, one.delta) for one in placed)


def up(value: int, unit: int) -> int:
    """The smallest multiple of `unit` (a power of two) that is not below `value`."""
    return (value + unit - 1) & -unit


def down(value: int, unit: int) -> int:
    """The greatest multiple of `unit` (a power of two) that is not above `value`."""
    return value & -unit


def _next(part: Part, placed: Sequence[Placed], cursor: int, policy: Policy, where: str) -> Placed:
    previous = placed[-1] if placed else None
    shift = previous.delta if previous else 0
    taken = up(previous.end, policy.page) if previous else 0
    if previous and down(part.start + shift, policy.page) < taken:
        if not _conflict(previous.part, part, policy) or (policy.shared and _protected_later(placed, part, policy)):
            offset = previous.offset + part.start - previous.part.start
            return Placed(part, shift, offset, True, _end(part, shift, policy))
        if part.executable or not policy.movable(part):
            raise _refused(part, policy, where)
    elif shift and part.executable:
        raise _refused(part, policy, where)
    movable = policy.movable(part) and not part.executable and previous is not None
    wanted = max(part.offset, cursor)
    if not movable:
        return Placed(part, shift, _offset(part, part.start + shift, wanted, policy), False, _end(part, shift, policy))
    delta = _delta(part, shift, taken, up(wanted - part.start, UNIT) + part.start, policy)
    return Placed(part, delta, _offset(part, part.start + delta, wanted, policy), False, _end(part, delta, policy))


def _conflict(before: Part, after: Part, policy: Policy) -> bool:
    """Whether two parts must not share a page: W^X, read-only data, and RELRO are kept."""
    if policy.apart and policy.movable(after):
        return True
    return before.writable != after.writable or (policy.relro and before.relro != after.relro)


def _protected_later(placed: Sequence[Placed], part: Part, policy: Policy) -> bool:
    """Whether RELRO can share its first page with what was placed before: constants only, for W^X is kept."""
    page = down(part.start + placed[-1].delta, policy.page)
    sharing = [one.part for one in placed if one.end > page]
    return part.relro and not any(before.executable or before.writable for before in sharing)


def _delta(part: Part, shift: int, taken: int, offset: int, policy: Policy) -> int:
    """The smallest move from `shift` on that clears `taken`, and suits the file offset or the end of RELRO."""
    delta = up(max(shift, taken - part.start), policy.unit)
    if policy.relro and part.relro_end is not None:
        residue = -part.relro_end % policy.page
    elif policy.file == "dense":
        residue = (offset - part.start) % policy.page
    else:
        return delta
    return delta if residue % policy.unit else delta + (residue - delta) % policy.page


def _offset(part: Part, address: int, wanted: int, policy: Policy) -> int:
    if policy.file == "padded":
        return address
    if part.file_end == part.start:
        # No bytes; but glibc maps the file's page there before it clears it, so it must exist.
        return max(address % policy.page, wanted - (wanted - address) % policy.page)
    return wanted + (address - wanted) % policy.page


def _end(part: Part, delta: int, policy: Policy) -> int:
    # Stretched to the page's end, together with its LOAD: mprotect fails on a hole at smaller page sizes.
    return up(part.end + delta, policy.page) if part.relro and policy.relro else part.end + delta


def _refused(part: Part, policy: Policy, where: str) -> Refused:
    what = "an executable segment" if part.executable else f"the {part.load.rights} segment"
    return Refused(
        f"{what} at {part.start:#x} would have to move",
        where=where,
        remedy=_RELINK.format(policy.page),
    )
