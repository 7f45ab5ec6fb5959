"""ELF files made from a list of segments: any class, byte order and type, and as broken as asked for."""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass, field

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, read_image


@dataclass(frozen=True)
class Seg:
    type: int
    flags: int
    offset: int
    vaddr: int
    filesz: int
    memsz: int
    align: int = 0x10000


@dataclass(frozen=True)
class Elf:
    segments: tuple[Seg, ...]
    size: int
    bits: int = 64
    byteorder: str = "little"
    type: int = c.ET_DYN
    machine: int = c.EM_AARCH64
    entry: int = 0
    osabi: int = 0
    phoff: int | None = None
    #: Bytes at offsets; everything else outside the headers is `filler`.
    content: dict[int, bytes] = field(default_factory=dict)
    filler: int = 0xA5

    def replace(self, **changes: object) -> Elf:
        return dataclasses.replace(self, **changes)

    def data(self) -> bytes:
        endian = "<" if self.byteorder == "little" else ">"
        wide = self.bits == 64
        ehsize, phentsize = (64, 56) if wide else (52, 32)
        phoff = ehsize if self.phoff is None else self.phoff
        ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if endian == "<" else 2, 1, self.osabi]) + bytes(8)
        header = struct.pack(
            endian + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"),
            *(self.type, self.machine, 1, self.entry, phoff, 0, 0, ehsize, phentsize, len(self.segments), 0, 0, 0),
        )
        table = b"".join(
            struct.pack(endian + "IIQQQQQQ", s.type, s.flags, s.offset, s.vaddr, s.vaddr, s.filesz, s.memsz, s.align)
            if wide
            else struct.pack(endian + "8I", s.type, s.offset, s.vaddr, s.vaddr, s.filesz, s.memsz, s.flags, s.align)
            for s in self.segments
        )
        data = bytearray([self.filler]) * self.size
        for offset, piece in {0: ident + header, phoff: table, **self.content}.items():
            data[offset : offset + len(piece)] = piece
        return bytes(data[: self.size])

    def image(self) -> Image:
        return image_of(self.data())


def reader(data: bytes):
    """The ReadAt of some bytes."""
    return lambda offset, length: data[offset : offset + length]


def image_of(data: bytes, where: str = "test.so") -> Image:
    return read_image(reader(data), len(data), where=where)


R, W, X = c.PF_R, c.PF_W, c.PF_X


def load(flags: int, offset: int, vaddr: int, filesz: int, memsz: int | None = None, align: int = 0x10000) -> Seg:
    return Seg(c.PT_LOAD, flags, offset, vaddr, filesz, filesz if memsz is None else memsz, align)


def relro(offset: int, vaddr: int, size: int) -> Seg:
    return Seg(c.PT_GNU_RELRO, R, offset, vaddr, size, size, 1)
