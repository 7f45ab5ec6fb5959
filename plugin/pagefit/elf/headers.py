"""The ELF header and the program headers, from a file's first bytes.

This is all that a loader reads before it maps a file, and all that most verdicts need: `check` reads nothing else of
most files. Sections, symbols and everything deeper are `pagefit.elf.sections`' business.
"""

from __future__ import annotations

import struct

from pagefit.elf import constants as c
from pagefit.errors import InputError
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Literal, TypeAlias

ByteOrder: TypeAlias = "Literal['little', 'big']"

#: Reads `length` bytes at a file offset; shorter at the end of the file.
ReadAt: TypeAlias = "Callable[[int, int], bytes]"

#: More program headers than this no linker makes and the kernel and bionic do not read (64 KiB of them, in entries).
MAX_PROGRAM_HEADERS: Final = 1170

_ENDS: Final = "<>"
#: By class and byte order. In program headers of 32 bits p_flags comes last but one, in those of 64 bits second.
_EHDR: Final = {
    (elfclass, endian): struct.Struct(endian + fields)
    for elfclass, fields in ((c.ELFCLASS32, "HHIIIIIHHHHHH"), (c.ELFCLASS64, "HHIQQQIHHHHHH"))
    for endian in _ENDS
}
_PHDR: Final = {
    (elfclass, endian): struct.Struct(endian + fields)
    for elfclass, fields in ((c.ELFCLASS32, "IIIIIIII"), (c.ELFCLASS64, "IIQQQQQQ"))
    for endian in _ENDS
}
_NOT_ELF_REMEDY: Final = "Fetch or build the file again; it is truncated or damaged."


class Header(NamedTuple):
    """The ELF header (gABI 4-3). Offsets and sizes in bytes."""

    elfclass: int
    byteorder: ByteOrder
    osabi: int
    abiversion: int
    type: int
    machine: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    ehsize: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int

    @property
    def bits(self) -> int:
        """32 or 64."""
        return 64 if self.elfclass == c.ELFCLASS64 else 32

    @property
    def endian(self) -> str:
        """The byte order as `struct` writes it."""
        return "<" if self.byteorder == "little" else ">"


