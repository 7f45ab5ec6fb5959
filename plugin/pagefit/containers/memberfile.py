"""A member as a binary file object, for libraries that want one."""

from __future__ import annotations

import io

from pagefit.containers.member import Member


class MemberFile(io.RawIOBase):
    """Reads a member on demand. Wrap it in `io.BufferedReader` for small reads."""

    def __init__(self, member: Member) -> None:
        super().__init__()
        self._member = member
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset in bytes."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._member.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    # The base class takes every kind of buffer; `io.BufferedReader`, which reads through this, gives these.
    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` as far as the member goes."""
        data = self._member.read_at(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
