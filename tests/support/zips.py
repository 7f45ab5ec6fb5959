"""Zip archives that no zip writer makes: each with one thing wrong."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping

#: An ELF header and nothing else: enough for whoever only asks what kind of file this is.
ELF = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, 0, 0, 64, 56, 0, 64, 0, 0)


def zip_of(members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An ordinary archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def patched(archive: bytes, signature: bytes, offset: int, layout: str, value: int) -> bytes:
    """The archive with one field changed in the first record that has this signature."""
    at = archive.index(signature) + offset
    return archive[:at] + struct.pack(layout, value) + archive[at + struct.calcsize(layout) :]
