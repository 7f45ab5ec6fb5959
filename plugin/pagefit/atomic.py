"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os

from pagefit.errors import OutputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO, Final

    from _typeshed import StrPath

#: File systems keep holes in blocks of this size or a divisor of it (bytes).
_BLOCK: Final = 4096
_CHUNK: Final = 1 << 20
#: The kernel copies between files through a pipe of this size (bytes): where pages straddle its ends, half as fast as
#: reading and writing does.
_PIPE: Final = 1 << 16
#: What file systems, and kernels, say that cannot copy from one file to the other by themselves.
_CANNOT: Final = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


@contextlib.contextmanager
def replacing(target: StrPath, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """A new file, open for writing and reading, that takes `target`'s place when the block ends without an exception.

    Otherwise nothing changes and nothing is left behind. Its permissions are `mode`, or else those of the file it
    replaces, or else what the umask gives. Raises OutputError when the file system does not let it be written.
    """
    # In the same folder, for a rename to be atomic; not ending like the target, for nobody to take it for one.
    unfinished = os.path.join(os.path.dirname(target), f".pagefit-{os.urandom(8).hex()}.tmp")
    try:
        with open(unfinished, "x+b") as file:
            if mode is None:
                with contextlib.suppress(FileNotFoundError):
                    mode = os.stat(target).st_mode & 0o7777
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
        os.replace(unfinished, target)
    except OSError as error:
        raise not_written(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)


def write_with_holes(reader: IO[bytes], writer: IO[bytes]) -> None:
    """Write all that `reader` holds, leaving whole blocks of zeros unwritten: padding takes no room on the disk then.

    `writer` has to be a new file. Raises OSError.
    """
    size = 0
    zeros = bytes(_BLOCK)
    while chunk := reader.read(_CHUNK):
        # Most of what is written has no zeros to leave out, which a search finds out faster than a look at each block.
        step = _BLOCK if zeros in chunk else _CHUNK
        for start in range(0, len(chunk), step):
            block = chunk[start : start + step]
            if block == zeros[: len(block)]:
                writer.seek(len(block), os.SEEK_CUR)
            else:
                writer.write(block)
        size += len(chunk)
    writer.truncate(size)


def copy_with_holes(source: int, target: int) -> None:
    """Copy a whole file to a new one, by their descriptors; where it has holes, the copy has holes. Raises OSError."""
    size = os.fstat(source).st_size
    end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                break
            raise
        end = os.lseek(source, start, os.SEEK_HOLE)
        copy_range(source, target, start, start, end - start)
    os.ftruncate(target, size)


def copy_range(source: int, target: int, start: int, at: int, length: int) -> None:
    """Copy `length` bytes from the offset `start` of a file to the offset `at` of another, by their descriptors.

    The kernel does it where it can, on some file systems by sharing. Raises OSError, also when the file ends before.
    """
    while length:
        count = 0
        if start % _PIPE == at % _PIPE == 0:
            try:
                count = os.copy_file_range(source, target, length, start, at)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
        if not count:  # some file systems do not say that they cannot
            piece = os.pread(source, min(length, _CHUNK - start % _CHUNK), start)
            count = os.pwrite(target, piece, at)
        if not count:
            raise OSError("the file became shorter while it was read")
        start, at, length = start + count, at + count, length - count


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where there is none. Raises OutputError when it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(path, error) from error


def not_written(path: StrPath, error: OSError) -> OutputError:
    """What to raise where a file system has not let `path` be written."""
    remedy = "Make room or choose another folder; nothing was changed."
    return OutputError(f"cannot be written ({error.strerror or error})", where=os.fspath(path), remedy=remedy)
