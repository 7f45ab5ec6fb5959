"""One file inside a container, or a container itself: a name, a size and a way to read any part of it.

Everything that reads containers takes a `Member` and gives `Member`s, so nesting needs no code of its own.
"""

from __future__ import annotations

import io
import os
import stat

from pagefit.errors import InputError
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO

    from _typeshed import StrPath

    from pagefit.elf.headers import ReadAt

#: How much of a member is kept in memory before what was read of it moves to a temporary file (bytes).
KEPT_IN_MEMORY = 1 << 20
#: How much of a member is unpacked at all (bytes); no real one is as large.
KEPT_ON_DISK = 16 << 30


class Member(NamedTuple):
    """A file: `names` are its own name and, before it, those of the containers around it; `size` in bytes.

    `read_at(offset, length)` reads on demand: shorter at the end, InputError when the container is damaged there.
    `stored_offset` is where an uncompressed zip member's data begin in their archive (bytes), otherwise None.
    Valid until the iterator that gave it moves on.
    """

    names: tuple[str, ...]
    size: int
    read_at: ReadAt
    stored_offset: int | None = None

    @property
    def path(self) -> str:
        """The names as people read them: `dist/a.tar.gz!b.whl!pkg/c.so`."""
        return "!".join(self.names)


class _OpenFile:
    """A file descriptor that closes when the last member that reads from it is gone."""

    def __init__(self, path: StrPath) -> None:
        self._path = path
        # Without O_NONBLOCK, opening a pipe nobody writes to would wait for ever.
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def read_at(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self.descriptor, length, offset)
        except OSError as error:
            raise _unreadable(self._path, error) from error

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


def _unreadable(path: StrPath, error: OSError) -> InputError:
    return InputError(f"cannot be read ({error.strerror})", where=os.fspath(path))


def open_file(path: StrPath) -> Member:
    """A file as a member. Raises InputError when there is none, or it cannot be read."""
    try:
        file = _OpenFile(path)
    except OSError as error:
        raise _unreadable(path, error) from None
    status = os.fstat(file.descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise InputError("neither a file nor a folder", where=os.fspath(path))
    return Member((os.fspath(path),), status.st_size, file.read_at)


#: What lines of names hold, each behind a slash, when one of them may be unsafe, and seldom when all are safe.
_DOUBTFUL = ("\\", "\0", ":", "//", "/.", "\n/\n")


def is_safe_name(name: str) -> bool:
    """Whether a member's name stays within the folder it would be unpacked into, on every system."""
    parts = name.removesuffix("/").split("/")
    return not ({"", ".", ".."} & set(parts) or "\\" in name or "\0" in name or parts[0][1:2] == ":")


def unsafe_names(names: Iterable[str]) -> Iterator[str]:
    """Those that are not safe (`is_safe_name`), of names that may be ten thousand and are gone through twice."""
    lines = "\n/" + "\n/".join(names) + "\n"
    if any(mark in lines for mark in _DOUBTFUL):
        yield from (name for name in names if not is_safe_name(name))


def damaged(names: tuple[str, ...], error: InputError) -> Member:
    """A member that can be named but not read: reading it raises `error`, so that its siblings can still be walked."""

    def read_at(_offset: int, _length: int) -> bytes:
        raise error

    return Member(names, 0, read_at)


class Spool:
    """Random access to a source that can only be read forward, reading no further than asked.

    What was read is kept, up to `KEPT_IN_MEMORY` bytes in memory, beyond that in an unnamed temporary file. Reading
    behind `KEPT_ON_DISK` bytes raises InputError.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._kept: IO[bytes] = io.BytesIO()
        self._length = 0
        self._error: InputError | None = None

    def __del__(self) -> None:
        self._kept.close()

    def read_at(self, offset: int, length: int) -> bytes:
        """Read `length` bytes at `offset`; shorter at the end."""
        while self._length < offset + length:
            chunk = self._next()
            if not chunk:
                break
            self._kept.seek(self._length)
            self._kept.write(chunk)
            self._length += len(chunk)
            if self._length > KEPT_IN_MEMORY and isinstance(self._kept, io.BytesIO):
                self._kept = _on_disk(self._kept)
        self._kept.seek(offset)
        return self._kept.read(length)

    def _next(self) -> bytes:
        """The next piece, empty at the end. An error stays: whoever asks again must not take it for the end."""
        if self._error:
            raise self._error
        try:
            if self._length > KEPT_ON_DISK:
                raise InputError(f"more than {KEPT_ON_DISK >> 30} GiB would have to be unpacked to look into this")
            return next(self._chunks, b"")
        except InputError as error:
            self._error = error
            raise


def _on_disk(kept: io.BytesIO) -> IO[bytes]:
    # Imported late: `tempfile` takes as long to import as a whole wheel takes to check, and few members need it.
    import tempfile

    file = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the spool
    file.write(kept.getbuffer())
    return file
