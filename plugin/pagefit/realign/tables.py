"""The ELF header, program headers and section headers of the result."""

from __future__ import annotations

import struct

from pagefit.elf import constants as c
from pagefit.elf.headers import Header, Segment
from pagefit.elf.sections import SHT_NOBITS, SHT_PROGBITS, ElfFile, Section
from pagefit.realign.extents import FileLayout
from pagefit.realign.loads import group_file_end, groups
from pagefit.realign.place import Placed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import Final

_EHDR: Final = {32: "HHIIIIIHHHHHH", 64: "HHIQQQIHHHHHH"}
_PHDR: Final = {32: "IIIIIIII", 64: "IIQQQQQQ"}
_SHDR: Final = {32: "IIIIIIIIII", 64: "IIQQQQIIQQ"}


def new_segments(
    file: ElfFile, loads: Sequence[Segment], placed: Sequence[Placed], layout: FileLayout
) -> tuple[Segment, ...]:
    """The program headers of the result in table order: the new LOADs in the places of the old ones."""
    last = max((s.index for s in file.image.loads), default=-1)
    waiting = list(loads)
    table: list[Segment] = []
    for segment in file.image.segments:
        if segment.type == c.PT_LOAD:
            count = len(waiting) if segment.index == last else min(1, len(waiting))
            table += waiting[:count]
            del waiting[:count]
        elif segment.type != c.PT_NULL:
            table.append(_follow(segment, placed, layout, loads))
    return tuple(segment._replace(index=index) for index, segment in enumerate(table))


def with_table_at(
    segments: Sequence[Segment], offset: int, address: int | None, entry_size: int
) -> tuple[Segment, ...]:
    """The same segments with PT_PHDR describing a table at `offset` (file) and `address` (None: where it was)."""
    size = len(segments) * entry_size
    return tuple(
        s._replace(
            offset=offset,
            vaddr=s.vaddr if address is None else address,
            paddr=s.paddr if address is None else address,
            filesz=size,
            memsz=size,
        )
        if s.type == c.PT_PHDR
        else s
        for s in segments
    )


def new_sections(
    file: ElfFile, placed: Sequence[Placed], layout: FileLayout, without: Collection[Section] = ()
) -> tuple[Section, ...]:
    """The section headers of the result, in the same order; those left out become SHT_NULL, for indexes to stay.

    bss that got bytes in the file becomes SHT_PROGBITS. A section that RELRO's end divides (`.got.plt`: GNU ld protects
    its first words) leaves the protected words to the section before it.
    """
    cuts = {one.part.start: one.delta for one in placed if not one.glued}
    filled = [(group[0].start, group_file_end(group)) for group in groups(placed)]
    rows = [
        Section(section.index, section.name, *[0] * 9)
        if section in without
        else _section(section, placed, layout, filled)
        for section in file.sections
    ]
    for section in file.sections:
        cut = next((at for at in cuts if section.alloc and not section.tls and section.addr < at < section.end), None)
        neighbour = neighbour_before(file, section) if cut else None
        if cut is None or neighbour is None:
            continue
        lost = cut - section.addr
        rows[neighbour.index] = rows[neighbour.index]._replace(size=cut - neighbour.addr)
        offset = layout.offset(section.offset + lost)
        rows[section.index] = rows[section.index]._replace(
            addr=cut + cuts[cut], offset=offset, size=section.size - lost
        )
    return tuple(rows)


def neighbour_before(file: ElfFile, section: Section) -> Section | None:
    """The loaded section with bytes in the file that ends where `section` starts, if any."""
    for other in file.sections:
        if other.alloc and other.type == SHT_PROGBITS and other.size and 0 <= section.addr - other.end < 16:
            return other
    return None


def header_bytes(header: Header, data: bytes) -> bytes:
    """The ELF header as bytes; `data` are those of the original, of which e_ident stays."""
    record = struct.Struct(header.endian + _EHDR[header.bits])
    version = 1
    body = record.pack(header.type, header.machine, version, *header[header._fields.index("entry") :])
    return data[:16] + body


def segment_bytes(segments: Sequence[Segment], header: Header) -> bytes:
    """The program header table as bytes."""
    record = struct.Struct(header.endian + _PHDR[header.bits])
    return b"".join(record.pack(*_phdr(segment, header.bits)) for segment in segments)


def section_fields(sections: Sequence[Section], header: Header) -> Iterator[tuple[int, bytes]]:
    """(offset inside a section header, bytes) of sh_type, sh_addr, sh_offset and sh_size of each section in turn."""
    record = struct.Struct(header.endian + _SHDR[header.bits])
    for index, s in enumerate(sections):
        # sh_name is not kept as a number: the bytes before sh_type stay as they are.
        row = record.pack(0, s.type, s.flags, s.addr, s.offset, s.size, s.link, s.info, s.addralign, s.entsize)
        yield index * record.size + 4, row[4:]


def _phdr(s: Segment, bits: int) -> tuple[int, ...]:
    if bits == 64:
        return s.type, s.flags, s.offset, s.vaddr, s.paddr, s.filesz, s.memsz, s.align
    return s.type, s.offset, s.vaddr, s.paddr, s.filesz, s.memsz, s.flags, s.align


def _follow(segment: Segment, placed: Sequence[Placed], layout: FileLayout, loads: Sequence[Segment]) -> Segment:
    """A segment that is not a LOAD, moved with the part it describes."""
    if segment.memsz == 0 and segment.vaddr == 0:
        return segment
    home = next((one for one in placed if one.part.start <= segment.vaddr < one.part.end), None)
    if home is None:
        return segment._replace(offset=layout.offset(segment.offset))
    vaddr = segment.vaddr + home.delta
    # Loaders go by the address; mold gives PT_TLS and PT_GNU_RELRO that start with zeros no offset.
    mapped = segment.offset - segment.vaddr == home.part.offset - home.part.start
    start, end = vaddr, vaddr + segment.memsz
    if segment.type == c.PT_GNU_RELRO:
        if home.glued and home.part.relro:  # constants before it share its LOAD
            start = next(load.vaddr for load in loads if load.vaddr <= vaddr < load.vend)
        end = max([end, *(one.end for one in placed if one.part.relro)])
    return segment._replace(
        offset=start - home.bias if mapped else layout.offset(segment.offset),
        vaddr=start,
        paddr=start if segment.paddr == segment.vaddr else segment.paddr,
        filesz=segment.filesz + vaddr - start,
        memsz=end - start,
    )


def _section(
    section: Section,
    placed: Sequence[Placed],
    layout: FileLayout,
    filled: Sequence[tuple[int, int]],
) -> Section:
    if not section.alloc:
        return section if section.type == 0 else section._replace(offset=layout.offset(section.offset))
    home = next((one for one in placed if one.part.start <= section.addr < one.part.end), None)
    home = home or next((one for one in placed if section.addr == one.part.end), None)
    if home is None:
        return section._replace(offset=layout.offset(section.offset))
    addr = section.addr + home.delta
    if section.type != SHT_NOBITS:
        return section._replace(addr=addr, offset=addr - home.bias)
    if section.size and not section.tls and any(low <= addr and addr + section.size <= high for low, high in filled):
        return section._replace(type=SHT_PROGBITS, addr=addr, offset=addr - home.bias)
    return section._replace(addr=addr, offset=section.offset + home.offset - home.part.offset)
