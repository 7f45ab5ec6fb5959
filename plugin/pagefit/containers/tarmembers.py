"""The regular files of a tar archive, plain or compressed, in one pass and with bounded memory.

`tarfile` reads the headers. It takes a damaged header in the middle for the archive's end, and reads extended headers
of any length into memory: both are errors here.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from typing import IO, Final

from pagefit.containers import decompression
from pagefit.containers.kinds import Kind
from pagefit.containers.member import Member, Spool
from pagefit.containers.memberfile import MemberFile
from pagefit.errors import InputError

#: Longest extended header that is read (bytes); real ones hold a few names and attributes.
_LONGEST_EXTENSION: Final = 1 << 20
_EXTENSIONS: Final = frozenset(
    (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
)
_CHUNK: Final = 1 << 18
_REMEDY: Final = "Fetch or build the archive again; it is truncated or damaged."


class Header(tarfile.TarInfo):
    """A header that is never silently taken for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
        """Parse 512 bytes. Raises InputError when they are no header."""
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if any(buf):
                raise InputError(f"a damaged tar header ({error})") from None
            raise
        if header.type in _EXTENSIONS and not 0 <= header.size <= _LONGEST_EXTENSION:
            raise InputError(f"a tar header extension of {header.size} bytes")
        if header.size < 0:
            raise InputError(f"{header.name} has a size of {header.size} bytes")
        return header


def members(archive: Member, kind: Kind) -> Iterator[Member]:
    """The regular files, in order, of an archive that is a plain tar or a compressed one; links are left out.

    Raises InputError when anything is damaged or cut off.
    """
    if kind == "tar":
        yield from _members(archive, io.BufferedReader(MemberFile(archive)), "r:")
        return
    stream = io.BufferedReader(ChunkFile(decompression.decompressed(archive, kind)), _CHUNK)
    yield from _members(archive, stream, "r|")
    # A stream's checksum is behind the archive's end.
    while stream.read(_CHUNK):
        pass


def headers(archive: Member) -> Iterator[tarfile.TarInfo]:
    """The headers of all members of a plain tar archive. Raises InputError when one is damaged."""
    for header, _ in _headers(archive, io.BufferedReader(MemberFile(archive)), "r:"):
        yield header


def name_of(header: tarfile.TarInfo) -> str:
    """The name of a member without the `./` that `tar -c .` puts before it."""
    return header.name.removeprefix("./")


def _headers(
    archive: Member, stream: io.BufferedIOBase, mode: str
) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    with _clear_errors(archive):
        tar = tarfile.open(  # noqa: SIM115  # it holds no resource but `stream`
            fileobj=stream,
            mode=mode,  # type: ignore[call-overload]
            tarinfo=Header,
            encoding="utf-8",
            errors="backslashreplace",
        )
        while header := tar.next():
            # `tarfile` would keep every header it has seen.
            tar.members.clear()
            yield header, tar


def _members(archive: Member, stream: io.BufferedIOBase, mode: str) -> Iterator[Member]:
    for header, tar in _headers(archive, stream, mode):
        file = tar.extractfile(header) if header.isreg() else None
        if file is not None:
            yield Member((*archive.names, name_of(header)), header.size, Spool(_chunks(archive, file)).read_at)


def _chunks(archive: Member, file: IO[bytes]) -> Iterator[bytes]:
    with _clear_errors(archive):
        while chunk := file.read(_CHUNK):
            yield chunk


@contextlib.contextmanager
def _clear_errors(archive: Member) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(error.what, where=error.where or archive.path, remedy=error.remedy or _REMEDY) from None
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise InputError(f"the tar archive is damaged ({error})", where=archive.path, remedy=_REMEDY) from None


class ChunkFile(io.RawIOBase):
    """Pieces of bytes as a binary file object that can only be read forward."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__()
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    # The base class takes every kind of buffer; `io.BufferedReader`, which reads through this, gives these.
    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` from the piece at hand."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
