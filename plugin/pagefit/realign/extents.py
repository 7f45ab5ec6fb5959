"""Where the bytes of the old file go in the new one.

The parts of the memory image have been placed; everything else follows: sections that are not loaded, the section
header table, data that a tool has put into a gap or behind the end. Nothing is dropped but zeros between two LOADs.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from itertools import pairwise

from pagefit.elf.sections import ElfFile, Section
from pagefit.errors import Refused
from pagefit.realign.place import Placed, up
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

_CHUNK = 1 << 16


class Extent(NamedTuple):
    """`length` bytes that lie at offset `old` in the original and at `new` in the result."""

    old: int
    new: int
    length: int


class FileLayout:
    """All extents, by new offset, and the size of the result in bytes. Between extents the result has zeros."""

    def __init__(self, extents: tuple[Extent, ...], size: int) -> None:
        self.extents = extents
        self.size = size

    @cached_property
    def _by_old(self) -> list[Extent]:
        return sorted(self.extents)

    @cached_property
    def _olds(self) -> list[int]:
        return [extent.old for extent in self._by_old]

    def offset(self, old: int) -> int:
        """The new offset of the byte at an old one; for an offset between extents, that behind the one before."""
        index = bisect_right(self._olds, old) - 1
        if index < 0:
            return old
        extent = self._by_old[index]
        return extent.new + min(old - extent.old, extent.length)

    def spans(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """(old offset or -1 for zeros, new offset, length) of the pieces of a range of the result."""
        end = min(offset + length, self.size)
        for extent in self.extents:
            start, stop = max(offset, extent.new), min(end, extent.new + extent.length)
            if start < stop:
                if offset < start:
                    yield -1, offset, start - offset
                yield extent.old + start - extent.new, start, stop - start
                offset = stop
        if offset < end:
            yield -1, offset, end - offset


def arrange(file: ElfFile, placed: Sequence[Placed], without: Collection[Section] = ()) -> FileLayout:
    """Arrange a whole file around placed parts, leaving out the bytes of some sections that are not loaded.

    Raises Refused when two LOADs share bytes of the file.
    """
    taken = sorted(
        Extent(one.part.offset, one.offset, one.part.file_end - one.part.start)
        for one in placed
        if one.part.file_end > one.part.start
    )
    for before, after in pairwise(taken):
        if before.old + before.length > after.old:
            raise Refused(f"two LOAD segments share the bytes at offset {after.old:#x}", where=file.where)
    alignment = _alignment(file)
    kept, homeless = list(taken), []
    for (start, end), shift in _gaps(taken, file):
        for number, (low, high) in enumerate(_remaining(start, end, without)):
            extent = Extent(low, low + shift, high - low)
            if number == 0 and _free(extent, taken):
                kept.append(extent)
            else:
                homeless.append(extent)
    for extent in homeless:
        behind = max((one.new + one.length for one in kept), default=0)
        new = extent.old + up(behind - extent.old, alignment)
        kept.append(Extent(extent.old, new, extent.length))
    kept.sort(key=lambda extent: extent.new)
    return FileLayout(tuple(kept), kept[-1].new + kept[-1].length)


def _gaps(taken: Sequence[Extent], file: ElfFile) -> Iterator[tuple[tuple[int, int], int]]:
    """What lies between and behind the parts, without outer zeros, and how far the part before it has moved."""
    position = shift = 0
    for extent in (*taken, None):
        end = extent.old if extent else file.image.size
        content = (position, end) if extent is None else _content(file, position, end)
        if content[0] < content[1]:
            yield content, shift
        if extent:
            position, shift = extent.old + extent.length, extent.new - extent.old


def _remaining(start: int, end: int, without: Collection[Section]) -> Iterator[tuple[int, int]]:
    """A range of the file without the bytes of some sections."""
    for section in sorted(without, key=lambda section: section.offset):
        if section.file_size and start <= section.offset and section.file_end <= end:
            if start < section.offset:
                yield start, section.offset
            start = section.file_end
    if start < end:
        yield start, end


def _content(file: ElfFile, start: int, end: int) -> tuple[int, int]:
    """The part of a gap that holds anything: sections, header tables, or bytes that are not zero."""
    header = file.header
    items = [(s.offset, s.file_end) for s in file.sections if s.file_size and start <= s.offset < end]
    items.append((header.shoff, header.shoff + header.shnum * header.shentsize))
    items.append((header.phoff, header.phoff + header.phnum * header.phentsize))
    items.append((0, header.ehsize))
    inside = [(low, min(high, end)) for low, high in items if start <= low < end and low < high]
    low = min((item[0] for item in inside), default=end)
    high = max((item[1] for item in inside), default=start)
    before, behind = _nonzero(file, start, low), _nonzero(file, high, end)
    return min((low, *before[:1])), max((high, *behind[1:]))


def _nonzero(file: ElfFile, start: int, end: int) -> tuple[int, ...]:
    """The first byte that is not zero in a range and the place behind the last; empty when all are zero."""
    first, last = -1, -1
    for at in range(start, end, _CHUNK):
        chunk = file.data[at : min(at + _CHUNK, end)]
        stripped = chunk.lstrip(b"\0")
        if stripped:
            first = first if first >= 0 else at + len(chunk) - len(stripped)
            last = at + len(chunk.rstrip(b"\0"))
    return (first, last) if first >= 0 else ()


def _free(extent: Extent, taken: Iterable[Extent]) -> bool:
    return all(extent.new + extent.length <= one.new or one.new + one.length <= extent.new for one in taken)


def _alignment(file: ElfFile) -> int:
    """Sections that are not loaded keep their place modulo this many bytes."""
    return max([16, *(s.addralign for s in file.sections if not s.alloc and s.addralign <= 4096)])
