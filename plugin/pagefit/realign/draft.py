"""A draft of the result: every decision made, nothing written."""

from __future__ import annotations

import struct
from bisect import bisect_left
from functools import cached_property
from itertools import chain

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, Segment
from pagefit.elf.sections import ElfFile, Section
from pagefit.errors import Refused
from pagefit.realign import relocs, tables
from pagefit.realign.arch import CodeReferences
from pagefit.realign.extents import FileLayout, arrange
from pagefit.realign.loads import group_file_end, groups, loads
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch
from pagefit.realign.place import Placed, moves_of, up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import Final

_WORD: Final = struct.Struct("<I")
#: Most changes are no longer than this (bytes).
_SHORT: Final = 64


class Draft:
    """What the result will be: its headers, where its bytes come from, and which bytes change.

    `headers` are (offset in the result, bytes) of the ELF header, program headers and section headers; the patches of
    `tables` and of `code` are in terms of the original.
    """

    def __init__(
        self,
        file: ElfFile,
        moves: Moves,
        layout: FileLayout,
        image: Image,
        sections: tuple[Section, ...],
        headers: tuple[tuple[int, bytes], ...],
        code: CodeReferences | None = None,
        tables: tuple[Patch, ...] = (),
    ) -> None:
        self.file = file
        self.moves = moves
        self.layout = layout
        self.image = image
        self.sections = sections
        self.headers = headers
        self.code = CodeReferences() if code is None else code
        self.tables = tables

    def patched(self, tables: tuple[Patch, ...], code: CodeReferences | None = None) -> Draft:
        """The same draft, with the patches of references."""
        return Draft(self.file, self.moves, self.layout, self.image, self.sections, self.headers, code, tables)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the result, as a loader would read them."""
        return bytes(self.copy(offset, length))

    def copy(self, offset: int, length: int) -> bytearray:
        """The same, for whoever only looks at them."""
        data = memoryview(self.file.data)
        spans = self.layout.spans(offset, length)
        found = bytearray().join(data[old : old + size] if old >= 0 else bytes(size) for old, _, size in spans)
        self.change(memoryview(found), offset)
        return found

    def changes(self, offset: int, length: int) -> bool:
        """Whether bytes in a range of the result may differ from those that they are copied from."""
        if any(self._changes(offset, offset + length)):
            return True
        words = self.code.words.offsets
        return any(
            bisect_left(words, old - 3) < bisect_left(words, old + size)
            for old, _, size in self.layout.spans(offset, length)
            if old >= 0
        )

    def change(self, window: memoryview, offset: int) -> None:
        """Make what was copied to an offset of the result what the result has there."""
        for old, new, size in self.layout.spans(offset, len(window)):
            if old >= 0:
                self._change_words(window[new - offset : new - offset + size], old)
        for at, change in self._changes(offset, offset + len(window)):
            _overwrite(window, at - offset, change)

    def _change_words(self, window: memoryview, offset: int) -> None:
        """The same for the words in code; `offset` is where the window lies in the original."""
        words = self.code.words
        first, last = bisect_left(words.offsets, offset - 3), bisect_left(words.offsets, offset + len(window))
        low, high = bisect_left(words.offsets, offset), bisect_left(words.offsets, offset + len(window) - 3)
        pack = _WORD.pack_into
        for place, new in zip(words.offsets[low:high], words.new[low:high], strict=True):
            pack(window, place - offset, new)
        for index in (*range(first, low), *range(high, last)):  # across an edge of the window
            _overwrite(window, words.offsets[index] - offset, _WORD.pack(words.new[index]))

    def _changes(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """(offset in the result, bytes) of all other changes in a range: few long ones, and short ones by offset."""
        long, short = self._by_length
        yield from (change for change in long if change[0] < end and start < change[0] + len(change[1]))
        yield from short[bisect_left(short, (start - _SHORT, b"")) : bisect_left(short, (end, b""))]

    @cached_property
    def _by_length(self) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]:
        offset = self.layout.offset
        patches = ((offset(patch.offset), patch.new) for patch in chain(self.tables, self.code.others))
        changes = sorted(chain(self.headers, patches))
        return [c for c in changes if len(c[1]) > _SHORT], [c for c in changes if len(c[1]) <= _SHORT]


def draft(file: ElfFile, placed: Sequence[Placed], page: int, without: Collection[Section] = ()) -> Draft:
    """Draft the headers and the layout for placed parts, without some sections; references are patched later.

    Raises Refused when the program header table has to grow and there is no room for it.
    """
    header = file.header
    layout = arrange(file, placed, without)
    segments = tables.new_segments(file, loads(placed, page), placed, layout)
    phoff = layout.offset(header.phoff)
    room = header.phnum * header.phentsize
    headers: list[tuple[int, bytes]] = []
    if len(segments) * header.phentsize > room:
        headers.append((phoff, bytes(room)))
        phoff, segments = _rehoused(file, segments, placed, layout) or _appended(file, segments, layout, page)
        layout = FileLayout(layout.extents, max(layout.size, phoff + len(segments) * header.phentsize))
    elif len(segments) < header.phnum:
        segments = tables.with_table_at(segments, phoff, None, header.phentsize)
    shoff = layout.offset(header.shoff) if header.shoff else 0
    moves = moves_of(placed)
    entry = header.entry + (moves.shift(header.entry) if header.entry else 0)
    new = header._replace(phoff=phoff, phnum=len(segments), shoff=shoff, entry=entry)
    sizes = relocs.grown(file, moves) if moves.moved else {}
    sections = tuple(
        section._replace(size=sizes.get(before.offset, section.size) if before.file_size else section.size)
        for before, section in zip(file.sections, tables.new_sections(file, placed, layout, without), strict=True)
    )
    headers.append((0, tables.header_bytes(new, file.data[:16])))
    headers.append((phoff, tables.segment_bytes(segments, header).ljust(room, b"\0")))
    headers += [(shoff + at, row) for at, row in tables.section_fields(sections, header)]
    headers.sort()
    image = Image(new, segments, layout.size)
    return Draft(file, moves, layout, image, sections, tuple(headers))


def _overwrite(window: memoryview, at: int, new: bytes) -> None:
    """Put bytes at a place of a window, as far as they lie in it."""
    low, high = max(at, 0), min(at + len(new), len(window))
    if low < high:
        window[low:high] = new[low - at : high - at]


def _rehoused(
    file: ElfFile, segments: tuple[Segment, ...], placed: Sequence[Placed], layout: FileLayout
) -> tuple[int, tuple[Segment, ...]] | None:
    """A new home for a program header table that has grown: the zeros in the file behind a read-only mapping."""
    size = len(segments) * file.header.phentsize
    first = placed[0].bias
    for group in groups(placed):
        end = group_file_end(group)
        # Old kernels take AT_PHDR for e_phoff plus the distance of the first LOAD: so the new home has that distance.
        if group[0].part.writable or group[0].bias != first or any(one.end > end for one in group):
            continue
        address = up(end, 8)
        offset = address - first
        follower = min((one.start for one in placed if one.start >= end), default=address + size)
        taken = any(one.new < offset + size and offset < one.new + one.length for one in layout.extents)
        if taken or offset + size > layout.size or follower < address + size:
            continue
        grown = [
            s._replace(filesz=address + size - s.vaddr, memsz=address + size - s.vaddr)
            if s.type == c.PT_LOAD and s.vend == end
            else s
            for s in segments
        ]
        return offset, tables.with_table_at(grown, offset, address, file.header.phentsize)
    return None


def _appended(
    file: ElfFile, segments: tuple[Segment, ...], layout: FileLayout, page: int
) -> tuple[int, tuple[Segment, ...]]:
    """The table at the end of the file, in a read-only LOAD of its own. Raises Refused for a program (see above)."""
    if file.image.first(c.PT_INTERP):
        raise Refused("there is no room for one more program header", where=file.where)
    size = (len(segments) + 1) * file.header.phentsize
    last = [segment for segment in segments if segment.type == c.PT_LOAD][-1]
    offset = up(layout.size, 8)
    address = up(last.vend, page) + offset % page
    load = Segment(0, c.PT_LOAD, c.PF_R, offset, address, address, size, size, page)
    at = segments.index(last) + 1
    table = (*segments[:at], load, *segments[at:])
    numbered = [segment._replace(index=index) for index, segment in enumerate(table)]
    return offset, tables.with_table_at(numbered, offset, address, file.header.phentsize)
