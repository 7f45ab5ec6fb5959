"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from pagefit.errors import OutputError

#: File systems keep holes in blocks of this size or a divisor of it (bytes).
_BLOCK: Final = 4096
_CHUNK: Final = 1 << 20


@contextlib.contextmanager
def replacing(target: Path, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """A new file, open for writing and reading, that takes `target`'s place when the block ends without an exception.

    Otherwise nothing changes and nothing is left behind. Its permissions are `mode`, or else those of the file it
    replaces, or else what the umask gives. Raises OutputError when the file system does not let it be written.
    """
    # In the same folder, for a rename to be atomic; not ending like the target, for nobody to take it for one.
    unfinished = target.with_name(f".pagefit-{os.urandom(8).hex()}.tmp")
    try:
        with open(unfinished, "x+b") as file:
            if mode is None:
                with contextlib.suppress(FileNotFoundError):
                    mode = target.stat().st_mode & 0o7777
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
        os.replace(unfinished, target)
    except OSError as error:
        raise _not_written(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)


def copy_with_holes(reader: IO[bytes], writer: IO[bytes]) -> None:
    """Copy all that `reader` holds, leaving whole blocks of zeros unwritten: padding takes no room on the disk then.

    `writer` has to be a new file. Raises OSError.
    """
    size = 0
    zeros = bytes(_BLOCK)
    while chunk := reader.read(_CHUNK):
        # Most of what is copied has no zeros to leave out, which a search finds out faster than a look at each block.
        step = _BLOCK if zeros in chunk else _CHUNK
        for start in range(0, len(chunk), step):
            block = chunk[start : start + step]
            if block == zeros[: len(block)]:
                writer.seek(len(block), os.SEEK_CUR)
            else:
                writer.write(block)
        size += len(chunk)
    writer.truncate(size)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where there is none. Raises OutputError when it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> OutputError:
    remedy = "Make room or choose another folder; nothing was changed."
    return OutputError(f"cannot be written ({error.strerror or error})", where=str(path), remedy=remedy)
