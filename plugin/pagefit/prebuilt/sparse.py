"""Tar members without their padding, in GNU tar's sparse format 1.0 (`info tar "Sparse Formats"`, kept in PAX headers).

Padding between segments is zeros, but between code xz still spends some forty bytes on 64 KiB of them: in a small
source distribution that is more than one per cent. A sparse member spends a line, and GNU tar and `tarfile` read it.
"""

from __future__ import annotations

import io
import re
import tarfile
from typing import Final

#: Stored pieces start and end at these, or at the file's end: GNU tar reads each from a block of its own (bytes).
_BLOCK: Final = tarfile.BLOCKSIZE
#: Shorter holes are not worth their line (bytes).
_HOLE: Final = re.compile(rb"\0{4096,}")


def add(archive: tarfile.TarFile, entry: tarfile.TarInfo, data: bytes) -> None:
    """Add a regular file with this content to an archive in PAX format; sparse, where it has long runs of zeros."""
    pieces = _pieces(data)
    if pieces == [(0, len(data))]:
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
        return
    numbers = [len(pieces), *(number for piece in pieces for number in piece)]
    table = "".join(f"{number}\n" for number in numbers).encode()
    stored = table + bytes(-len(table) % _BLOCK) + b"".join(data[start : start + size] for start, size in pieces)
    entry.size = len(stored)
    entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(len(data))}
    archive.addfile(entry, io.BytesIO(stored))


def _pieces(data: bytes) -> list[tuple[int, int]]:
    """Offset and size of what is no hole. The last piece ends where the file ends; it may be empty."""
    pieces = []
    start = 0
    for hole in _HOLE.finditer(data):
        first, last = -(-hole.start() // _BLOCK) * _BLOCK, hole.end() // _BLOCK * _BLOCK
        if first > start:
            pieces.append((start, first - start))
        start = last
    return [*pieces, (start, len(data) - start)]
