"""Where functions lie: by `.eh_frame_hdr`, the search table that unwinders use, or else by all of `.eh_frame`."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from functools import cached_property
from itertools import islice
from operator import le

from pagefit.elf import eh_frame
from pagefit.elf.sections import ElfFile
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

#: Version 1; a distance to .eh_frame; a count; and distances from the table itself (LSB core 10.6.2).
USUAL: Final = bytes([1, 0x1B, 0x03, 0x3B])


class SearchTable(NamedTuple):
    """`.eh_frame_hdr`: where functions start, ascending, and where their FDEs are; as distances from its `address`."""

    address: int
    functions: array[int]
    fdes: array[int]


def search_table(file: ElfFile) -> SearchTable | None:
    """The search table of a file; None when it has none, or one that is not sorted or of an unusual kind."""
    section = file.by_name.get(".eh_frame_hdr")
    data = file.contents(section) if section else b""
    if section is None or data[:4] != USUAL or len(data) < 12:
        return None
    size = 8 * int.from_bytes(data[8:12], file.header.byteorder)
    if size > len(data) - 12:
        return None
    rows = file.numbers("i", data[12 : 12 + size])
    starts = rows[0::2]
    if not all(map(le, starts, islice(starts, 1, None))):
        return None
    return SearchTable(section.addr, starts, rows[1::2])


class Functions:
    """The functions of a file that have an FDE. With a search table, FDEs are read when they are asked for.

    Raises Refused, whenever it is asked, for tables that are not understood or contradict each other.
    """

    def __init__(self, file: ElfFile) -> None:
        self._file = file

    def before(self, pc: int) -> tuple[int, int] | None:
        """The (start, end) addresses of the last function that starts at an address or before it."""
        index = bisect_right(self._starts, pc - self._base)
        while index > 0:
            index -= 1
            start, end = self._range(index)
            if start < end:
                return start, end
        return None

    def after(self, pc: int) -> int | None:
        """Where the first function behind an address starts."""
        index = bisect_right(self._starts, pc - self._base)
        return self._starts[index] + self._base if index < len(self._starts) else None

    def around(self, pc: int) -> tuple[int, int] | None:
        """The (start, end) addresses of the function that holds an address."""
        found = self.before(pc)
        return found if found is not None and pc < found[1] else None

    @cached_property
    def _table(self) -> SearchTable | None:
        return search_table(self._file) if ".eh_frame" in self._file.by_name else None

    @cached_property
    def _base(self) -> int:
        return self._table.address if self._table else 0

    @cached_property
    def _starts(self) -> Sequence[int]:
        return self._table.functions if self._table else [start for start, _ in self._ranges]

    @cached_property
    def _ranges(self) -> list[tuple[int, int]]:
        return eh_frame.ranges(self._file)

    @cached_property
    def _cursor(self) -> eh_frame.Cursor:
        return eh_frame.Cursor(self._file, self._file.by_name[".eh_frame"])

    def _range(self, index: int) -> tuple[int, int]:
        if self._table is None:
            return self._ranges[index]
        start, at = (self._base + column[index] for column in self._table[1:])
        frame = eh_frame.frame_at(self._cursor, at)
        if frame.start != start:
            raise self._cursor.refuse(at, f"this is not the FDE of {start:#x}, as the search table says")
        return frame.start, frame.end
