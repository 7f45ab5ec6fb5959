"""Decoding the stream compressions that archives come in: gz, bz2, xz and zst, with bounded memory.

Decoders of every format are driven the same way, a bounded piece of output at a time, so that a bomb costs time only
for what is read of it.
"""

from __future__ import annotations

import zlib
from contextlib import suppress

from pagefit.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType
    from typing import Final, Protocol

    from pagefit.containers.member import Member

    class _Decoder(Protocol):
        """What `lzma`, `bz2` and `zstd` decompressors have in common."""

        @property
        def eof(self) -> bool: ...
        @property
        def needs_input(self) -> bool: ...
        @property
        def unused_data(self) -> bytes: ...
        def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


#: How much is read and given at a time (bytes), and how much at first: little, for those who want the beginning only.
_INPUT: Final = 1 << 16
_OUTPUT: Final = 1 << 18
_FIRST_INPUT: Final = 1 << 11
_FIRST_OUTPUT: Final = 1 << 10
#: `xz -9` needs 65 MiB to decode; a hostile header can ask for 4 GiB (bytes).
_XZ_MEMORY: Final = 256 << 20


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
    from importlib import import_module  # imported late: nearly all checks do without

    for name in ("compression.zstd", "backports.zstd"):
        with suppress(ImportError):
            return import_module(name)
    remedy = "Install it with: pip install 'pagefit[zstd]'."
    raise InputError("zstd needs Python 3.14 or the backports.zstd package", where=where, remedy=remedy)


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
    most = _FIRST_OUTPUT
    for block in blocks:
        pending = block
        while pending or (started and not decoder.needs_input):
            if not started:
                # Zeros between and behind streams are padding: gzip and xz both allow it, tapes and disks leave it.
                pending = pending.lstrip(b"\0")
                if not pending:
                    break
                decoder, started = new(), True
            yield decoder.decompress(pending, most)
            pending, most = b"", min(4 * most, _OUTPUT)
            if decoder.eof:
                pending, started = decoder.unused_data, False
    if started:
        raise EOFError


def _blocks(member: Member) -> Iterator[bytes]:
    offset, wanted = 0, _FIRST_INPUT
    while offset < member.size:
        yield member.read_at(offset, wanted)
        offset, wanted = offset + wanted, min(2 * wanted, _INPUT)


def _damaged(member: Member, what: str) -> InputError:
    return InputError(what, where=member.path, remedy="Fetch or build the archive again; it is damaged.")
