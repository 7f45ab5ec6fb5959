"""References in dynamic relocations: the places they change, and the addresses that RELATIVE ones hold."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator

from pagefit.elf import aps2, relr
from pagefit.elf import relocations as r
from pagefit.elf.dynamic import DT_ANDROID_RELASZ, DT_ANDROID_RELSZ, entries
from pagefit.elf.sections import ElfFile
from pagefit.errors import InputError, Refused
from pagefit.realign.columns import Column, take
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch, Reference


def patches(file: ElfFile, moves: Moves) -> Iterator[Patch]:
    """The tables with what changes in them, one patch each.

    RELR and Android's packed tables are decoded, moved and encoded again into the room they have. Raises Refused when
    the new table is longer.
    """
    for table in (*r.tables(file), *r.kept(file)):
        old = file.data[table.offset : table.offset + table.size]
        if table.form == "relr":
            new, count = _relr(file, table, moves), 1
        elif table.form.startswith("aps2"):
            new, count = _aps2(file, table, moves), 1
            old = file.data[table.offset : table.offset + len(new)]
            yield from _size(file, table, len(new))
        else:
            new, count = _plain(file, table, old, moves)
        if new != old:
            yield Patch(table.offset, old, new, table.form, table.address, count)


def in_place(file: ElfFile, moves: Moves) -> Iterator[Reference]:
    """Words that relative relocations change and that hold the address: in REL and RELR always, in RELA sometimes.

    Raises Refused for a relocation of a word that is not in the file, and has no addend of its own.
    """
    word = file.header.bits // 8
    byteorder, data = file.header.byteorder, file.data
    for place, addend in _relative(file, moves):
        offset = file.offset_of(place)
        if offset is not None:
            value = int.from_bytes(data[offset : offset + word], byteorder)
            if addend in (None, value) and _leads(value, moves):
                yield Reference(offset, word, None, value, "RELATIVE, in place")
        elif addend is None:
            raise Refused(f"the relocation at {place:#x} changes a word that is not in the file", where=file.where)


def _relative(file: ElfFile, moves: Moves) -> Iterator[tuple[int, int | None]]:
    """Place and addend (None: in the place) of relative relocations: of all whose place has to change, at least."""
    for table in r.tables(file):
        if table.form == "rela":
            places, infos, addends = _columns(file, table)
            moved = moves.carried(addends, among=_is_relative(file, infos))[1].flagged()
            yield from _repeated(file, places.take(moved), addends.take(moved))
        else:
            for one in r.entries(file, table):
                if one.relative and (one.addend is None or _leads(one.addend, moves)):
                    yield one.place, one.addend


def _repeated(file: ElfFile, places: Column, addends: Column) -> Iterator[tuple[int, int]]:
    """Those of (place, addend) whose place holds the addend, too; all of them where places are not aligned."""
    word = file.header.bits // 8
    for load in file.loads:
        first = -(-load.vaddr // word) * word
        here = places.between(first, max(first, load.file_vend - word + 1)).flagged()
        if here:
            inside, same = places.take(here), addends.take(here)
            if not inside & (word - 1):
                words = file.words(load.offset + first - load.vaddr, load.file_vend - first)
                held = Column.of(take(words, (inside + -first >> word.bit_length() - 1).rows()), inside.width)
                again = held.equals(same).flagged()
                inside, same = inside.take(again), same.take(again)
            yield from zip(inside.rows(), same.rows(), strict=True)


def _leads(target: int, moves: Moves) -> bool:
    """Whether an address moves: owned by a moved piece, or one past the end of one."""
    return moves.owns(target) and moves.delta(target) != 0


def _plain(file: ElfFile, table: r.Table, old: bytes, moves: Moves) -> tuple[bytes, int]:
    """A REL or RELA table with places and the addends of relative relocations moved, and the number of changes."""
    columns = _columns(file, table)
    places, infos = columns[:2]
    columns[0], moved, known = moves.carried(places)
    if 0 in (flags := known.flags()):
        lost = places.rows()[flags.index(0)]
        raise InputError(f"a relocation changes {lost:#x}, where nothing is", where=file.where)
    count = moved.flags().count(1)
    if len(columns) == 3:
        columns[2], moved, _ = moves.carried(columns[2], among=_is_relative(file, infos))
        count += moved.flags().count(1)
    rows = [column.rows() for column in columns]
    new = array(rows[0].typecode, bytes(len(rows) * len(rows[0]) * rows[0].itemsize))
    for number, column in enumerate(rows):
        new[number :: len(rows)] = column
    if file.header.byteorder != sys.byteorder:
        new.byteswap()
    return new.tobytes() + old[len(new) * new.itemsize :], count


def _columns(file: ElfFile, table: r.Table) -> list[Column]:
    """Places, types with symbols, and the addends of a RELA table."""
    return [Column.read(column.tobytes(), file.header.bits) for column in r.columns(file, table)]


def _is_relative(file: ElfFile, infos: Column) -> Column:
    """Which types say that the value is an address of the file, plus where it was loaded."""
    kinds = infos & r.type_mask(file)
    flags = infos ^ infos
    for kind in r.RELATIVE.get(file.header.machine, ()):
        flags |= kinds.equals(kind)
    return flags


def _relr(file: ElfFile, table: r.Table, moves: Moves) -> bytes:
    word = file.header.bits // 8
    pack = file.struct("P")
    old = [value for (value,) in pack.iter_unpack(file.data[table.offset : table.offset + table.size])]
    new: list[int] = []
    start = 0
    for run in relr.decode(old, word):
        stop = next((i for i in range(start + 1, len(old)) if old[i] & 1 == 0), len(old))
        places = [_place(place, file, moves) for place in run]
        if places[-1] - places[0] == run[-1] - run[0]:  # one piece: the bitmaps stay as the linker wrote them
            new += [places[0], *old[start + 1 : stop]]
        else:
            new += relr.encode(places, word)
        start = stop
    if len(new) > len(old):
        new = relr.encode([place for run in relr.decode(new, word) for place in run], word)
    if len(new) > len(old):
        raise Refused(f"the RELR table at {table.address:#x} would grow", where=file.where)
    # A bitmap that relocates nothing is the filling that linkers use.
    new += [1] * (len(old) - len(new))
    return b"".join(pack.pack(value) for value in new)


def grown(file: ElfFile, moves: Moves) -> dict[int, int]:
    """Packed tables that get longer: old file offset to new size in bytes. Raises Refused when there is no room."""
    packed = (table for table in r.tables(file) if table.form.startswith("aps2"))
    sizes = {table.offset: (table.size, len(_aps2(file, table, moves))) for table in packed}
    return {offset: new for offset, (old, new) in sizes.items() if new != old}


def _aps2(file: ElfFile, table: r.Table, moves: Moves) -> bytes:
    packed = file.data[table.offset : table.offset + table.size]
    kinds = r.RELATIVE.get(file.header.machine, ())
    groups = [
        aps2.Group(
            group.flags,
            tuple(
                (_place(place, file, moves), info, _moved(addend, moves) if info & 0xFFFFFFFF in kinds else addend)
                for place, info, addend in group.rows
            ),
        )
        for group in aps2.decode(packed, where=file.where)
    ]
    new = aps2.encode(groups, aps2.first_place(packed))
    # Distances between data and code need more digits than before; the next section's alignment leaves a few bytes.
    end = table.offset + table.size
    limit = min((s.offset for s in file.sections if s.file_size and s.offset >= end), default=end)
    slack = file.data[end:limit]
    if table.offset + len(new) > limit or slack.strip(b"\0"):
        raise Refused(f"the packed relocations at {table.address:#x} would grow", where=file.where)
    return new.ljust(table.size, b"\0")


def _size(file: ElfFile, table: r.Table, size: int) -> Iterator[Patch]:
    """The tag of `.dynamic` that holds a packed table's size, when that changes."""
    tag = DT_ANDROID_RELASZ if table.form == "aps2-rela" else DT_ANDROID_RELSZ
    pack = file.struct("P")
    for entry in entries(file):
        if entry.tag == tag and entry.value != size:
            yield Patch(entry.offset + pack.size, pack.pack(entry.value), pack.pack(size), table.form, table.address)


def _place(place: int, file: ElfFile, moves: Moves) -> int:
    if not moves.owns(place):
        raise InputError(f"a relocation changes {place:#x}, where nothing is", where=file.where)
    return moves.new(place)


def _moved(addend: int, moves: Moves) -> int:
    try:
        return moves.new(addend)
    except KeyError:
        return addend
