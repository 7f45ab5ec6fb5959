"""Unwind tables: `.eh_frame` and the language-specific data (`.gcc_except_table`) it leads to.

Read for two uses: where functions lie, and every pointer in these tables with its encoding (LSB core 10.6, DWARF
exception header encodings; the LSDA as gcc and LLVM write it, Itanium C++ ABI "Exception Handling Tables").
"""

from __future__ import annotations

import re

from pagefit.elf.sections import ElfFile, Section
from pagefit.errors import Refused
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

_OMIT: Final = 0xFF
_PCREL: Final = 0x10
_PCREL_SDATA4: Final = 0x1B
_ULEB128: Final = 0x01
_INDIRECT: Final = 0x80
#: Low nibble of an encoding: size in bytes (0: a word of the class) and whether signed.
_FORMATS: Final = {0x0: (0, False), 0x2: (2, False), 0x3: (4, False), 0x4: (8, False)} | {
    0x8: (0, True),
    0xA: (2, True),
    0xB: (4, True),
    0xC: (8, True),
}
#: One number: bytes with their highest bit set, and a last one without.
_LEB128: Final = re.compile(rb"[\x80-\xff]*[\x00-\x7f]")
_REMEDY: Final = "Link the file again for the larger page size; its unwind tables are of a kind that is not understood."


class Pointer(NamedTuple):
    """A pointer in an unwind table: `size` bytes at an address, relative to `base` (None: absolute)."""

    address: int
    size: int
    base: int | None
    target: int
    role: str


class Cie(NamedTuple):
    """A common information entry: how its FDEs are encoded, and its personality routine."""

    augmentation: str
    fde_encoding: int
    lsda_encoding: int
    personality: Pointer | None


class Frame(NamedTuple):
    """A frame description entry: the code `start <= x < end`, and its LSDA when it has one."""

    cie: Cie
    pc: Pointer
    end: int
    lsda: Pointer | None

    @property
    def start(self) -> int:
        """The address of the first instruction covered."""
        return self.pc.target


class Cursor:
    """Reads the encodings of unwind tables from one section, by address. Raises Refused at the section's end."""

    def __init__(self, file: ElfFile, section: Section) -> None:
        self.data = file.contents(section)
        self.start = section.addr
        self.where = file.where
        self.section = section
        self.byteorder = file.header.byteorder
        self.word = file.header.bits // 8
        self.usual = file.struct("iIBi")
        self.cies: dict[int, Cie] = {}  # by their addresses

    def refuse(self, address: int, what: str) -> Refused:
        """An error that names the table and the address."""
        return Refused(f"{self.section.name} at {address:#x}: {what}", where=self.where, remedy=_REMEDY)

    def integer(self, address: int, size: int, signed: bool = False) -> int:
        """The integer of `size` bytes at an address."""
        at = address - self.start
        if at < 0 or at + size > len(self.data):
            raise self.refuse(address, "reaches out of its section")
        return int.from_bytes(self.data[at : at + size], self.byteorder, signed=signed)

    def leb(self, address: int, signed: bool = False) -> tuple[int, int]:
        """A LEB128 number at an address, and the address behind it."""
        value = shift = 0
        while True:
            byte = self.integer(address, 1)
            address += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if signed and byte & 0x40:
            value -= 1 << shift
        return value, address

    def string(self, address: int) -> tuple[str, int]:
        """A zero-terminated string at an address, and the address behind it."""
        at = address - self.start
        end = self.data.find(b"\0", at)
        if end < 0:
            raise self.refuse(address, "a string without end")
        return self.data[at:end].decode("latin-1"), address + end - at + 1

    def pointer(self, address: int, encoding: int, role: str) -> tuple[Pointer | None, int]:
        """An encoded pointer (None when it is null) and the address behind it."""
        size, signed = self.format(address, encoding)
        value = self.integer(address, size, signed)
        application = encoding & 0x70
        if application not in (0, _PCREL):
            raise self.refuse(address, f"pointer encoding {encoding:#x} is not understood")
        base = address if application == _PCREL else None
        target = (value + (base or 0)) % (1 << 8 * self.word)
        return (Pointer(address, size, base, target, role) if value else None), address + size

    def format(self, address: int, encoding: int) -> tuple[int, bool]:
        """Size in bytes and signedness of an encoding."""
        form = _FORMATS.get(encoding & 0xF)
        if form is None:
            raise self.refuse(address, f"pointer encoding {encoding:#x} is not understood")
        return form[0] or self.word, form[1]


