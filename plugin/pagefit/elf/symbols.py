"""Symbol tables (gABI 4-15)."""

from __future__ import annotations

import re
from array import array

from pagefit.elf.sections import SHT_DYNSYM, SHT_SYMTAB, SHT_SYMTAB_SHNDX, ElfFile, Section
from pagefit.errors import InputError
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from typing import Final

SHN_UNDEF: Final = 0
SHN_LORESERVE: Final = 0xFF00
SHN_ABS: Final = 0xFFF1
SHN_XINDEX: Final = 0xFFFF
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_TLS = 0, 1, 2, 3, 6


class Symbol(NamedTuple):
    """One symbol. `at` is the file offset of its value; `section` its section's index, or an SHN_ number."""

    at: int
    name: int
    type: int
    section: int
    value: int
    size: int


def tables(file: ElfFile) -> list[Section]:
    """The symbol tables of a file: `.dynsym`, `.symtab`. Raises InputError when one has no string table."""
    found = [s for s in file.sections if s.type in (SHT_SYMTAB, SHT_DYNSYM) and s.size]
    for table in found:
        if table.link >= len(file.sections):
            raise InputError(f"the symbol table {table.name} has no string table", where=file.where)
    return found


def symbols(
    file: ElfFile, table: Section, names: Container[int] | None = None, sections: Container[int] | None = None
) -> Iterator[Symbol]:
    """The symbols of one table, in order; with `names`, those with one of these offsets of a name.

    With `sections`, those of these sections; SHN_XINDEX, when it is one of them, stands for all beyond its reach.
    """
    data = file.contents(table)
    wide = file.header.bits == 64
    size, places = (24, (0, 4, 6, 8, 16)) if wide else (16, (0, 12, 14, 4, 8))
    fields = [
        _column(file, data, code, at, size) for code, at in zip("IBHQQ" if wide else "IBHII", places, strict=True)
    ]
    rows: Iterable[int] = range(len(data) // size)
    if names is not None:
        rows = [row for row, name in enumerate(fields[0]) if name in names]
    if sections is not None:
        rows = [row for row in rows if fields[2][row] in sections]
    chosen = [[field[row] for row in rows] for field in fields]
    chosen[1] = [info & 15 for info in chosen[1]]
    if extended := _extended(file, table):
        chosen[2] = [
            extended[row][0] if home == SHN_XINDEX and row < len(extended) else home
            for row, home in zip(rows, chosen[2], strict=True)
        ]
    values = (table.offset + places[3] + row * size for row in rows)
    return map(Symbol._make, zip(values, *chosen, strict=True))


def named(file: ElfFile, table: Section, pattern: bytes) -> dict[int, bytes]:
    """The offsets of names in a table's string table that start with a regular expression, and what it matched."""
    strings = file.contents(file.sections[table.link])
    return {match.start(): match[0] for match in re.finditer(pattern, strings)}


def name(file: ElfFile, table: Section, symbol: Symbol) -> str:
    """A symbol's name."""
    strings = file.sections[table.link]
    start = strings.offset + symbol.name
    end = file.data.find(b"\0", start, strings.file_end)
    return file.data[start:end].decode("utf-8", "replace")


def _column(file: ElfFile, data: bytes, code: str, offset: int, size: int) -> array[int]:
    """One field of every record of `size` bytes."""
    cells = file.numbers(code, data[: len(data) // size * size])
    return cells[offset // cells.itemsize :: size // cells.itemsize]


def _extended(file: ElfFile, table: Section) -> list[tuple[int]]:
    for section in file.sections:
        if section.type == SHT_SYMTAB_SHNDX and section.link == table.index:
            return list(file.struct("I").iter_unpack(file.contents(section)))
    return []
