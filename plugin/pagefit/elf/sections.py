"""An ELF file with its sections: the facts that relinking without objects needs beyond the program headers.

The bytes stay where they are, in a read-only map of the file: a section is a window, and nothing is copied until
somebody asks. Tables inside the sections have modules of their own (`dynamic`, `relocations`, `symbols`, `eh_frame`).
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from array import array
from bisect import bisect_left
from contextlib import contextmanager, suppress
from functools import cached_property

from pagefit.elf.headers import Header, Image, Segment, read_image
from pagefit.errors import InputError
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO, Final

    from _typeshed import StrPath

SHT_NULL: Final = 0
SHT_PROGBITS: Final = 1
SHT_SYMTAB: Final = 2
SHT_STRTAB: Final = 3
SHT_RELA: Final = 4
SHT_HASH: Final = 5
SHT_DYNAMIC: Final = 6
SHT_NOTE: Final = 7
SHT_NOBITS: Final = 8
SHT_REL: Final = 9
SHT_DYNSYM: Final = 11
SHT_INIT_ARRAY: Final = 14
SHT_FINI_ARRAY: Final = 15
SHT_PREINIT_ARRAY: Final = 16
SHT_SYMTAB_SHNDX: Final = 18
SHT_RELR: Final = 19
SHT_ANDROID_REL: Final = 0x60000001
SHT_ANDROID_RELA: Final = 0x60000002
SHT_ANDROID_RELR: Final = 0x6FFFFF00

SHF_WRITE: Final = 1
SHF_ALLOC: Final = 2
SHF_EXECINSTR: Final = 4
SHF_TLS: Final = 0x400
SHF_COMPRESSED: Final = 0x800

_SHDR: Final = {32: "IIIIIIIIII", 64: "IIQQQQIIQQ"}


class Section(NamedTuple):
    """One section header (gABI 4-8): file offsets, memory addresses and sizes in bytes."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    name: str
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    addralign: int
    entsize: int

    @property
    def end(self) -> int:
        """Address behind the last byte."""
        return self.addr + self.size

    @property
    def file_size(self) -> int:
        """Bytes taken in the file: none for SHT_NOBITS."""
        return 0 if self.type == SHT_NOBITS else self.size

    @property
    def file_end(self) -> int:
        """Offset behind the last byte in the file."""
        return self.offset + self.file_size

    @property
    def alloc(self) -> bool:
        """Whether the section is part of the memory image."""
        return bool(self.flags & SHF_ALLOC)

    @property
    def executable(self) -> bool:
        """Whether the section holds code (SHF_EXECINSTR)."""
        return bool(self.flags & SHF_EXECINSTR)

    @property
    def writable(self) -> bool:
        """Whether the section is writable (SHF_WRITE)."""
        return bool(self.flags & SHF_WRITE)

    @property
    def tls(self) -> bool:
        """Whether the section is part of the TLS template (SHF_TLS): `.tbss` takes no addresses."""
        return bool(self.flags & SHF_TLS)


