"""Notes in PT_NOTE segments (gABI, chapter 5, "Note Section")."""

from __future__ import annotations

import struct

from pagefit.elf import constants as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from pagefit.elf.headers import Image, ReadAt

_NT_GNU_BUILD_ID: Final = 3


def build_id(image: Image, read: ReadAt) -> str | None:
    """The GNU build-id in hexadecimal, None without one."""
    for name, kind, content in _notes(image, read):
        if name == b"GNU\0" and kind == _NT_GNU_BUILD_ID and content:
            return content.hex()
    return None


def _notes(image: Image, read: ReadAt) -> Iterator[tuple[bytes, int, bytes]]:
    """Name, type and content of every note, up to the first of a segment that is cut off."""
    head = struct.Struct(image.header.endian + "3I")
    for segment in image.of_type(c.PT_NOTE):
        if segment.offset >= image.size:
            continue
        data = read(segment.offset, min(segment.filesz, image.size - segment.offset))
        # Linux Extensions to gABI: words of 8 bytes only where the segment is aligned so.
        unit = 8 if segment.align == 8 else 4
        at = 0
        while at + head.size <= len(data):
            name_size, size, kind = head.unpack_from(data, at)
            name_end = at + head.size + name_size
            start = name_end + -name_end % unit
            if start + size > len(data):
                break
            yield data[at + head.size : name_end], kind, data[start : start + size]
            at = start + size + -(start + size) % unit
