"""References in dynamic relocations: the places they change, and the addresses that RELATIVE ones hold."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from operator import add

from pagefit.elf import aps2, relr
from pagefit.elf import relocations as r
from pagefit.elf.dynamic import DT_ANDROID_RELASZ, DT_ANDROID_RELSZ, entries
from pagefit.elf.sections import ElfFile
from pagefit.errors import InputError, Refused
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
    """Place and addend (None: in the place) of each relative relocation but those whose addend stays."""
    for table in r.tables(file):
        if table.form == "rela":
            places, infos, addends = r.columns(file, table)
            rows = zip(places, infos, addends or (), moves.deltas(addends or ()), strict=True)
            yield from ((place, addend) for place, info, addend, delta in rows if delta and r.is_relative(file, info))
        else:
            for one in r.entries(file, table):
                if one.relative and (one.addend is None or _leads(one.addend, moves)):
                    yield one.place, one.addend


def _leads(target: int, moves: Moves) -> bool:
    """Whether an address moves: owned by a moved piece, or one past the end of one."""
    return moves.owns(target) and moves.delta(target) != 0


def _plain(file: ElfFile, table: r.Table, old: bytes, moves: Moves) -> tuple[bytes, int]:
    """A REL or RELA table with places and the addends of relative relocations moved, and the number of changes."""
    places, infos, addends = r.columns(file, table)
    columns = [places, infos] if addends is None else [places, infos, addends]
    deltas = moves.deltas(places)
    if None in deltas:
        raise InputError(f"a relocation changes {places[deltas.index(None)]:#x}, where nothing is", where=file.where)
    columns[0] = array(places.typecode, (place + (delta or 0) for place, delta in zip(places, deltas, strict=True)))
    count = len(deltas) - deltas.count(0)
    if addends is not None:
        changes = [
            delta if delta and r.is_relative(file, info) else 0
            for info, delta in zip(infos, moves.deltas(addends), strict=True)
        ]
        columns[2] = array(addends.typecode, map(add, addends, changes))
        count += len(changes) - changes.count(0)
    new = array(places.typecode, bytes(len(places) * len(columns) * places.itemsize))
    for number, column in enumerate(columns):
        new[number :: len(columns)] = column
    if file.header.byteorder != sys.byteorder:
        new.byteswap()
    return new.tobytes() + old[len(new) * new.itemsize :], count


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
