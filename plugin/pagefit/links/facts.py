"""What a linked file is known by: the facts that tell which link made it, and what a relink has to reproduce."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import NoteSection, SymbolTableSection

from pagefit.elf.sections import SHF_ALLOC, SHT_NOBITS, open_elf
from pagefit.errors import InputError

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

SectionKey = tuple[str, str]
Symbol = tuple[str, str, str, bool]


@dataclass(frozen=True, slots=True)
class Facts:
    """One linked file, by what survives patchelf and strip, and by what those two change."""

    header: tuple[int, int, int, int]
    """e_ident's class, e_type, e_machine, e_flags."""
    section_names: Mapping[str, int]
    """How many sections have each name."""
    fixed: frozenset[SectionKey]
    """Name and SHA-256 of each section that no tool rewrites after linking."""
    needed: tuple[str, ...]
    soname: str | None
    rpath: str | None
    runpath: str | None
    dynamic_symbols: frozenset[Symbol]
    """Name, binding, type, and whether it is defined here."""
    symbols: Mapping[str, int] | None
    """Functions and objects of `.symtab` by name, with how many there are; None without one."""
    debug: bool
    """Whether there is DWARF."""


def build_id(path: Path) -> str | None:
    """The GNU build-id in hexadecimal, or None. Raises InputError when the file cannot be read as ELF."""
    with path.open("rb") as stream:
        try:
            for section in ELFFile(stream).iter_sections():
                if isinstance(section, NoteSection):
                    for note in section.iter_notes():
                        if note["n_type"] == "NT_GNU_BUILD_ID" and note["n_name"] == "GNU":
                            return str(note["n_desc"])
        except (ELFError, ValueError, KeyError) as error:
            raise InputError(f"cannot be read: {error}", where=str(path)) from error
    return None


def read_facts(path: Path) -> Facts:
    """The facts of a linked file. Raises InputError when it cannot be read as ELF."""
    with open_elf(path) as elf:
        header = (elf.header.elfclass, elf.header.type, elf.header.machine, elf.header.flags)
        names = Counter(section.name for section in elf.sections)
        fixed = frozenset(
            (section.name, hashlib.sha256(elf.contents(section)).hexdigest())
            for section in elf.sections
            if section.flags & SHF_ALLOC and section.type != SHT_NOBITS and not section.name.startswith(_REWRITTEN)
        )
    with path.open("rb") as stream:
        try:
            tags = list(_dynamic(ELFFile(stream)))
            dynamic, symbols = _symbols(ELFFile(stream))
        except (ELFError, ValueError, KeyError) as error:
            raise InputError(f"cannot be read: {error}", where=str(path)) from error
    single = dict(tags)
    return Facts(
        header=header,
        section_names=names,
        fixed=fixed,
        needed=tuple(value for tag, value in tags if tag == "DT_NEEDED"),
        soname=single.get("DT_SONAME"),
        # glibc takes an empty path for none (elf/dl-load.c, decompose_rpath).
        rpath=single.get("DT_RPATH") or None,
        runpath=single.get("DT_RUNPATH") or None,
        dynamic_symbols=dynamic,
        symbols=symbols,
        debug=any(name.startswith((".debug_", ".zdebug_")) for name in names),
    )


def all_sections(path: Path) -> dict[tuple[int, str], str]:
    """The SHA-256 of every section's contents, by index and name."""
    with open_elf(path) as elf:
        return {(s.index, s.name): hashlib.sha256(elf.contents(s)).hexdigest() for s in elf.sections}


def _dynamic(elf: ELFFile) -> Iterator[tuple[str, str]]:
    names = {"DT_NEEDED": "needed", "DT_SONAME": "soname", "DT_RPATH": "rpath", "DT_RUNPATH": "runpath"}
    for section in elf.iter_sections():
        if isinstance(section, DynamicSection):
            for tag in section.iter_tags():
                if tag.entry.d_tag in names:
                    yield tag.entry.d_tag, str(getattr(tag, names[tag.entry.d_tag]))


def _symbols(elf: ELFFile) -> tuple[frozenset[Symbol], Mapping[str, int] | None]:
    dynamic: frozenset[Symbol] = frozenset()
    static: Mapping[str, int] | None = None
    for section in elf.iter_sections():
        if not isinstance(section, SymbolTableSection):
            continue
        if section["sh_type"] == "SHT_DYNSYM":
            dynamic = frozenset(
                (s.name, s["st_info"]["bind"], s["st_info"]["type"], s["st_shndx"] != "SHN_UNDEF")
                for s in section.iter_symbols()
            )
        elif section["sh_type"] == "SHT_SYMTAB":
            kinds = ("STT_FUNC", "STT_OBJECT", "STT_TLS", "STT_GNU_IFUNC")
            static = Counter(s.name for s in section.iter_symbols() if s["st_info"]["type"] in kinds)
    return dynamic, static
