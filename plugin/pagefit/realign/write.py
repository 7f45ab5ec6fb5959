"""Writing a draft: a stream of extents, then the changes."""

from __future__ import annotations

import errno
import os
from typing import IO, Final

from pagefit.realign.draft import Draft

_CHUNK: Final = 1 << 18
#: What file systems, and kernels, say that cannot copy from one file to the other by themselves.
_CANNOT: Final = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


def write(draft: Draft, old: IO[bytes], new: IO[bytes]) -> None:
    """Write a draft of the file `old` to the empty file `new`, window by window; zeros between them become holes."""
    source, target = old.fileno(), new.fileno()
    buffer = memoryview(bytearray(_CHUNK))
    for extent in draft.layout.extents:
        done = 0
        while done < extent.length:
            length = min(_CHUNK, extent.length - done)
            count = 0
            if not draft.changes(extent.new + done, length):
                count = _copied(source, target, length, extent.old + done, extent.new + done)
            if not count:
                count = os.preadv(source, [buffer[:length]], extent.old + done)
                draft.change(buffer[:count], extent.new + done)
                os.pwrite(target, buffer[:count], extent.new + done)
            if not count:
                raise OSError("the file became shorter while it was read")
            done += count
    os.ftruncate(target, draft.layout.size)
    for offset, header in draft.headers:  # the program headers may have moved to where nothing was
        os.pwrite(target, header, offset)


def _copied(source: int, target: int, length: int, start: int, at: int) -> int:
    """Let the kernel copy, which may be by sharing: how many bytes it did, none where it cannot."""
    try:
        return os.copy_file_range(source, target, length, start, at)
    except AttributeError:  # not Linux
        return 0
    except OSError as error:
        if error.errno in _CANNOT:
            return 0
        raise
