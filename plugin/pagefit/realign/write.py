"""Writing a draft: a stream of extents, then the changes."""

from __future__ import annotations

import os

from pagefit.atomic import copy_range
from pagefit.realign.draft import Draft
from pagefit.realign.extents import Extent
from pagefit.realign.place import up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Final

_CHUNK: Final = 1 << 17


def write(draft: Draft, old: IO[bytes], new: IO[bytes]) -> None:
    """Write a draft of the file `old` to the empty file `new`; zeros between extents become holes."""
    source, target, size = old.fileno(), new.fileno(), draft.layout.size

    def between(start: int, end: int) -> None:
        for extent in draft.layout.extents:
            low, high = max(start, extent.new), min(end, extent.new + extent.length)
            if low < high:
                _write(draft, source, target, Extent(extent.old + low - extent.new, low, high - low))

    if draft.code.words:
        from pagefit.children import beside  # copying alone is no faster with it

        beside(lambda: between(size // 2, size), lambda: between(0, size // 2), size)
    else:
        between(0, size)
    os.ftruncate(target, size)
    for offset, header in draft.headers:  # the program headers may have moved to where nothing was
        os.pwrite(target, header, offset)


def _write(draft: Draft, source: int, target: int, window: Extent) -> None:
    """Write one extent, or a part of one, in windows that are small only where something changes."""
    old, new, length = window
    if not draft.changes(new, length):
        copy_range(source, target, old, new, length)
    elif length > _CHUNK:
        half = up(length // 2, _CHUNK)
        _write(draft, source, target, Extent(old, new, half))
        _write(draft, source, target, Extent(old + half, new + half, length - half))
    else:
        found = memoryview(bytearray(length))
        if os.preadv(source, [found], old) < length:
            raise OSError("the file became shorter while it was read")
        draft.change(found, new)
        os.pwrite(target, found, new)
