"""What forbids moving data at all: files whose addresses are promised elsewhere, or whose shape hides references."""

from __future__ import annotations

from pagefit.elf import constants as c
from pagefit.elf import dynamic as d
from pagefit.elf import relocations, symbols
from pagefit.elf.sections import SHT_NOBITS, ElfFile, Section
from pagefit.errors import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def check(file: ElfFile, page: int) -> None:
    """Raise Refused with the first reason why data of a file cannot be moved for pages of `page` bytes."""
    for reason in reasons(file, page):
        raise Refused(
            f"data would have to move, but {reason}",
            where=file.where,
            remedy=f"Link it again with -Wl,-z,max-page-size={page} -Wl,-z,common-page-size={page}.",
        )


def reasons(file: ElfFile, page: int) -> Iterator[str]:
    """Every reason, in the order of their weight."""
    if file.header.type == c.ET_EXEC:
        yield "it is an executable with fixed addresses (ET_EXEC)"
    if not file.sections:
        yield "it has no section headers"
    tags = d.tags(file)
    if d.DT_TEXTREL in tags or tags.get(d.DT_FLAGS, 0) & d.DF_TEXTREL:
        yield "its code has relocations (TEXTREL)"
    if d.DT_GNU_PRELINKED in tags or d.DT_GNU_CONFLICT in tags:
        yield "it is prelinked"
    if any(load.flags & c.PF_W and load.flags & c.PF_X for load in file.image.loads):
        yield "it has a segment that is writable and executable"
    for section in file.sections:
        if section.alloc and section.addralign > page:
            yield f"section {section.name} is aligned to {section.addralign:#x}, more than a page"
        if section.name.startswith(("swift5_", "__swift5", ".swift5")):
            yield f"section {section.name} holds relative references that no table describes"
        if section.alloc and section.size and not section.tls and file.segment_at(section.addr) is None:
            yield f"section {section.name} is in no LOAD segment"
        if section.alloc and section.file_size and not _mapped(file, section):
            yield f"section {section.name} is not where its LOAD segment maps it"
        if section.executable and section.type == SHT_NOBITS and section.size:
            yield f"section {section.name} is code without bytes"
    if file.header.machine not in relocations.RELATIVE:
        yield f"code of e_machine {file.header.machine} cannot be analysed"
    if vtable := _relative_vtable(file):
        yield f"the vtable {vtable} is in read-only memory without relocations (relative vtables)"


def _mapped(file: ElfFile, section: Section) -> bool:
    first, last = file.offset_of(section.addr), file.offset_of(section.end - 1)
    return (first, last) == (section.offset, section.file_end - 1)


def _relative_vtable(file: ElfFile) -> str | None:
    """A C++ vtable that no loader writes to holds distances, not addresses (LLVM's relative ABI)."""
    for table in symbols.tables(file):
        for symbol in symbols.symbols(file, table, names=symbols.named(file, table, rb"_ZTV")):
            if symbol.type != symbols.STT_OBJECT or not 0 < symbol.section < len(file.sections):
                continue
            home = file.sections[symbol.section]
            if home.alloc and not home.writable and symbol.size:
                return symbols.name(file, table, symbol)
    return None
