"""What a linked file is known by: the facts that tell which link made it, and what a relink has to reproduce."""

from __future__ import annotations

import hashlib
import mmap
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pagefit.containers.member import open_file
from pagefit.elf import dynamic, notes
from pagefit.elf.headers import read_image
from pagefit.elf.sections import SHT_DYNSYM, SHT_SYMTAB, ElfFile, open_elf
from pagefit.elf.symbols import SHN_UNDEF, STT_FUNC, STT_OBJECT, STT_TLS

_DT_NEEDED: Final = 1
_DT_STRTAB: Final = 5
_DT_SONAME: Final = 14
_DT_RPATH: Final = 15
_DT_RUNPATH: Final = 29
_STT_GNU_IFUNC: Final = 10

#: Sections that patchelf moves or rewrites; what is left cannot change after linking without changing the program.
_REWRITTEN: Final = (
    ".dynamic",
    ".dynstr",
    ".dynsym",
    ".gnu.hash",
    ".gnu.version",
    ".got",
    ".hash",
    ".interp",
    ".note",
    ".rel",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """One linked file, by what survives patchelf and strip, and by what those two change."""

    header: tuple[int, int, int, int]
    """e_ident's class, e_type, e_machine, e_flags."""
    section_names: Mapping[str, int]
    """How many sections have each name."""
    fixed: frozenset[tuple[str, str]]
    """Name and SHA-256 of each section that no tool rewrites after linking."""
    needed: tuple[bytes, ...]
    soname: bytes | None
    rpath: bytes | None
    runpath: bytes | None
    dynamic_symbols: Mapping[tuple[bytes, int, bool], int]
    """Name, st_info (binding and type), and whether it is defined here; with how many there are."""
    symbols: Mapping[tuple[bytes, int, bool], int] | None
    """The same of the functions and objects in `.symtab`; None without one."""
    debug: bool
    """Whether there is DWARF."""


def build_id(path: Path) -> str | None:
    """The GNU build-id in hexadecimal, or None. Raises InputError when the file cannot be read as ELF."""
    file = open_file(path)
    return notes.build_id(read_image(file.read_at, file.size, where=file.path), file.read_at)


def read_facts(path: Path) -> Facts:
    """The facts of a linked file. Raises InputError when it cannot be read as ELF."""
    with open_elf(path) as elf:
        names = Counter(section.name for section in elf.sections)
        tags = _dynamic_strings(elf)
        single = dict(tags)
        return Facts(
            header=(elf.header.elfclass, elf.header.type, elf.header.machine, elf.header.flags),
            section_names=names,
            fixed=frozenset(
                (section.name, hashlib.sha256(elf.contents(section)).hexdigest())
                for section in elf.sections
                if section.alloc and section.file_size and not section.name.startswith(_REWRITTEN)
            ),
            needed=tuple(value for tag, value in tags if tag == _DT_NEEDED),
            soname=single.get(_DT_SONAME),
            # glibc takes an empty path for none (elf/dl-load.c, decompose_rpath).
            rpath=single.get(_DT_RPATH) or None,
            runpath=single.get(_DT_RUNPATH) or None,
            dynamic_symbols=_symbols(elf, SHT_DYNSYM) or {},
            symbols=_symbols(elf, SHT_SYMTAB),
            debug=any(name.startswith((".debug_", ".zdebug_")) for name in names),
        )


def all_sections(path: Path) -> dict[tuple[int, str], str]:
    """The SHA-256 of every section's contents, by index and name."""
    with open_elf(path) as elf:
        return {(s.index, s.name): hashlib.sha256(elf.contents(s)).hexdigest() for s in elf.sections}


def _dynamic_strings(elf: ElfFile) -> list[tuple[int, bytes]]:
    """The dynamic tags that name libraries and folders, in order, with their strings."""
    entries = dynamic.entries(elf)
    strings = next((elf.offset_of(entry.value) for entry in entries if entry.tag == _DT_STRTAB), None) or 0
    wanted = (_DT_NEEDED, _DT_SONAME, _DT_RPATH, _DT_RUNPATH)
    return [(entry.tag, _string(elf.data, strings + entry.value)) for entry in entries if entry.tag in wanted]


def _symbols(elf: ElfFile, table_type: int) -> Mapping[tuple[bytes, int, bool], int] | None:
    """The symbols that are more than labels of the linker's own: for `.symtab`, functions and objects."""
    table = next((section for section in elf.sections if section.type == table_type and section.size), None)
    if table is None or table.link >= len(elf.sections):
        return None
    wide = elf.header.bits == 64
    record = elf.struct("IBBHPP" if wide else "IPPBBH")
    data, strings = elf.contents(table), elf.contents(elf.sections[table.link])
    found: Counter[tuple[bytes, int, bool]] = Counter()
    for row in record.iter_unpack(data[: len(data) // record.size * record.size]):
        info, section = (row[1], row[3]) if wide else (row[3], row[5])
        if table_type == SHT_DYNSYM or info & 15 in (STT_OBJECT, STT_FUNC, STT_TLS, _STT_GNU_IFUNC):
            found[_string(strings, row[0]), info, section != SHN_UNDEF] += 1
    return found


def _string(strings: mmap.mmap | bytes, start: int) -> bytes:
    end = strings.find(b"\0", start)
    return strings[start : end if end >= 0 else None]
