"""Android's packed relocations (DT_ANDROID_REL, DT_ANDROID_RELA): groups of SLEB128 numbers behind `APS2`.

The format is that of bionic's `linker_reloc_iterators.h`. Groups are kept as they are found, so that a table whose
addresses have moved is written again in the shape its linker gave it.
"""

from __future__ import annotations

from pagefit.errors import InputError
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

_BY_INFO, _BY_OFFSET, _BY_ADDEND, _HAS_ADDEND = 1, 2, 4, 8
_MAGIC: Final = b"APS2"
_WORD: Final = 1 << 64


class Group(NamedTuple):
    """Relocations written together: `flags` as in the file, rows of (place, info, addend)."""

    flags: int
    rows: tuple[tuple[int, int, int], ...]


def decode(packed: bytes, *, where: str = "") -> list[Group]:
    """The groups of a table. Raises InputError when it is damaged."""
    if packed[:4] != _MAGIC:
        raise InputError("packed relocations do not start with APS2", where=where)
    numbers = _slebs(packed[4:])
    groups = []
    try:
        count, place, addend = next(numbers), next(numbers), 0
        while count > 0:
            size, flags = next(numbers), next(numbers)
            step = next(numbers) if flags & _BY_OFFSET else 0
            info = next(numbers) if flags & _BY_INFO else 0
            if not flags & _HAS_ADDEND:
                addend = 0
            elif flags & _BY_ADDEND:
                addend += next(numbers)
            rows = []
            for _ in range(size):
                place += step if flags & _BY_OFFSET else next(numbers)
                info = info if flags & _BY_INFO else next(numbers)
                if flags & (_HAS_ADDEND | _BY_ADDEND) == _HAS_ADDEND:
                    addend += next(numbers)
                rows.append((place % _WORD, info, addend % _WORD))
            groups.append(Group(flags, tuple(rows)))
            count -= size
    except StopIteration:
        raise InputError("packed relocations end early", where=where) from None
    return groups


def encode(groups: Iterable[Group], first: int) -> bytes:
    """A table of the same groups; `first` is the place that the first distance counts from (the table's second number).

    A group whose rows no longer have one distance or one addend is written row by row.
    """
    groups = list(groups)
    numbers = [sum(len(group.rows) for group in groups), first]
    place, addend = first, 0
    for group in groups:
        flags = group.flags
        if not flags & _HAS_ADDEND:
            addend = 0
        places = [row[0] for row in group.rows]
        steps = [after - before for before, after in zip([place, *places], places, strict=False)]
        if len(set(steps)) > 1:
            flags &= ~_BY_OFFSET
        if len({row[2] for row in group.rows}) > 1:
            flags &= ~_BY_ADDEND
        numbers += [len(group.rows), flags]
        numbers += steps[:1] if flags & _BY_OFFSET else []
        numbers += [group.rows[0][1]] if flags & _BY_INFO else []
        if flags & _HAS_ADDEND and flags & _BY_ADDEND:
            numbers.append(_signed(group.rows[0][2] - addend))
            addend = group.rows[0][2]
        for step, (_, info, value) in zip(steps, group.rows, strict=True):
            numbers += [] if flags & _BY_OFFSET else [step]
            numbers += [] if flags & _BY_INFO else [info]
            if flags & (_HAS_ADDEND | _BY_ADDEND) == _HAS_ADDEND:
                numbers.append(_signed(value - addend))
                addend = value
        place = places[-1] if places else place
    return _MAGIC + b"".join(_sleb(number) for number in numbers)


def first_place(packed: bytes) -> int:
    """The place that a table's distances count from."""
    numbers = _slebs(packed[4:])
    next(numbers)
    return next(numbers)


def _signed(value: int) -> int:
    value %= _WORD
    return value - _WORD if value >= _WORD // 2 else value


def _slebs(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value - (1 << shift) if byte & 0x40 else value
            value = shift = 0


def _sleb(value: int) -> bytes:
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)
