"""References from unwind tables: personality routines, functions, LSDAs, caught types, and the search table."""

from __future__ import annotations

from pagefit.elf import eh_frame, functions
from pagefit.elf.constants import PF_W
from pagefit.elf.sections import ElfFile, Section
from pagefit.errors import Refused
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_UNUSED = "unused TType"


def references(file: ElfFile, moves: Moves) -> Iterator[Reference]:
    """Every pointer of `.eh_frame`, `.gcc_except_table` and `.eh_frame_hdr` that can change.

    Raises Refused for tables that are not understood.
    """
    lsdas: set[int] = set()
    table = file.by_name.get(".eh_frame")
    moved = table is not None and moves.touches(table.addr, table.end)
    apart = moved or any(moves.touches(home.addr, home.end) for home in _lsda_sections(file))
    # Code stays; so where the table stays, too, an FDE has only an LSDA to offer.
    for entry in eh_frame.entries(file, lambda cie: moved or "L" in cie.augmentation):
        if isinstance(entry, eh_frame.Cie):
            if entry.personality is not None:
                yield _reference(file, entry.personality)
            continue
        if moved and entry.pc.target:  # not of a function that the linker dropped
            yield _reference(file, entry.pc)
        if entry.lsda is not None:
            if apart:
                yield _reference(file, entry.lsda)
            lsdas.add(entry.lsda.target)
    yield from _types(file, lsdas)
    yield from _search_table(file, moves)


def _types(file: ElfFile, lsdas: set[int]) -> Iterator[Reference]:
    cursors: dict[str, eh_frame.Cursor] = {}
    homes = _lsda_sections(file)
    for lsda in sorted(lsdas):
        home = next((s for s in homes if s.addr <= lsda < s.end), None)
        if home is None:
            raise Refused(
                f"the LSDA at {lsda:#x} is not in .gcc_except_table",
                where=file.where,
                remedy="Link the file again for the larger page size.",
            )
        if home.name not in cursors:
            cursors[home.name] = eh_frame.Cursor(file, home)
        cursor = cursors[home.name]
        for pointer in eh_frame.type_pointers(cursor, lsda):
            if pointer.role == _UNUSED and not _word_of_data(file, pointer.target):
                break  # what nothing reads any longer is no type from here on
            yield _reference(file, pointer)


def _lsda_sections(file: ElfFile) -> list[Section]:
    return [s for s in file.sections if s.alloc and s.file_size and s.name.startswith(".gcc_except_table")]


def _word_of_data(file: ElfFile, address: int) -> bool:
    segment = file.segment_at(address)
    return segment is not None and bool(segment.flags & PF_W) and address % (file.header.bits // 8) == 0


def _search_table(file: ElfFile, moves: Moves) -> Iterator[Reference]:
    section, table = file.by_name.get(".eh_frame_hdr"), file.by_name.get(".eh_frame")
    if section is None or table is None:
        return
    if not moves.touches(section.addr, section.end) and not moves.touches(table.addr, table.end):
        return  # distances between things that stay
    cursor = eh_frame.Cursor(file, section)
    if cursor.data[:4] != functions.USUAL:
        raise cursor.refuse(section.addr, "an encoding that is not understood")
    word, _ = cursor.pointer(section.addr + 4, functions.USUAL[1], ".eh_frame_hdr")
    if word is not None:
        yield _reference(file, word)
    for index in range(2 * cursor.integer(section.addr + 8, 4)):
        at = section.addr + 12 + 4 * index
        target = section.addr + cursor.integer(at, 4, signed=True)
        yield Reference(section.offset + 12 + 4 * index, 4, section.addr, target, ".eh_frame_hdr")


def _reference(file: ElfFile, pointer: eh_frame.Pointer) -> Reference:
    offset = file.offset_of(pointer.address)
    assert offset is not None  # it was read from there
    return Reference(offset, pointer.size, pointer.base, pointer.target, pointer.role)
