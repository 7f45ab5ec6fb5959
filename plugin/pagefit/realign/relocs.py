"""References in dynamic relocations: the places they change, and the addresses that RELATIVE ones hold."""

from __future__ import annotations

import sys
from array import array

from pagefit.elf import aps2, relr
from pagefit.elf import relocations as r
from pagefit.elf.dynamic import DT_ANDROID_RELASZ, DT_ANDROID_RELSZ, entries
from pagefit.elf.sections import ElfFile
from pagefit.errors import InputError, Refused
from pagefit.realign.columns import Column
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch, Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

_IN_PLACE: Final = "RELATIVE, in place"
#: So many relocations at a time: the same memory serves all of them.
_AT_ONCE: Final = 1 << 14


def patches(file: ElfFile, moves: Moves) -> Iterator[Patch]:
    """The tables with what changes in them, and the words that repeat addends of RELA tables.

    RELR and Android's packed tables are decoded, moved and encoded again into the room they have. Raises Refused when
    the new table is longer.
    """
    for table in r.tables(file):
        if table.form == "relr":
            yield from _changed(file, table, _relr(file, table, moves))
        elif table.form.startswith("aps2"):
            new = _aps2(file, table, moves)
            yield from _size(file, table, len(new))
            yield from _changed(file, table, new)
        else:
            yield from _plain(file, table, moves)
    for table in r.kept(file):
        yield from _plain(file, table, moves)


def in_place(file: ElfFile, moves: Moves) -> Iterator[Reference]:
    """Words that other relative relocations change and that hold the address: in REL and RELR always.

    Raises Refused for a relocation of a word that is not in the file, and has no addend of its own.
    """
    word = file.header.bits // 8
    for table in r.tables(file):
        for place, _, addend, relative in r.entries(file, table) if table.form != "rela" else ():
            if not relative or not (addend is None or _leads(addend, moves)):
                continue
            offset = file.offset_of(place)
            if offset is not None:
                value = int.from_bytes(file.data[offset : offset + word], file.header.byteorder)
                if addend in (None, value) and _leads(value, moves):
                    yield Reference(offset, word, None, value, _IN_PLACE)
            elif addend is None:
                raise Refused(f"the relocation at {place:#x} changes a word that is not in the file", where=file.where)


def _leads(target: int, moves: Moves) -> bool:
    """Whether an address moves: owned by a moved piece, or one past the end of one."""
    return moves.owns(target) and moves.delta(target) != 0


def _changed(file: ElfFile, table: r.Table, new: bytes, count: int = 1) -> Iterator[Patch]:
    old = file.data[table.offset : table.offset + len(new)]
    if new != old:
        yield Patch(table.offset, old, new, table.form, table.address, count)


def _plain(file: ElfFile, table: r.Table, moves: Moves) -> Iterator[Patch]:
    """A REL or RELA table with places and the addends of relative relocations moved; and words that repeat these."""
    record = (3 if table.form == "rela" else 2) * file.header.bits // 8
    for first in range(0, table.size // record * record, _AT_ONCE * record):
        size = min(_AT_ONCE * record, table.size - first)
        yield from _part(file, table._replace(offset=table.offset + first, size=size), moves)


def _part(file: ElfFile, table: r.Table, moves: Moves) -> Iterator[Patch]:
    columns = _columns(file, table)
    places, infos, *addends = columns
    columns[0], moved = moves.carried(places)
    count = moved.count()
    for place in places.take((moved ^ 1).flagged()).rows() if count < places.length else ():
        if not moves.owns(place):
            raise InputError(f"a relocation changes {place:#x}, where nothing is", where=file.where)
    if not addends:
        yield from _changed(file, table, _interleaved(file, columns), count)
        return
    columns[2], moved = moves.carried(addends[0], among=_is_relative(file, infos))
    rows = moved.flagged()
    yield from _changed(file, table, _interleaved(file, columns), count + len(rows))
    if table.address:  # no loader reads what tools are left
        yield from _repeated(file, places.take(rows), addends[0].take(rows).rows(), columns[2].take(rows).rows())


def _interleaved(file: ElfFile, columns: Sequence[Column]) -> bytes:
    rows = [column.rows() for column in columns]
    new = array(rows[0].typecode, bytes(sum(map(len, rows)) * rows[0].itemsize))
    for number, column in enumerate(rows):
        new[number :: len(rows)] = column
    if file.header.byteorder != sys.byteorder:
        new.byteswap()
    return new.tobytes()


def _repeated(file: ElfFile, places: Column, addends: Sequence[int], new: Sequence[int]) -> Iterator[Patch]:
    """The words at some places that hold the addend, too: gold writes them, other linkers on request."""
    word, pack, addresses = file.header.bits // 8, file.struct("P").pack, places.rows()
    for load in file.loads:
        delta = load.delta
        for row in places.between(load.vaddr, max(load.vaddr, load.file_vend - word + 1)).flagged():
            offset, old = addresses[row] - delta, pack(addends[row])
            if file.data[offset : offset + word] == old:
                yield Patch(offset, old, pack(new[row]), _IN_PLACE, addends[row])


def _columns(file: ElfFile, table: r.Table) -> list[Column]:
    """Places, types with symbols, and the addends of a RELA table."""
    return [Column.of(column, file.header.bits) for column in r.columns(file, table)]


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
