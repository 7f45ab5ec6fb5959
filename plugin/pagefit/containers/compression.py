"""Encoding the stream compressions that archives come in: gz, bz2, xz and zst, reproducibly."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from pagefit.containers.decompression import zstd
from pagefit.containers.threads import in_order, threads

#: What is compressed at a time (bytes): short for threads and memory, but so long beside what gzip (32 KiB) and `xz -6`
#: (8 MiB) look back to that it costs less than half a percent in length.
_PARTS: Final = {"gz": 4 << 20, "bz2": 9 * 900_000, "xz": 16 << 20}
_ZSTD_LEVEL: Final = 9
#: 128 MiB, as a power of two: default decoders refuse more.
_ZSTD_WINDOW: Final = 27
#: How far workers look back into what the one before has, from 1 to 9: two percent shorter for five percent more time.
_ZSTD_OVERLAP: Final = 9


def compressed(pieces: Iterable[bytes], name: str, where: str) -> Iterator[bytes]:
    """Compress a stream as gz, bz2, xz or zst, on threads, to bytes that show neither their number nor the time.

    All but zst come in parts of fixed length that decoders take for one stream; zst always uses its worker mode, whose
    output is the same with any number of workers, with long-distance matching in the largest window that every decoder
    accepts: libraries that are alike cost little more than one.
    """
    if name == "zst":
        yield from _compressed_zstd(pieces, where)
        return
    parts = _parts(pieces, _PARTS[name])
    if name == "xz":
        import lzma

        yield from in_order(lambda part: lzma.compress(part, preset=6), parts)
    elif name == "bz2":
        import bz2

        yield from in_order(bz2.compress, parts)
    else:
        yield from in_order(_gzip, parts)


def _compressed_zstd(pieces: Iterable[bytes], where: str) -> Iterator[bytes]:
    module = zstd(where)
    parameter = module.CompressionParameter
    encoder = module.ZstdCompressor(
        options={
            parameter.compression_level: _ZSTD_LEVEL,
            parameter.checksum_flag: 1,
            parameter.enable_long_distance_matching: 1,
            parameter.window_log: _ZSTD_WINDOW,
            parameter.overlap_log: _ZSTD_OVERLAP,
            parameter.nb_workers: threads(),
        }
    )
    for piece in pieces:
        yield encoder.compress(piece)
    yield encoder.flush()


def _gzip(part: bytearray) -> bytes:
    # zlib writes neither a time nor a name.
    encoder = zlib.compressobj(6, zlib.DEFLATED, 31)
    return encoder.compress(part) + encoder.flush()


def _parts(pieces: Iterable[bytes], length: int) -> Iterator[bytearray]:
    part = bytearray()
    for piece in pieces:
        rest = memoryview(piece)
        while len(part) + len(rest) >= length:
            room = length - len(part)
            part += rest[:room]
            rest = rest[room:]
            yield part
            part = bytearray()  # whoever compresses the other has it
        part += rest
    if part:
        yield part
