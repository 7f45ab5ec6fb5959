"""Writing a draft to a file: a stream of extents, then the changes. The target appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pagefit.realign.draft import Draft

_CHUNK = 1 << 20


@contextmanager
def replacing(source: Path, target: Path) -> Iterator[Path]:
    """A temporary file beside `target`, which takes its place (with `source`'s mode and times) when all went well."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        shutil.copystat(source, temporary)
        temporary.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def write(draft: Draft, source: Path, target: Path) -> None:
    """Write a draft of `source` to `target` (overwritten). Bytes are copied by the megabyte, zeros left as holes."""
    with source.open("rb", buffering=0) as old, target.open("wb", buffering=0) as new:
        buffer = memoryview(bytearray(_CHUNK))
        for extent in draft.layout.extents:
            old.seek(extent.old)
            new.seek(extent.new)
            left = extent.length
            while left:
                count = old.readinto(buffer[: min(left, _CHUNK)])
                if not count:
                    raise OSError(f"{source} became shorter while it was read")
                new.write(buffer[:count])
                left -= count
        new.truncate(draft.layout.size)
    _apply(draft, target)


def _apply(draft: Draft, target: Path) -> None:
    """Write the changes, window by window: one read and one write for many small patches."""
    with target.open("r+b", buffering=0) as stream:
        start, window = 0, bytearray()
        for offset, new in draft.changes():
            if offset + len(new) > start + len(window):
                _flush(stream.fileno(), start, window)
                start = offset
                window = bytearray(os.pread(stream.fileno(), max(_CHUNK, len(new)), start))
            window[offset - start : offset - start + len(new)] = new
        _flush(stream.fileno(), start, window)


def _flush(descriptor: int, start: int, window: bytearray) -> None:
    if window:
        os.pwrite(descriptor, window, start)
