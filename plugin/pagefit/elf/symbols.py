"""Symbol tables (gABI 4-15)."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Final, NamedTuple

from pagefit.elf.sections import SHT_DYNSYM, SHT_SYMTAB, SHT_SYMTAB_SHNDX, ElfFile, Section
from pagefit.errors import InputError

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
    extended = _extended(file, table)
    record = file.struct("IBBHPP" if file.header.bits == 64 else "IPPBBH")
    at = table.offset + (8 if file.header.bits == 64 else 4)
    home = 3 if file.header.bits == 64 else 5
    for index, row in enumerate(record.iter_unpack(data[: len(data) // record.size * record.size])):
        if (names is not None and row[0] not in names) or (sections is not None and row[home] not in sections):
            at += record.size
            continue
        if file.header.bits == 64:
            name, info, _, shndx, value, size = row
        else:
            name, value, size, info, _, shndx = row
        if shndx == SHN_XINDEX and index < len(extended):
            shndx = extended[index][0]
        yield Symbol(at, name, info & 15, shndx, value, size)
        at += record.size


def name(file: ElfFile, table: Section, symbol: Symbol) -> str:
    """A symbol's name."""
    strings = file.sections[table.link]
    start = strings.offset + symbol.name
    end = file.data.find(b"\0", start, strings.file_end)
    return file.data[start:end].decode("utf-8", "replace")


def _extended(file: ElfFile, table: Section) -> list[tuple[int]]:
    for section in file.sections:
        if section.type == SHT_SYMTAB_SHNDX and section.link == table.index:
            return list(file.struct("I").iter_unpack(file.contents(section)))
    return []
