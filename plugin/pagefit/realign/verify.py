"""The last pass: the result, read afresh, must be what was meant.

The strongest test is the way back. With the moves inverted, the references found in the result must be the patches
that made it, turned round: none is missing, none is new, and undoing them gives the original.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pagefit.elf import relocations
from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.arch import architecture
from pagefit.realign.draft import Draft
from pagefit.realign.references import PACKED, tables

_CHUNK = 1 << 20


def verify(draft: Draft, after: ElfFile) -> None:
    """Prove that `after`, read from the file just written, is what `draft` says. Raises Refused when it isn't."""
    if after.image != draft.image or after.sections != draft.sections:
        raise _failed(draft, "its headers are not those that were planned")
    if not draft.moves.moved:
        return
    _bytes(draft, after)
    back = draft.moves.inverse()
    found = {p.offset: (p.new, p.old) for p in tables(after, back) if p.kind not in PACKED}
    code = {p.offset for p in draft.code.patches}
    meant = {
        draft.layout.offset(p.offset): (p.old, p.new)
        for p in draft.patches
        if p.kind not in PACKED and p.offset not in code
    }
    if found != meant:
        odd = min(offset for offset, _ in found.items() ^ meant.items())
        raise _failed(draft, f"the reference at offset {odd:#x} of the result does not lead back")
    _relocations(draft, after)
    if draft.code.patches:
        architecture(after.header.machine, where=after.where).verify(draft.file, after, draft.moves, draft.code)


def _bytes(draft: Draft, after: ElfFile) -> None:
    """Every byte that no patch explains is the original's."""
    undo = sorted([(draft.layout.offset(p.offset), p.old, p.new) for p in draft.patches])
    headers = sorted((offset, len(new)) for offset, new in draft.headers)
    for extent in draft.layout.extents:
        for start in range(0, extent.length, _CHUNK):
            size = min(_CHUNK, extent.length - start)
            old, new = extent.old + start, extent.new + start
            if after.data[new : new + size] != draft.file.data[old : old + size]:
                mended = bytearray(after.data[new : new + size])
                original = bytearray(draft.file.data[old : old + size])
                _overlay(mended, new, ((at, before) for at, before, _ in undo))
                for at, length in headers:
                    low, high = max(at - new, 0), min(at + length - new, size)
                    if low < high:
                        mended[low:high] = original[low:high]
                if mended != original:
                    raise _failed(draft, f"bytes near offset {new:#x} of the result changed without a reason")


def _overlay(buffer: bytearray, start: int, pieces: Iterable[tuple[int, bytes]]) -> None:
    end = start + len(buffer)
    for at, new in pieces:
        if at >= end:
            break
        low, high = max(at, start), min(at + len(new), end)
        if low < high:
            buffer[low - start : high - start] = new[low - at : high - at]


def _relocations(draft: Draft, after: ElfFile) -> None:
    """Packed tables have several encodings: what counts is what they say."""
    before, moves = draft.file, draft.moves
    if not any(table.form in PACKED for table in relocations.tables(before)):
        return
    meant = Counter((moves.new(one.place), one.info) for one in relocations.relocations(before))
    if meant != Counter((one.place, one.info) for one in relocations.relocations(after)):
        raise _failed(draft, "its packed relocations are not those of the original")


def _failed(draft: Draft, what: str) -> Refused:
    return Refused(
        f"the result was not proved: {what}",
        where=draft.file.where,
        remedy="Nothing was written. Please report this with the file.",
    )
