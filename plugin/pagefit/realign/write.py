"""Writing a draft: a stream of extents, then the changes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import IO, Final

from pagefit.atomic import copy_range
from pagefit.children import beside
from pagefit.realign.draft import Draft
from pagefit.realign.extents import Extent

_CHUNK: Final = 1 << 17


def write(draft: Draft, old: IO[bytes], new: IO[bytes]) -> None:
    """Write a draft of the file `old` to the empty file `new`, window by window; zeros between them become holes."""
    windows = [
        Extent(extent.old + done, extent.new + done, min(_CHUNK, extent.length - done))
        for extent in draft.layout.extents
        for done in range(0, extent.length, _CHUNK)
    ]
    half = len(windows) // 2

    def some(windows: Iterable[Extent]) -> None:
        for window in windows:
            _write(draft, old.fileno(), new.fileno(), window)

    beside(lambda: some(windows[half:]), lambda: some(windows[:half]), draft.layout.size)
    os.ftruncate(new.fileno(), draft.layout.size)
    for offset, header in draft.headers:  # the program headers may have moved to where nothing was
        os.pwrite(new.fileno(), header, offset)


def _write(draft: Draft, source: int, target: int, window: Extent) -> None:
    if not draft.changes(window.new, window.length):
        copy_range(source, target, window.old, window.new, window.length)
        return
    found = memoryview(bytearray(window.length))
    if os.preadv(source, [found], window.old) < window.length:
        raise OSError("the file became shorter while it was read")
    draft.change(found, window.new)
    os.pwrite(target, found, window.new)