class ElfFile:
    """A whole ELF file: its bytes, its headers, its sections (empty when there is no section header table).

    `data` is anything that slices to bytes (a map of the file, or bytes). `where` names the file in errors.
    """

    def __init__(self, data: mmap.mmap | bytes, image: Image, sections: tuple[Section, ...], where: str) -> None:
        self.data = data
        self.image = image
        self.sections = sections
        self.where = where

    @property
    def header(self) -> Header:
        """The ELF header."""
        return self.image.header

    @cached_property
    def loads(self) -> tuple[Segment, ...]:
        """The LOAD segments, in table order."""
        return self.image.loads

    @cached_property
    def by_name(self) -> dict[str, Section]:
        """The first section of each name."""
        named: dict[str, Section] = {}
        for section in self.sections:
            named.setdefault(section.name, section)
        return named

    @cached_property
    def executable(self) -> tuple[Section, ...]:
        """The sections that hold code and have bytes in the file, by address."""
        found = (s for s in self.sections if s.alloc and s.executable and s.file_size)
        return tuple(sorted(found, key=lambda section: section.addr))

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes at a file offset; fewer at the end of the file."""
        return self.data[offset : offset + length]

    def forget(self) -> None:
        """Let go of the memory that holds the file's bytes: they are read again when they are wanted."""
        if isinstance(self.data, mmap.mmap):
            self.data.madvise(mmap.MADV_DONTNEED)

    def contents(self, section: Section) -> bytes:
        """A copy of the bytes of one section; empty for SHT_NOBITS."""
        return self.data[section.offset : section.file_end]

    def segment_at(self, address: int) -> Segment | None:
        """The LOAD segment whose memory holds an address."""
        for segment in self.loads:
            if segment.vaddr <= address < segment.vend:
                return segment
        return None

    def offset_of(self, address: int) -> int | None:
        """The file offset of the byte at an address; None for bss and for what no LOAD holds."""
        segment = self.segment_at(address)
        if segment is None or address >= segment.file_vend:
            return None
        return address - segment.delta

    def address_of(self, offset: int) -> int:
        """The address of the byte at a file offset. Raises KeyError when no LOAD holds it."""
        for segment in self.loads:
            if segment.offset <= offset < segment.file_end:
                return offset + segment.delta
        raise KeyError(offset)

    def addresses_of(self, offsets: Sequence[int]) -> list[int]:
        """`address_of` of many offsets, which ascend."""
        found: list[int] = []
        while len(found) < len(offsets):
            first = offsets[len(found)]
            load = next((s for s in self.loads if s.offset <= first < s.file_end), None)
            if load is None:
                raise KeyError(first)
            last = bisect_left(offsets, load.file_end)
            found += [offset + load.delta for offset in offsets[len(found) : last]]
        return found

    def offsets_of(self, addresses: Sequence[int]) -> list[int]:
        """The file offsets of many addresses, which ascend. Raises KeyError for one that has no byte in the file."""
        found: list[int] = []
        while len(found) < len(addresses):
            first = addresses[len(found)]
            load = next((s for s in self.loads if s.vaddr <= first < s.file_vend), None)
            if load is None:
                raise KeyError(first)
            last = bisect_left(addresses, load.file_vend)
            found += [address - load.delta for address in addresses[len(found) : last]]
        return found

    def read(self, address: int, length: int) -> bytes | None:
        """`length` bytes at an address; None unless all of them come from the file."""
        segment = self.segment_at(address)
        if segment is None or address + length > segment.file_vend:
            return None
        offset = address - segment.delta
        return self.data[offset : offset + length]

    def words(self, offset: int, size: int) -> array[int]:
        """The words of the file's class in `size` bytes at a file offset, as numbers; a rest of a word is left out."""
        word = self.header.bits // 8
        return self.numbers("Q" if word == 8 else "I", memoryview(self.data)[offset : offset + size // word * word])

    def numbers(self, code: str, data: bytes | memoryview) -> array[int]:
        """The numbers in some bytes of the file, all of the kind that `array` calls `code`."""
        found = array(code)
        found.frombytes(data)
        if self.header.byteorder != sys.byteorder:
            found.byteswap()
        return found

    def struct(self, fields: str) -> struct.Struct:
        """A `struct.Struct` of this file's byte order; the letter `P` stands for a word of its class."""
        word = "Q" if self.header.bits == 64 else "I"
        return struct.Struct(self.header.endian + fields.replace("P", word))


def parse(data: mmap.mmap | bytes, *, where: str = "") -> ElfFile:
    """Read the headers and section headers of a whole file held in `data`.

    Raises InputError when a header contradicts the file.
    """
    size = len(data)
    image = read_image(lambda offset, length: data[offset : offset + length], size, where=where)
    return ElfFile(data, image, _sections(data, image.header, size, where), where)


@contextmanager
def open_elf(path: StrPath) -> Iterator[ElfFile]:
    """Open a file for reading; its bytes are valid inside the `with`.

    Raises InputError when it is no ELF file or a header contradicts it, OSError when it cannot be read.
    """
    with open(path, "rb") as stream, mapped(stream, where=os.fspath(path)) as file:
        yield file


@contextmanager
def mapped(stream: IO[bytes], *, where: str = "") -> Iterator[ElfFile]:
    """The same for a file that is open already."""
    if os.fstat(stream.fileno()).st_size == 0:
        raise InputError("the file is empty", where=where)
    data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        yield parse(data, where=where)
    finally:
        with suppress(BufferError):  # an error on its way out may still hold views: they end with it
            data.close()


def _sections(data: mmap.mmap | bytes, header: Header, size: int, where: str) -> tuple[Section, ...]:
    if header.shoff == 0:
        return ()
    record = struct.Struct(header.endian + _SHDR[header.bits])
    if header.shentsize != record.size or header.shoff + record.size > size:
        raise InputError("the section header table does not lie in the file", where=where)
    first = record.unpack_from(data, header.shoff)
    # gABI: with 0xff00 or more sections, the count and the name table's index are in section header 0.
    count = header.shnum or first[5]
    names_index = header.shstrndx if header.shstrndx != 0xFFFF else first[6]
    if header.shoff + count * record.size > size or names_index >= max(count, 1):
        raise InputError("the section header table does not lie in the file", where=where)
    raw = [record.unpack_from(data, header.shoff + i * record.size) for i in range(count)]
    for index, fields in enumerate(raw):
        if fields[1] not in (SHT_NULL, SHT_NOBITS) and fields[4] + fields[5] > size:
            raise InputError(f"section {index} reaches behind the end of the file", where=where)
    names = data[raw[names_index][4] : raw[names_index][4] + raw[names_index][5]] if count else b""
    return tuple(Section(i, _name(names, fields[0]), *fields[1:]) for i, fields in enumerate(raw))


def _name(names: bytes, start: int) -> str:
    end = names.find(b"\0", start)
    return names[start : end if end >= 0 else None].decode("utf-8", "replace")
