"""Writing a draft: a stream of extents, then the changes."""

from __future__ import annotations

import os
from typing import IO, Final

from pagefit.atomic import copy_range
from pagefit.realign.draft import Draft

_CHUNK: Final = 1 << 18


def write(draft: Draft, old: IO[bytes], new: IO[bytes]) -> None:
    """Write a draft of the file `old` to the empty file `new`, window by window; zeros between them become holes."""
    source, target = old.fileno(), new.fileno()
    buffer = memoryview(bytearray(_CHUNK))
    for extent in draft.layout.extents:
        done = 0
        while done < extent.length:
            count = min(_CHUNK, extent.length - done)
            if draft.changes(extent.new + done, count):
                count = os.preadv(source, [buffer[:count]], extent.old + done)
                if not count:
                    raise OSError("the file became shorter while it was read")
                draft.change(buffer[:count], extent.new + done)
                os.pwrite(target, buffer[:count], extent.new + done)
            else:
                copy_range(source, target, extent.old + done, extent.new + done, count)
            done += count
    os.ftruncate(target, draft.layout.size)
    for offset, header in draft.headers:  # the program headers may have moved to where nothing was
        os.pwrite(target, header, offset)
