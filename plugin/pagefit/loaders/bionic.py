"""How Android's dynamic linker maps a shared object: `ElfReader` in `linker/linker_phdr.cpp` (Android 16).

The span is reserved, then every LOAD is mapped from down(p_offset) to down(p_vaddr) over it. Its mode for
applications built for 4 KiB only is not modelled: it is a crutch with a warning dialog.
"""

from __future__ import annotations

from pagefit.elf import constants as c
from pagefit.elf.headers import Image
from pagefit.loaders.memory import Memory
from pagefit.loaders.model import Fault, beyond_end, clear_tail, down, name, up
from pagefit.loaders.verdict import Verdict, format_page_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pagefit.loaders.model import Behaviour

#: Below this page size (bytes) p_align is not compared with it.
_ALIGN_CHECKED_FROM = 16384


def _reject(image: Image, page_size: int) -> Iterator[Fault]:
    for load in image.loads:
        # 0, 1 and other values that are no power of two take no part in the comparison.
        counted = load.align > 1 and load.align & (load.align - 1) == 0
        if page_size >= _ALIGN_CHECKED_FROM and counted and load.align < page_size:
            yield Fault(
                "C2",
                Verdict.REJECTED,
                (load.index,),
                load.vaddr,
                f"{name(load)}: “program alignment ({load.align}) cannot be smaller than system page size "
                f"({page_size})”",
            )
        if load.file_end > image.size:
            yield beyond_end(load, image, Verdict.REJECTED)
    header = image.header
    phdr = image.first(c.PT_PHDR)
    if phdr is not None:
        start = phdr.vaddr
    else:
        first = image.loads[0]
        start = first.vaddr + header.phoff if first.offset == 0 else -1
    end = start + header.phnum * header.phentsize
    if not any(load.vaddr <= start and end <= load.file_vend for load in image.loads):
        yield Fault(
            "C15",
            Verdict.REJECTED,
            (phdr.index,) if phdr else (),
            phdr.vaddr if phdr else None,
            f"the program headers ({header.phnum} entries at offset {header.phoff:#x}) are in no LOAD",
        )


def _load(image: Image, memory: Memory) -> Iterator[Fault]:
    page = memory.page_size
    loads = image.loads
    memory.map_zero(
        min(down(load.vaddr, page) for load in loads), max(up(load.vend, page) for load in loads), 0, loads[0].index
    )
    for load in loads:
        start, offset = down(load.vaddr, page), down(load.offset, page)
        memory.map_file(start, start + up(load.file_end - offset, page), offset, load.flags, load.index)
        tail = up(load.file_vend, page)
        if load.flags & c.PF_W:
            yield from clear_tail(memory, load, tail)
        memory.map_zero(tail, up(load.vend, page), load.flags, load.index)


def app_check(image: Image, page_size: int) -> Iterator[Fault]:
    """C13: what Android's 16 KiB application check reports though the file works."""
    relro = image.first(c.PT_GNU_RELRO)
    if relro is None or page_size != _ALIGN_CHECKED_FROM:
        return
    starts = relro.vaddr % page_size == 0 or any(load.vaddr == relro.vaddr for load in image.loads)
    ends = relro.vend % page_size == 0 or any(load.vend == relro.vend for load in image.loads)
    if not (starts and ends):
        yield Fault(
            "C13",
            Verdict.FITS,
            (relro.index,),
            relro.vaddr,
            f"RELRO {relro.vaddr:#x}-{relro.vend:#x} has neither page boundaries of {format_page_size(page_size)} nor "
            f"those of its LOAD",
        )


BEHAVIOUR: Behaviour = (_reject, _load)
