"""Compressing files for zip members, to bytes that depend on the content and the engine alone; and the way back.

Engines: libdeflate when the `deflate` extra is installed (three times as fast, one percent smaller), else zlib.
"""

from __future__ import annotations

import mmap
import os
import zlib

from pagefit.containers.zipdirectory import STORED
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, TypeAlias

    from _typeshed import StrPath

    #: What a member holds: a file's content, by its path, or bytes.
    Content: TypeAlias = StrPath | bytes

_LEVEL: Final = 6
_PIECE: Final = 1 << 20


class Packed(NamedTuple):
    """A member's data as they go into a zip archive; `crc` and `size` are of the uncompressed content."""

    data: bytes | bytearray | Content
    compressed_size: int
    crc: int
    size: int


def pack(content: Content, method: int) -> Packed:
    """Pack a content by a zip method, STORED or DEFLATED. Holds the compressed data in memory."""
    if isinstance(content, bytes):
        return _pack(memoryview(content), content, method)
    if os.stat(content).st_size == 0:
        return _pack(memoryview(b""), b"", method)
    with (
        open(content, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
    ):
        return _pack(view, content, method)


def _pack(view: memoryview, content: Content, method: int) -> Packed:
    crc, size = crc32(view), len(view)
    if method == STORED:
        return Packed(content, size, crc, size)
    data = _deflated(view)
    return Packed(data, len(data), crc, size)


def crc32(data: bytes | bytearray | memoryview) -> int:
    """The CRC-32 of zip archives."""
    try:
        from deflate import crc32 as fast
    except ImportError:
        return zlib.crc32(data)
    return int(fast(data))


def inflated(data: bytes, size: int) -> bytearray | None:
    """The first `size` bytes that were deflated to `data`; None when there are fewer, or without a fast engine."""
    try:
        from deflate import DeflateError, deflate_decompress
    except ImportError:
        return None
    try:
        content: bytearray = deflate_decompress(data, size)
    except DeflateError:
        return None
    return content


def _deflated(view: memoryview) -> bytes | bytearray:
    try:
        from deflate import deflate_compress
    except ImportError:
        encoder = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
        return b"".join([*(encoder.compress(piece) for piece in _pieces(view)), encoder.flush()])
    data: bytearray = deflate_compress(view, _LEVEL)
    return data


def _pieces(view: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(view), _PIECE):
        yield view[start : start + _PIECE]