def frames(file: ElfFile) -> Iterator[Frame]:
    """All FDEs of `.eh_frame`, in the order of the table. Raises Refused for a table that is not understood."""
    for entry in entries(file):
        if isinstance(entry, Frame):
            yield entry


def frame_at(cursor: Cursor, address: int) -> Frame:
    """The FDE at an address. Raises Refused when none is there."""
    body = address + 4
    if cursor.integer(address, 4) == 0xFFFFFFFF:
        body += 8
    distance = cursor.integer(body, 4)
    if distance == 0:
        raise cursor.refuse(address, "this is no FDE")
    owner = body - distance
    if owner not in cursor.cies:
        cursor.cies[owner] = _cie(cursor, owner + (16 if cursor.integer(owner, 4) == 0xFFFFFFFF else 8))
    return _frame(cursor, cursor.cies[owner], body + 4)


def ranges(file: ElfFile) -> list[tuple[int, int]]:
    """The (start, end) addresses of all functions with an FDE, ascending: as `frames` tells, and faster."""
    found = []
    for cursor, cie, body in _records(file, lambda _: True):
        if isinstance(cie, Cie) and cie.fde_encoding == _PCREL_SDATA4:
            at = body - cursor.start
            start = body + int.from_bytes(cursor.data[at : at + 4], cursor.byteorder, signed=True)
            found.append((start, start + int.from_bytes(cursor.data[at + 4 : at + 8], cursor.byteorder)))
        elif isinstance(cie, Cie):
            frame = _frame(cursor, cie, body)
            found.append((frame.start, frame.end))
    return sorted(found)


def entries(file: ElfFile, wanted: Callable[[Cie], bool] = lambda _: True) -> Iterator[Cie | Frame]:
    """All entries of `.eh_frame`, in order; a CIE comes before its FDEs, which are read when it is `wanted`.

    Raises Refused as `frames` does.
    """
    for cursor, cie, body in _records(file, wanted):
        yield _cie(cursor, body) if cie is None else _frame(cursor, cie, body)


def _records(file: ElfFile, wanted: Callable[[Cie], bool]) -> Iterator[tuple[Cursor, Cie | None, int]]:
    """(cursor, CIE of an FDE or None for a CIE itself, address behind the record's id) of each record."""
    section = file.by_name.get(".eh_frame")
    if section is None or not section.file_size:
        return
    cursor = Cursor(file, section)
    data, start, unpack = cursor.data, section.addr, file.struct("II").unpack_from
    skipped: set[int] = set()  # CIEs, by their offsets
    at = body = 0
    while at + 8 <= len(data):
        length, distance = unpack(data, at)
        body = at + 4
        if body - distance in skipped and 0 < length < 0xFFFFFFFF:  # most records of large files
            at = body + length
            continue
        if length == 0:  # A terminator; crtend.o's is last, but merged tables may hold one earlier.
            at = body
            continue
        if length == 0xFFFFFFFF:
            length, body = cursor.integer(start + at + 4, 8), at + 12
            distance = cursor.integer(start + body, 4)
        if body + length > len(data):
            raise cursor.refuse(start + at, "reaches out of its section")
        if distance == 0:
            yield cursor, None, start + body + 4
            cie = cursor.cies[start + at] = _cie(cursor, start + body + 4)
            if not wanted(cie):
                skipped.add(at)
        elif (owner := body - distance) not in skipped:
            if start + owner not in cursor.cies:
                raise cursor.refuse(start + at, "an FDE without its CIE")
            yield cursor, cursor.cies[start + owner], start + body + 4
        at = body + length
    if at > len(data):
        raise cursor.refuse(start + body, "reaches out of its section")


