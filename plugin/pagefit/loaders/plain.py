"""The layout that no loader can get wrong, told from the headers in a few comparisons.

Nearly every file at nearly every page size is of this kind; only the others are worth simulating. Sound, not complete:
what is plain fits (a test compares it with the simulation), what is not plain may fit all the same.
"""

from __future__ import annotations

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, Segment
from pagefit.loaders.machines import lowest_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_ADDRESSES_64: Final = 1 << 46
_ADDRESSES_32: Final = 1 << 31
_ALIGN: Final = 1 << 30


def is_plain(image: Image, page_size: int, *, relro_rounds_up: bool) -> bool:
    """Whether every loader maps the file as promised at this page size, apart from a weaker end of RELRO."""
    header = image.header
    if header.type not in (c.ET_DYN, c.ET_EXEC):
        return False
    mask = page_size - 1
    reached = 0
    loads = image.loads
    table_end = header.phoff + header.phnum * header.phentsize
    for _, _, flags, offset, vaddr, _, filesz, memsz, align in loads:
        if not page_size <= align <= _ALIGN or align & (align - 1) or (vaddr - offset) & (align - 1):
            return False
        if not memsz or filesz > memsz or offset + filesz > image.size or vaddr & -page_size < reached:
            return False
        # Without file bytes it must begin a page of its own; bss needs the right to write.
        if memsz > filesz and (not flags & c.PF_W or (not filesz and vaddr & mask)):
            return False
        reached = vaddr + memsz + mask & -page_size
    if not loads or reached > (_ADDRESSES_64 if header.bits == 64 else _ADDRESSES_32):
        return False
    # The first LOAD holds the program headers, as every linker arranges it.
    first = loads[0]
    if first.offset or table_end > first.filesz:
        return False
    if header.type == c.ET_EXEC and first.vaddr & -page_size < lowest_address(header.machine):
        return False
    phdr = image.first(c.PT_PHDR)
    if phdr is not None and (phdr.offset != header.phoff or phdr.vaddr != first.vaddr + header.phoff):
        return False
    return _plain_relro(image.of_type(c.PT_GNU_RELRO), loads, mask, rounds_up=relro_rounds_up)


def _plain_relro(relros: tuple[Segment, ...], loads: tuple[Segment, ...], mask: int, *, rounds_up: bool) -> bool:
    if not relros:
        return True
    if len(relros) > 1:
        return False
    relro = relros[0]
    for load in loads:
        if load.vaddr <= relro.vaddr < load.vend:
            if load.flags & (c.PF_W | c.PF_X) != c.PF_W:
                return False
            starts = relro.vaddr == load.vaddr or not relro.vaddr & mask
            ends = not rounds_up or relro.vend >= load.vend or not relro.vend & mask
            return starts and ends and relro.vend <= load.vend + mask & ~mask
    return False
