"""Every word of a .go file that holds an address outside of the bytecode, and how to move what they point to.

Both ways of relinking insert zeros (or take some out) at one place, and all that lies behind moves by one distance.
File offset and address being equal, the words below all change in the same way; words relative to something that moves
with them, and `.symtab` and `.guile.docstrs`, which count from the start of `.rtl-text`, do not.
Source: the linker relocs in module/system/vm/assembler.scm and linker.scm.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from pagefit.elf.sections import Section
from pagefit.errors import Refused
from pagefit.guile.format import DT_GUILE_ENTRY, DT_GUILE_FRAME_MAPS, DT_GUILE_GC_ROOT, DT_INIT, ObjectFile, unexpected

_POINTER_TAGS: Final = frozenset({DT_INIT, DT_GUILE_GC_ROOT, DT_GUILE_ENTRY, DT_GUILE_FRAME_MAPS})

# Byte offsets of fields in the ELF header, a program header and a section header (gABI 4-3, 5-1, 4-8).
_EHDR: Final = {32: {"shoff": 32}, 64: {"shoff": 40}}
_PHDR: Final = {
    32: {"offset": 4, "vaddr": 8, "paddr": 12, "filesz": 16, "memsz": 20, "align": 28},
    64: {"offset": 8, "vaddr": 16, "paddr": 24, "filesz": 32, "memsz": 40, "align": 48},
}
_SHDR: Final = {32: {"addr": 12, "offset": 16}, 64: {"addr": 16, "offset": 24}}

#: A procprops entry is (code offset, address of an alist); an arity header seven words (assembler.scm).
_PROCPROP: Final = 8
_ARITY: Final = 28
_HAS_KEYWORDS: Final = 4

#: The loader and `.guile.procprops` count in 32 bits; a label in the bytecode reaches further (bytes).
_MAX_SIZE: Final = 1 << 31


class Field(NamedTuple):
    """A word of the file that holds an address: its offset, its size in bytes, and the address."""

    offset: int
    size: int
    address: int


@dataclass(frozen=True, slots=True)
class Move:
    """All that lies at or behind `start` moves by `delta` bytes; the zeros from `gap` to `start` make room for it."""

    gap: int
    start: int
    delta: int

    def new(self, address: int) -> int:
        """Where the thing at an address lies afterwards."""
        return address + self.delta if address >= self.start else address


class Editor:
    """A copy of a .go file in which words change where they are; `moved` then moves the bytes."""

    def __init__(self, obj: ObjectFile) -> None:
        self._elf = obj.elf
        self._words = {4: obj.elf.struct("I"), 8: obj.elf.struct("Q")}
        self.image = bytearray(obj.elf.data)

    def put(self, offset: int, size: int, value: int) -> None:
        """Write one unsigned word of `size` bytes."""
        self._words[size].pack_into(self.image, offset, value)

    def segment(self, index: int, name: str, value: int) -> None:
        """Write one field of a program header: `filesz`, `memsz` or `align`."""
        header = self._elf.header
        place = header.phoff + index * header.phentsize + _PHDR[header.bits][name]
        self.put(place, header.bits // 8, value)

    def relocate(self, fields: Iterable[Field], move: Move) -> None:
        """Make every field hold the address that its target has after the move."""
        for field in fields:
            self.put(field.offset, field.size, move.new(field.address))

    def moved(self, move: Move) -> bytes:
        """The bytes of the result. Raises Refused when it would outgrow the format's 32-bit addresses."""
        padding = move.start + move.delta - move.gap
        if len(self.image) + move.delta >= _MAX_SIZE:
            raise Refused("the result would be larger than 2 GiB", where=self._elf.where)
        return b"".join((self.image[: move.gap], bytes(padding), self.image[move.start :]))


def loaded_and_table_fields(obj: ObjectFile) -> Iterator[Field]:
    """The addresses in the headers, `.dynamic` and the tables of procedures; those in debug information are left out.

    Raises Refused when a table is not what Guile's assembler writes.
    """
    yield from _headers(obj)
    word = obj.elf.header.bits // 8
    yield from (Field(entry.offset, word, entry.value) for entry in obj.dynamic if entry.tag in _POINTER_TAGS)
    yield from _frame_maps(obj)
    yield from _procprops(obj)
    yield from _keyword_tables(obj)


def is_constant(obj: ObjectFile, address: int) -> bool:
    """Whether an address lies in `.rodata` or `.data`."""
    return any(
        section is not None and section.addr <= address < section.end
        for section in (obj.elf.by_name.get(".rodata"), obj.data)
    )


def _headers(obj: ObjectFile) -> Iterator[Field]:
    header, word = obj.elf.header, obj.elf.header.bits // 8
    yield Field(_EHDR[header.bits]["shoff"], word, header.shoff)
    for segment in obj.elf.image.segments:
        place = header.phoff + segment.index * header.phentsize
        for name in ("offset", "vaddr", "paddr"):
            yield Field(place + _PHDR[header.bits][name], word, segment.offset)
    for section in obj.elf.sections[1:]:
        place = header.shoff + section.index * header.shentsize
        yield Field(place + _SHDR[header.bits]["offset"], word, section.offset)
        if section.alloc:
            yield Field(place + _SHDR[header.bits]["addr"], word, section.addr)


def _frame_maps(obj: ObjectFile) -> Iterator[Field]:
    section = obj.elf.by_name.get(".guile.frame-maps")
    if section is not None:
        if section.size < 8 or _u32(obj, section, 0) != obj.text.addr:
            raise unexpected(obj.elf, ".guile.frame-maps does not start with the address of .rtl-text")
        yield Field(section.offset, 4, obj.text.addr)


def _procprops(obj: ObjectFile) -> Iterator[Field]:
    section = obj.elf.by_name.get(".guile.procprops")
    if section is None:
        return
    if section.size % _PROCPROP:
        raise unexpected(obj.elf, ".guile.procprops does not hold whole entries")
    for place in range(0, section.size, _PROCPROP):
        yield _constant(obj, section, place + 4)


def _keyword_tables(obj: ObjectFile) -> Iterator[Field]:
    section = obj.elf.by_name.get(".guile.arities")
    if section is None:
        return
    end = _u32(obj, section, 0) if section.size >= 4 else 0
    if end < 4 or (end - 4) % _ARITY or end > section.size:
        raise unexpected(obj.elf, ".guile.arities does not start with whole headers")
    headers = obj.elf.data[section.offset + 4 : section.offset + end]
    for _low, _high, place, flags, _req, _opt, _locals in obj.elf.struct("7I").iter_unpack(headers):
        if flags & _HAS_KEYWORDS:
            if not end <= place <= section.size - 4:
                raise unexpected(obj.elf, ".guile.arities links to a keyword table outside of itself")
            yield _constant(obj, section, place)


def _constant(obj: ObjectFile, section: Section, place: int) -> Field:
    address = _u32(obj, section, place)
    if not is_constant(obj, address):
        raise unexpected(obj.elf, f"{section.name} names {address:#x}, where no constant lies")
    return Field(section.offset + place, 4, address)


def _u32(obj: ObjectFile, section: Section, place: int) -> int:
    (value,) = struct.unpack_from(obj.elf.header.endian + "I", obj.elf.data, section.offset + place)
    return int(value)
