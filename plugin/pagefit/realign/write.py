"""Writing a draft: a stream of extents, then the changes."""

from __future__ import annotations

import os
from typing import IO

from pagefit.realign.draft import Draft

_CHUNK = 1 << 18


def write(draft: Draft, old: IO[bytes], new: IO[bytes]) -> None:
    """Write a draft of the file `old` to the empty file `new`. Copied piece by piece; zeros are left as holes."""
    source, target = old.fileno(), new.fileno()
    buffer = memoryview(bytearray(_CHUNK))
    for extent in draft.layout.extents:
        done = 0
        while done < extent.length:
            count = os.preadv(source, [buffer[: extent.length - done]], extent.old + done)
            if not count:
                raise OSError("the file became shorter while it was read")
            os.pwrite(target, buffer[:count], extent.new + done)
            done += count
    os.ftruncate(target, draft.layout.size)
    _apply(draft, target)


def _apply(draft: Draft, target: int) -> None:
    """Write the changes, window by window: one read and one write for many small patches."""
    start, window = 0, bytearray()
    for offset, new in draft.changes():
        if offset + len(new) > start + len(window):
            _flush(target, start, window)
            start, window = offset, bytearray(os.pread(target, max(_CHUNK, len(new)), offset))
        window[offset - start : offset - start + len(new)] = new
    _flush(target, start, window)


def _flush(target: int, start: int, window: bytearray) -> None:
    if window:
        os.pwrite(target, window, start)