def type_pointers(cursor: Cursor, lsda: int) -> Iterator[Pointer]:
    """The TType entries of the LSDA at an address: the types that its catch clauses name.

    Those that a call site leads to come first, with the role `TType`. gcc leaves more behind: of the function's other
    partition, and of code it has dropped, even without any call site. They get the role `unused TType`; the last of
    them are no types but actions, of call sites that are gone.
    """
    encoding = cursor.integer(lsda, 1)
    at = lsda + 1
    if encoding != _OMIT:
        at += cursor.format(at, encoding)[0]
    types = cursor.integer(at, 1)
    at += 1
    if types == _OMIT:
        return
    distance, at = cursor.leb(at)
    base = at + distance
    size = cursor.format(lsda, types)[0]
    used, end = _used_types(cursor, at, base)
    for number in range(1, max(used, (base - end) // size) + 1):
        role = "TType" if number <= used else "unused TType"
        pointer, _ = cursor.pointer(base - number * size, types, role)
        if pointer is not None:
            yield pointer


def _used_types(cursor: Cursor, at: int, types: int) -> tuple[int, int]:
    """The highest number of a type that the call sites lead to, and the end of the actions on the way (an address).

    `at` is the address of the call sites' encoding, `types` the one from which types are counted downwards.
    """
    encoding = cursor.integer(at, 1)
    length, at = cursor.leb(at + 1)
    actions = end = at + length
    pending = {actions + action - 1 for action in _actions(cursor, at, actions, encoding) if action}
    last, done = 0, set[int]()
    while pending:
        at = pending.pop()
        done.add(at)
        kind, at = cursor.leb(at, signed=True)
        step, behind = cursor.leb(at, signed=True)
        end = max(end, behind)
        last = max([last, kind, *(_listed(cursor, types - kind - 1) if kind < 0 else ())])
        if step and at + step not in done:
            pending.add(at + step)
    return last, end


def _actions(cursor: Cursor, at: int, end: int, encoding: int) -> set[int]:
    """The actions of the call sites between two addresses: behind start, length and landing pad, which never change."""
    if encoding == _ULEB128:
        fields = _LEB128.findall(cursor.data, at - cursor.start, end - cursor.start)
        if sum(map(len, fields)) != end - at or len(fields) % 4:
            raise cursor.refuse(at, "call sites that do not end where they should")
        actions = set(fields[3::4])
        return {sum((byte & 0x7F) << 7 * place for place, byte in enumerate(action)) for action in actions}
    found: set[int] = set()
    size = 3 * cursor.format(at, encoding)[0]
    while at < end:
        action, at = cursor.leb(at + size)
        found.add(action)
    return found


def _listed(cursor: Cursor, at: int) -> Iterator[int]:
    """The numbers of the types in an exception specification, which lies behind the types."""
    while True:
        number, at = cursor.leb(at)
        if number == 0:
            return
        yield number


def _cie(cursor: Cursor, at: int) -> Cie:
    version = cursor.integer(at, 1)
    if version not in (1, 3):
        raise cursor.refuse(at, f"CIE version {version}")
    augmentation, at = cursor.string(at + 1)
    _, at = cursor.leb(at)  # code alignment
    _, at = cursor.leb(at, signed=True)  # data alignment
    at = at + 1 if version == 1 else cursor.leb(at)[1]  # return address register
    fde_encoding, lsda_encoding, personality = 0, _OMIT, None
    if augmentation and augmentation[0] != "z":
        raise cursor.refuse(at, f"augmentation {augmentation!r} is not understood")
    if augmentation:
        _, at = cursor.leb(at)
    for letter in augmentation[1:]:
        if letter == "R":
            fde_encoding = cursor.integer(at, 1)
            at += 1
        elif letter == "L":
            lsda_encoding = cursor.integer(at, 1)
            at += 1
        elif letter == "P":
            personality, at = cursor.pointer(at + 1, cursor.integer(at, 1), "personality")
        elif letter not in "SBG":  # signal frame; pointer authentication with the B key; memory tagging
            raise cursor.refuse(at, f"augmentation {augmentation!r} is not understood")
    return Cie(augmentation, fde_encoding, lsda_encoding, personality)


def _frame(cursor: Cursor, cie: Cie, at: int) -> Frame:
    if cie.fde_encoding == cie.lsda_encoding == _PCREL_SDATA4 and at + 13 <= cursor.start + len(cursor.data):
        # What the rest of this function says, for most of the frames that have an LSDA.
        distance, length, augmented, lsda = cursor.usual.unpack_from(cursor.data, at - cursor.start)
        if distance and lsda and augmented == 4:
            start, place = at + distance, at + 9
            found = Pointer(place, 4, place, place + lsda, "LSDA")
            return Frame(cie, Pointer(at, 4, at, start, "FDE"), start + length, found)
    place = at
    pc, at = cursor.pointer(at, cie.fde_encoding, "FDE")
    if pc is None:  # a function that the linker dropped: relative to nothing
        pc = Pointer(place, cursor.format(place, cie.fde_encoding)[0], None, 0, "FDE")
    size, _ = cursor.format(at, cie.fde_encoding)
    length = cursor.integer(at, size)
    at += size
    lsda = None
    if cie.augmentation:
        _, at = cursor.leb(at)
        if cie.lsda_encoding != _OMIT:
            lsda, _ = cursor.pointer(at, cie.lsda_encoding, "LSDA")
    return Frame(cie, pc, pc.target + length, lsda)
