"""Dynamic relocations in all their encodings: REL, RELA, RELR, and Android's packed form of the first two (APS2).

Tables are found by the dynamic section, as loaders find them.
"""

from __future__ import annotations

from array import array

from pagefit.elf import aps2, relr
from pagefit.elf import constants as c
from pagefit.elf import dynamic as d
from pagefit.elf.sections import SHT_REL, SHT_RELA, ElfFile
from pagefit.errors import InputError
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

#: e_machine: (R_*_RELATIVE, R_*_IRELATIVE), for the processors whose relocations matter here.
RELATIVE: Final = {c.EM_AARCH64: (1027, 1032), c.EM_X86_64: (8, 37)}


class Table(NamedTuple):
    """One relocation table: `form` is `rel`, `rela`, `relr`, `aps2-rel` or `aps2-rela`; offset and size in bytes."""

    form: str
    address: int
    offset: int
    size: int


class Relocation(NamedTuple):
    """One relocation: `place` is the address it changes.

    `addend` is None when it lies in the place itself (REL). `relative` tells that the value is base + addend, with
    the addend an address of this file (RELATIVE, IRELATIVE, RELR).
    """

    place: int
    info: int
    addend: int | None
    relative: bool


_FORMS: Final = (
    ("rela", d.DT_RELA, d.DT_RELASZ),
    ("rel", d.DT_REL, d.DT_RELSZ),
    ("relr", d.DT_RELR, d.DT_RELRSZ),
    ("relr", d.DT_ANDROID_RELR, d.DT_ANDROID_RELRSZ),
    ("aps2-rela", d.DT_ANDROID_RELA, d.DT_ANDROID_RELASZ),
    ("aps2-rel", d.DT_ANDROID_REL, d.DT_ANDROID_RELSZ),
)


def tables(file: ElfFile) -> list[Table]:
    """The relocation tables of a file. The PLT's may be a part of another: every byte is listed once.

    Raises InputError when a table lies outside the file.
    """
    tags = d.tags(file)
    wanted = [(form, tags[tag], tags.get(size, 0)) for form, tag, size in _FORMS if tag in tags]
    if d.DT_JMPREL in tags:
        form = "rela" if tags.get(d.DT_PLTREL) == d.DT_RELA else "rel"
        start, size = tags[d.DT_JMPREL], tags.get(d.DT_PLTRELSZ, 0)
        if not any(low <= start and start + size <= low + length for other, low, length in wanted if other == form):
            wanted.append((form, start, size))
    found = []
    for form, address, size in wanted:
        offset = file.offset_of(address) if size else 0
        if offset is None or offset + size > file.image.size:
            raise InputError(f"the relocations at {address:#x} do not lie in the file", where=file.where)
        if size:
            found.append(Table(form, address, offset, size))
    return found


def kept(file: ElfFile) -> list[Table]:
    """The relocations of loaded sections that `--emit-relocs` keeps for tools; no loader reads them."""
    forms = {SHT_RELA: "rela", SHT_REL: "rel"}
    return [
        Table(forms[s.type], 0, s.offset, s.size)
        for s in file.sections
        if s.type in forms and not s.alloc and s.size and s.info < len(file.sections) and file.sections[s.info].alloc
    ]


def type_mask(file: ElfFile) -> int:
    """The bits of an `r_info` that hold the type; the rest is the symbol."""
    return 0xFFFFFFFF if file.header.bits == 64 else 0xFF


def columns(file: ElfFile, table: Table) -> list[array[int]]:
    """The places, the types with symbols (`r_info`), and the addends (RELA) of a REL or RELA table."""
    count = 3 if table.form == "rela" else 2
    words = file.words(table.offset, table.size)
    rows = len(words) // count * count
    return [words[number:rows:count] for number in range(count)]


def places(file: ElfFile) -> Iterator[Sequence[int]]:
    """The addresses of all words that dynamic relocations change, by table. Raises InputError as `relocations` does."""
    for table in tables(file):
        if table.form in ("rel", "rela"):
            yield columns(file, table)[0]
        else:
            yield [one.place for one in entries(file, table)]


def relocations(file: ElfFile) -> Iterator[Relocation]:
    """All dynamic relocations, table by table. Raises InputError for a damaged table."""
    for table in tables(file):
        yield from entries(file, table)


def entries(file: ElfFile, table: Table) -> Iterator[Relocation]:
    """The relocations of one table, in order."""
    kinds = frozenset(RELATIVE.get(file.header.machine, ()))
    mask, data = type_mask(file), file.data
    if table.form == "relr":
        for place in decode_relr(file, table):
            yield Relocation(place, 0, None, True)
    elif table.form.startswith("aps2"):
        packed = file.data[table.offset : table.offset + table.size]
        for group in aps2.decode(packed, where=file.where):
            for place, info, addend in group.rows:
                yield Relocation(place, info, addend if table.form == "aps2-rela" else None, info & mask in kinds)
    else:
        rela = table.form == "rela"
        record = file.struct("PPP" if rela else "PP")
        for row in record.iter_unpack(data[table.offset : table.offset + table.size // record.size * record.size]):
            yield Relocation(row[0], row[1], row[2] if rela else None, row[1] & mask in kinds)


def decode_relr(file: ElfFile, table: Table) -> Iterator[int]:
    """The addresses that a RELR table relocates."""
    packed = file.data[table.offset : table.offset + table.size]
    words = [word for (word,) in file.struct("P").iter_unpack(packed)]
    for run in relr.decode(words, file.header.bits // 8):
        yield from run
