"""Addresses in the tables that a loader or debugger reads: `.dynamic`, the GOT, symbols, SystemTap notes.

Every reference is yielded that can change with the moves; relocations and unwind tables have modules of their own.
"""

from __future__ import annotations

from pagefit.elf import dynamic, relocations, symbols
from pagefit.elf.sections import SHT_NOTE, ElfFile, Section
from pagefit.errors import Refused
from pagefit.realign.columns import Column
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch, Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

#: Places that linkers name with absolute symbols: edges of the image (gold, old lld), its tables (GNU ld).
_EDGES: Final = frozenset(
    {"_end", "end", "_edata", "edata", "__bss_start", "__bss_start__", "__bss_end__", "__end__"}
    | {"_DYNAMIC", "_GLOBAL_OFFSET_TABLE_", "_PROCEDURE_LINKAGE_TABLE_"}
)


def dynamic_section(file: ElfFile) -> Iterator[Reference]:
    """The tags of `.dynamic` that hold addresses."""
    word = file.header.bits // 8
    pointers = dynamic.POINTERS | dynamic.MACHINE_POINTERS.get(file.header.machine, frozenset())
    for entry in dynamic.entries(file):
        if entry.tag in pointers and entry.value:
            yield Reference(entry.offset + word, word, None, entry.value, ".dynamic")
        elif entry.tag == dynamic.DT_MIPS_RLD_MAP_REL and file.header.machine == 8:
            target = (entry.address + entry.value) % (1 << file.header.bits)
            yield Reference(entry.offset + word, word, entry.address, target, ".dynamic")


def got(file: ElfFile, moves: Moves) -> Iterator[Reference]:
    """Words of the GOT that no relocation covers: the address of `.dynamic`, which ld.so reads from its own.

    The first word of the table that DT_PLTGOT names is that address as the linker knew it: patchelf moves `.dynamic`
    and leaves the word. Raises Refused for any other word that leads into a moved piece.
    """
    word = file.header.bits // 8
    suspects: dict[int, Reference] = {}
    for section in file.sections:
        if not (section.alloc and section.file_size and section.name.startswith(".got")):
            continue
        values = file.words(section.offset, section.file_size)
        for row in moves.carried(Column.of(values, 8 * word))[1].flagged():
            if moves.shift(values[row]):
                place = section.offset + row * word
                suspects[section.addr + row * word] = Reference(place, word, None, values[row], section.name)
    if suspects:
        for places in relocations.places(file):
            for place in set(suspects).intersection(places):
                del suspects[place]
    start = next((entry.address for entry in dynamic.entries(file)), None)
    first = dynamic.tags(file).get(dynamic.DT_PLTGOT)
    for address, reference in suspects.items():
        if reference.target != start and address != first:
            raise Refused(
                f"the word at {address:#x} in {reference.kind} is {reference.target:#x}, which would move, "
                "but no relocation explains it",
                where=file.where,
                remedy="Link the file again for the larger page size.",
            )
        yield reference


def symbol_values(file: ElfFile, moves: Moves) -> Iterator[Patch]:
    """Symbol tables with the values that change, one patch each.

    Values move with their *section*, for one may lie on the edge of two pieces. TLS symbols are offsets and stay.
    `_end` and its like may be absolute or in `.tbss` (GNU ld), which has no place in memory: those go by value, and so
    do symbols of a section that is divided or left behind. Raises Refused for one that leads to where nothing is.
    """
    homes = [(_delta(section, moves), section.addr, section.end) for section in file.sections]
    wanted = {*(index for index, home in enumerate(homes) if home[0] != 0), *range(symbols.SHN_LORESERVE, 1 << 16)}
    pack = file.struct("P").pack_into
    for table in symbols.tables(file):
        old, count = file.contents(table), 0
        new = bytearray(old)
        for symbol in symbols.symbols(file, table, sections=wanted):
            at, _, kind, section, value, _ = symbol
            if section == symbols.SHN_UNDEF or kind == symbols.STT_TLS:
                continue
            if section < len(homes):
                change, start, end = homes[section]
                if change is None or not start <= value <= end:
                    change = moves.settled(value if moves.owns(value) else start, table.name, file.where)
            else:
                edge = section == symbols.SHN_ABS and moves.owns(value)
                change = moves.delta(value) if edge and symbols.name(file, table, symbol) in _EDGES else 0
            if change:
                pack(new, at - table.offset, value + change)
                count += 1
        if count:
            yield Patch(table.offset, old, bytes(new), table.name, table.addr, count)


def probes(file: ElfFile) -> Iterator[Reference]:
    """Semaphores of SystemTap probes (`.note.stapsdt`): writable words, found through a note that isn't loaded."""
    word = file.header.bits // 8
    for section in file.sections:
        if section.type != SHT_NOTE or section.name != ".note.stapsdt":
            continue
        record = file.struct("III")
        data, at = file.contents(section), 0
        while at + record.size <= len(data):
            name_size, desc_size, kind = record.unpack_from(data, at)
            desc = at + record.size + (name_size + 3 & -4)
            if kind == 3 and desc + 3 * word <= len(data):
                place = desc + 2 * word
                (semaphore,) = file.struct("P").unpack_from(data, place)
                if semaphore:
                    yield Reference(section.offset + place, word, None, semaphore, "stapsdt")
            at = desc + (desc_size + 3 & -4)


def _delta(section: Section, moves: Moves) -> int | None:
    """By how much a section's symbols move; None when that is not one number, or the section has no place."""
    if not section.alloc:
        return 0
    if section.tls and section.name == ".tbss":
        return None
    try:
        delta = moves.delta(section.addr)
    except KeyError:
        return None
    if any(section.addr < piece.start < section.end and piece.delta != delta for piece in moves.pieces):
        return None
    return delta
