"""References in dynamic relocations: the places they change, and the addresses that RELATIVE ones hold."""

from __future__ import annotations

from collections.abc import Iterator

from pagefit.elf import aps2, relr
from pagefit.elf import relocations as r
from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch, Reference


def references(file: ElfFile, moves: Moves) -> Iterator[Reference]:
    """Every address in relocations, and in the words they change, that leads into a moved piece.

    Raises Refused for a relative relocation outside the image.
    """
    word = file.header.bits // 8
    for table in r.tables(file):
        for one in r.entries(file, table):
            if one.at and moves.shift(one.place):
                yield Reference(one.at, word, None, one.place, "r_offset")
            if one.relative:
                yield from _addend(file, one, moves, word)


def packed(file: ElfFile, moves: Moves) -> Iterator[Patch]:
    """RELR and Android's packed tables, decoded, moved and encoded again into the room they have.

    Raises Refused when the new table is longer.
    """
    for table in r.tables(file):
        if table.form == "relr":
            new = _relr(file, table, moves)
        elif table.form.startswith("aps2"):
            new = _aps2(file, table, moves)
        else:
            continue
        old = file.data[table.offset : table.offset + table.size]
        if new != old:
            yield Patch(table.offset, old, new, table.form, table.address)


def _addend(file: ElfFile, one: r.Relocation, moves: Moves, word: int) -> Iterator[Reference]:
    place = file.offset_of(one.place)
    if place is None:
        if one.addend is None:
            raise Refused(f"the relocation at {one.place:#x} changes a word that is not in the file", where=file.where)
        in_place = None
    else:
        in_place = int.from_bytes(file.data[place : place + word], file.header.byteorder)
    target = in_place if one.addend is None else one.addend
    if target is None or not (moves.shift(target) or _behind(target, moves)):
        return
    if one.addend is not None and one.at:
        yield Reference(one.at + 2 * word, word, None, target, "RELATIVE")
    # Some linkers write the addend to the place, too; it is moved where it is the same.
    if place is not None and in_place == target:
        yield Reference(place, word, None, target, "RELATIVE, in place")


def _behind(target: int, moves: Moves) -> bool:
    """Whether an address is one past the end of a moved piece, and no other piece starts there."""
    return moves.piece(target) is None and any(piece.end == target for piece in moves.moved)


def _relr(file: ElfFile, table: r.Table, moves: Moves) -> bytes:
    word = file.header.bits // 8
    pack = file.struct("P")
    old = [value for (value,) in pack.iter_unpack(file.data[table.offset : table.offset + table.size])]
    new: list[int] = []
    start = 0
    for run in relr.decode(old, word):
        stop = next((i for i in range(start + 1, len(old)) if old[i] & 1 == 0), len(old))
        places = [moves.new(place) for place in run]
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


def _aps2(file: ElfFile, table: r.Table, moves: Moves) -> bytes:
    packed = file.data[table.offset : table.offset + table.size]
    kinds = r.RELATIVE.get(file.header.machine, ())
    groups = [
        aps2.Group(
            group.flags,
            tuple(
                (moves.new(place), info, _moved(addend, moves) if info & 0xFFFFFFFF in kinds else addend)
                for place, info, addend in group.rows
            ),
        )
        for group in aps2.decode(packed, where=file.where)
    ]
    first = aps2.first_place(packed)
    new = aps2.encode(groups, first)
    if len(new) > table.size:
        raise Refused(f"the packed relocations at {table.address:#x} would grow", where=file.where)
    return new + bytes(table.size - len(new))


def _moved(addend: int, moves: Moves) -> int:
    try:
        return moves.new(addend)
    except KeyError:
        return addend
