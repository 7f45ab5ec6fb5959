"""The last pass: the result, read afresh, must be what was meant.

The strongest test is the way back. With the moves inverted, the references found in the result must be the patches
that made it, turned round: none is missing, none is new, and undoing them gives the original.
"""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest

from pagefit.elf import relocations
from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.arch import architecture
from pagefit.realign.draft import Draft
from pagefit.realign.patches import PACKED, Patch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_WINDOW: Final = 1 << 17
#: So much of a file's bytes is held in memory while they are compared.
_HELD: Final = 1 << 22


def verify(draft: Draft, after: ElfFile) -> None:
    """Prove that `after`, read from the file just written, is what `draft` says. Raises Refused when it isn't."""
    if after.image != draft.image or after.sections != draft.sections:
        raise _failed(draft, "its headers are not those that were planned")
    if after.image.size != draft.layout.size:
        raise _failed(draft, "its size is not what was planned")
    if not draft.moves.moved:
        return
    from pagefit.children import beside  # not needed for most files

    size = draft.layout.size
    half = size // 2

    def others() -> None:
        _tables(draft, after)
        _bytes(draft, after, half, size)

    def own() -> None:
        _code(draft, after)
        _bytes(draft, after, 0, half)

    beside(others, own, size)


def _code(draft: Draft, after: ElfFile) -> None:
    if len(draft.code):
        machine = architecture(after.header.machine, where=after.where)
        machine.verify(draft.file, after, draft.moves, draft.code)


def _tables(draft: Draft, after: ElfFile) -> None:
    from pagefit.realign.references import tables

    back = (patch for patch in tables(after, draft.moves.inverse()) if patch.kind not in PACKED)
    forth = (patch for patch in draft.tables if patch.kind not in PACKED)
    for meant, found in zip_longest(forth, back):  # in the same order: pieces never change places
        if meant is None or found is None or not _undoes(found, meant, draft):
            odd = meant or found
            raise _failed(draft, f"a reference ({odd.kind if odd else ''}) does not lead back")
    _relocations(draft, after)


def _undoes(found: Patch, meant: Patch, draft: Draft) -> bool:
    return (found.offset, found.old, found.new) == (draft.layout.offset(meant.offset), meant.new, meant.old)


def _bytes(draft: Draft, after: ElfFile, start: int, end: int) -> None:
    """Every byte in a range is what the draft says: the original's, a zero, or changed for a reason."""
    for at in range(start, end, _WINDOW):
        length = min(_WINDOW, end - at)
        if after.read_at(at, length) != draft.copy(at, length):
            raise _failed(draft, f"bytes near offset {at:#x} changed without a reason")
        if at % _HELD < _WINDOW:
            draft.file.forget()
            after.forget()


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
