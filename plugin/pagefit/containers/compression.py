"""The stream compressions that archives come in: gz, bz2, xz and zst, decoded with bounded memory and encoded
reproducibly.

Decoders of every format are driven the same way, a bounded piece of output at a time, so that a bomb costs time only
for what is read of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Final, Protocol

from pagefit.containers.member import Member
from pagefit.containers.threads import in_order, threads
from pagefit.errors import InputError

_INPUT: Final = 1 << 16
_OUTPUT: Final = 1 << 18
#: `xz -9` needs 65 MiB to decode; a hostile header can ask for 4 GiB (bytes).
_XZ_MEMORY: Final = 256 << 20
#: What is compressed at a time (bytes): short for threads and memory, but so long beside what gzip (32 KiB) and `xz -6`
#: (8 MiB) look back to that it costs less than half a percent in length.
_PARTS: Final = {"gz": 4 << 20, "bz2": 9 * 900_000, "xz": 16 << 20}
_ZSTD_LEVEL: Final = 9
#: 128 MiB, as a power of two: default decoders refuse more.
_ZSTD_WINDOW: Final = 27
#: How far workers look back into what the one before has, from 1 to 9: two percent shorter for five percent more time.
_ZSTD_OVERLAP: Final = 9


class _Decoder(Protocol):
    """What `lzma`, `bz2` and `zstd` decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """`zlib` with the manners of the other decompressors."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        output = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        # With the input used up, a full output can still mean that there is more of it.
        self.needs_input = not self._inner.unconsumed_tail and len(output) < max_length
        return output


def zstd(where: str) -> ModuleType:
    """The zstd module: the standard library's, or its backport. Raises InputError, naming the extra, without either."""
    try:
        try:
            from compression import zstd as module  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            from backports import zstd as module
    except ImportError:
        remedy = "Install it with: pip install 'pagefit[zstd]'."
        raise InputError("zstd needs Python 3.14 or the backports.zstd package", where=where, remedy=remedy) from None
    return module  # type: ignore[no-any-return,unused-ignore]


def decompressed(member: Member, name: str) -> Iterator[bytes]:
    """The content of a compressed stream, piece by piece; several streams in a row are one, as the tools have it.

    Raises InputError when it is damaged or cut off.
    """
    new, errors = _decoder(name, member.path)
    try:
        yield from _decode(_blocks(member), new)
    except EOFError:
        raise _damaged(member, f"the {name} stream is cut off") from None
    except errors as error:
        raise _damaged(member, f"the {name} stream is damaged ({error})") from None


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


def _decoder(name: str, where: str) -> tuple[Callable[[], _Decoder], tuple[type[Exception], ...]]:
    if name == "gz":
        return _Gzip, (zlib.error,)
    if name == "bz2":
        import bz2

        return bz2.BZ2Decompressor, (OSError, ValueError)
    if name == "xz":
        import lzma

        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY), (lzma.LZMAError,)
    module = zstd(where)
    return module.ZstdDecompressor, (module.ZstdError,)


def _decode(blocks: Iterator[bytes], new: Callable[[], _Decoder]) -> Iterator[bytes]:
    decoder = new()
    started = False
    for block in blocks:
        pending = block
        while pending or (started and not decoder.needs_input):
            if not started:
                # Zeros between and behind streams are padding: gzip and xz both allow it, tapes and disks leave it.
                pending = pending.lstrip(b"\0")
                if not pending:
                    break
                decoder, started = new(), True
            yield decoder.decompress(pending, _OUTPUT)
            pending = b""
            if decoder.eof:
                pending, started = decoder.unused_data, False
    if started:
        raise EOFError


def _blocks(member: Member) -> Iterator[bytes]:
    for offset in range(0, member.size, _INPUT):
        yield member.read_at(offset, _INPUT)


def _damaged(member: Member, what: str) -> InputError:
    return InputError(what, where=member.path, remedy="Fetch or build the archive again; it is damaged.")
