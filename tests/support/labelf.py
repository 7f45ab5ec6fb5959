"""Edits of ELF program headers for the page lab: crafted files, and copies that suit qemu-user 7.2."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, Segment, read_image


def read(path: Path) -> Image:
    """The headers of a file on disk."""
    return parse(path.read_bytes(), str(path))


def parse(data: bytes, where: str = "") -> Image:
    """The headers of a file in memory."""
    return read_image(lambda offset, length: data[offset : offset + length], len(data), where=where)


def interpreter(path: Path) -> str:
    """The dynamic linker that PT_INTERP names."""
    data = path.read_bytes()
    (segment,) = parse(data).of_type(c.PT_INTERP)
    return data[segment.offset : segment.file_end].rstrip(b"\0").decode()


def put(data: bytes, segment: Segment) -> bytes:
    """Write one program header over the one of the same index; every other byte stays."""
    header = parse(data).header
    s = segment
    if header.elfclass == c.ELFCLASS64:
        fields = (s.type, s.flags, s.offset, s.vaddr, s.paddr, s.filesz, s.memsz, s.align)
        record = struct.pack(header.endian + "IIQQQQQQ", *fields)
    else:
        fields = (s.type, s.offset, s.vaddr, s.paddr, s.filesz, s.memsz, s.flags, s.align)
        record = struct.pack(header.endian + "IIIIIIII", *fields)
    at = header.phoff + s.index * header.phentsize
    return data[:at] + record + data[at + len(record) :]


def edit(data: bytes, pick: Callable[[Image], Segment], **changes: int) -> bytes:
    """Change fields of the segment that `pick` chooses: `edit(data, last_load, align=4096)`."""
    return put(data, pick(parse(data))._replace(**changes))


def padded(data: bytes, multiple: int = 65536) -> bytes:
    """Append zeros up to a multiple (bytes): a kernel's page cache ends that way, qemu-user 7.2's mappings do not."""
    return data + bytes(-len(data) % multiple)


def whole_pages(data: bytes, multiple: int = 65536) -> bytes:
    """Also let the last LOAD's bss reach to the end of its page.

    Loaders and C libraries use the rest of that page (as malloc's first memory); qemu-user 7.2 maps it up to 4K only.
    """
    image = parse(data)
    if not image.loads:
        return data
    last = max(image.loads, key=lambda segment: segment.vend)
    if last.flags & c.PF_W:
        data = put(data, last._replace(memsz=last.memsz + -last.vend % multiple))
    return padded(data, multiple)