class Segment(NamedTuple):
    """One program header (gABI 5-1): file offsets, memory addresses and sizes, all in bytes.

    `index` is its place in the program header table.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int

    @property
    def file_end(self) -> int:
        """Offset behind the last byte in the file."""
        return self.offset + self.filesz

    @property
    def file_vend(self) -> int:
        """Address behind the last byte that comes from the file."""
        return self.vaddr + self.filesz

    @property
    def vend(self) -> int:
        """Address behind the last byte in memory, bss included."""
        return self.vaddr + self.memsz

    @property
    def delta(self) -> int:
        """`p_vaddr - p_offset`: a segment can be mapped at page size P only when this is a multiple of P."""
        return self.vaddr - self.offset

    @property
    def rights(self) -> str:
        """`R`, `RX`, `RW`, `RWX`, as people write p_flags."""
        return "".join(letter for bit, letter in ((c.PF_R, "R"), (c.PF_W, "W"), (c.PF_X, "X")) if self.flags & bit)


class Image(NamedTuple):
    """What a loader knows of a file: its header, its program headers in table order, and its size in bytes."""

    header: Header
    segments: tuple[Segment, ...]
    size: int

    @property
    def loads(self) -> tuple[Segment, ...]:
        """The PT_LOAD segments, in table order."""
        return self.of_type(c.PT_LOAD)

    def of_type(self, segment_type: int) -> tuple[Segment, ...]:
        """All segments of one p_type, in table order."""
        return tuple([segment for segment in self.segments if segment.type == segment_type])

    def first(self, segment_type: int) -> Segment | None:
        """The first segment of one p_type, the one loaders take."""
        for segment in self.segments:
            if segment.type == segment_type:
                return segment
        return None


def is_elf(prefix: bytes) -> bool:
    """Whether a file that starts with these bytes (at least four) is ELF."""
    return prefix[:4] == c.ELF_MAGIC


def read_image(read: ReadAt, size: int, *, where: str = "") -> Image:
    """Read the header and program headers of an ELF file of `size` bytes.

    Reads `c.PREFIX` bytes, and the program header table when that lies further on; never more.
    Raises InputError, naming `where`, when a field contradicts the file or the specification.
    """
    prefix = read(0, min(c.PREFIX, size))
    header = _parse_header(prefix, where)
    if header.phnum == c.PN_XNUM:
        header = _with_extended_phnum(header, read, size, where)
    if header.phnum == 0:
        return Image(header, (), size)
    record = _PHDR[header.elfclass, header.endian]
    if header.phentsize != record.size:
        raise InputError(f"e_phentsize is {header.phentsize}, not {record.size}", where=where, remedy=_NOT_ELF_REMEDY)
    if header.phnum > MAX_PROGRAM_HEADERS:
        raise InputError(
            f"{header.phnum} program headers are more than any linker makes", where=where, remedy=_NOT_ELF_REMEDY
        )
    end = header.phoff + header.phnum * record.size
    if end > size:
        raise InputError(
            f"the program headers reach to byte {end}, the file ends at {size}", where=where, remedy=_NOT_ELF_REMEDY
        )
    table = prefix[header.phoff : end] if end <= len(prefix) else read(header.phoff, end - header.phoff)
    if len(table) != header.phnum * record.size:
        raise InputError("the program headers could not be read whole", where=where, remedy=_NOT_ELF_REMEDY)
    rows = record.iter_unpack(table)
    if header.elfclass == c.ELFCLASS32:
        rows = ((row[0], row[6], *row[1:6], row[7]) for row in rows)
    return Image(header, tuple([Segment._make((index, *row)) for index, row in enumerate(rows)]), size)


def _parse_header(prefix: bytes, where: str) -> Header:
    if not is_elf(prefix):
        raise InputError("not an ELF file", where=where)
    if len(prefix) < 16:
        raise InputError(f"the ELF header is cut off after {len(prefix)} bytes", where=where, remedy=_NOT_ELF_REMEDY)
    elfclass, data, version, osabi, abiversion = prefix[4:9]
    if elfclass not in (c.ELFCLASS32, c.ELFCLASS64):
        raise InputError(f"EI_CLASS is {elfclass}, neither 1 nor 2", where=where, remedy=_NOT_ELF_REMEDY)
    if data not in (1, 2):
        raise InputError(f"EI_DATA is {data}, neither 1 nor 2", where=where, remedy=_NOT_ELF_REMEDY)
    if version != 1:
        raise InputError(f"EI_VERSION is {version}, not 1", where=where, remedy=_NOT_ELF_REMEDY)
    byteorder: ByteOrder = "little" if data == 1 else "big"
    record = _EHDR[elfclass, _ENDS[data - 1]]
    if len(prefix) < 16 + record.size:
        raise InputError(f"the ELF header is cut off after {len(prefix)} bytes", where=where, remedy=_NOT_ELF_REMEDY)
    e_type, machine, _version, *rest = record.unpack_from(prefix, 16)
    return Header(elfclass, byteorder, osabi, abiversion, e_type, machine, *rest)


def _with_extended_phnum(header: Header, read: ReadAt, size: int, where: str) -> Header:
    # gABI: with 0xffff or more program headers the real count is sh_info of section header 0.
    offset, width = (44, 64) if header.elfclass == c.ELFCLASS64 else (28, 40)
    section0 = read(header.shoff, width) if 0 < header.shoff <= size - width else b""
    if len(section0) < width:
        raise InputError("e_phnum is PN_XNUM but section header 0 is missing", where=where, remedy=_NOT_ELF_REMEDY)
    (phnum,) = struct.unpack_from(header.endian + "I", section0, offset)
    return header._replace(phnum=phnum)
