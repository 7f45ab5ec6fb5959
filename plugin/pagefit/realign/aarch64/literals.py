"""Constants between functions: literal loads, and words that hold the distance from themselves to data.

Older OpenSSL assembly keeps `.quad OPENSSL_armcap_P - .` beside its code and adds it to its own address.
"""

from __future__ import annotations

from pagefit.errors import Refused
from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.aarch64.code import Code
from pagefit.realign.aarch64.text import Text
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_NEAR: Final = 12
_REMEDY: Final = "Link the file again for the larger page size."


def literals(code: Code, moves: Moves) -> Iterator[Patch]:
    """The words between code that lead to what moves.

    Raises Refused for a literal load that reads moving data itself, or such a word whose use is not understood.
    """
    for text in code.texts:
        for index in text.of(a64.LITERAL):
            word, pc = text.words[index], text.pc(index)
            target = a64.literal_target(word, pc)
            if moves.shift(target):
                if code.marked(text, pc) is not False and code.plausible(text, pc):
                    raise Refused(
                        f"the literal load at {pc:#x} reads data that moves, at {target:#x}",
                        where=code.file.where,
                        remedy=_REMEDY,
                    )
            elif size := a64.literal_size(word):
                yield from _distance(code, text, index, target, size, word & 31, moves)
        for index in text.of(a64.ADR):
            yield from _named(code, text, index, moves)


def _named(code: Code, text: Text, index: int, moves: Moves) -> Iterator[Patch]:
    """ADR Xd, word; LDR or LDRSW Xt, [Xd]: the word is read through its address."""
    word = text.words[index]
    target = a64.adr_target(word, text.pc(index))
    if not text.section.addr <= target < text.section.end:
        return
    for at in range(index + 1, min(index + _NEAR, len(text.words))):
        load = text.words[at]
        if a64.base(load) == word & 31 and load >> 22 in (0x2E6, 0x2E5, 0x3E5):  # LDRSW X, LDR W, LDR X
            place = target + (a64.immediate_offset(load) or 0)
            size = 8 if load >> 22 == 0x3E5 else 4
            yield from _distance(code, text, at, place, size, load & 31, moves)
        if a64.writes(load, word & 31):
            return


def _distance(code: Code, text: Text, index: int, place: int, size: int, loaded: int, moves: Moves) -> Iterator[Patch]:
    """The patch for a word at `place` in text, loaded by the instruction at `index`, when it is a distance to data."""
    home = next((t for t in code.texts if t.section.addr <= place and place + size <= t.section.end), None)
    if home is None or code.marked(text, text.pc(index)) is False:
        return
    offset = home.offset(place)
    raw = code.file.data[offset : offset + size]
    byteorder = code.file.header.byteorder
    value = int.from_bytes(raw, byteorder, signed=True)
    delta = moves.shift(place + value)
    if not delta or not code.plausible(text, text.pc(index)):
        return
    if not _added_to(text, index, loaded, place):
        if size == 4:
            return  # a constant that happens to be as large
        raise Refused(
            f"the word at {place:#x} in {home.section.name} may be the distance to data that moves",
            where=code.file.where,
            remedy=_REMEDY,
        )
    new = (value + delta).to_bytes(size, byteorder, signed=True)
    yield Patch(offset, raw, new, f"PREL{8 * size}", place + value)


def _added_to(text: Text, index: int, loaded: int, place: int) -> bool:
    """Whether code near `index` adds what it loaded to the address of `place`."""
    near = range(max(0, index - _NEAR), min(index + _NEAR, len(text.words)))
    bases = {
        text.words[at] & 31
        for at in near
        if a64.matches(text.words[at], a64.ADR) and a64.adr_target(text.words[at], text.pc(at)) == place
    }
    sums = {word for base in bases for word in a64.additions(base, loaded)}
    return any(text.words[at] & -32 in sums for at in near)
