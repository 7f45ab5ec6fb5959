"""How glibc's ld.so maps a shared object: `elf/dl-load.c`, `elf/dl-map-segments.h`.

The whole span is mapped from the first LOAD's place in the file, holes lose all rights, then every further LOAD is
mapped over it. 2.35 changed what is checked beforehand: p_align is no longer compared with the page size (BZ #28676).
"""

from __future__ import annotations

from itertools import pairwise

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, Segment
from pagefit.loaders.memory import Memory
from pagefit.loaders.model import Fault, clear_tail, down, incongruent, name, up
from pagefit.loaders.verdict import Verdict, format_page_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pagefit.loaders.model import Behaviour


def _reject_old(image: Image, page_size: int) -> Iterator[Fault]:
    word = (1 << image.header.bits) - 1
    for load in image.loads:
        if load.align & (page_size - 1):
            yield Fault(
                "C2",
                Verdict.REJECTED,
                (load.index,),
                load.vaddr,
                f"{name(load)}: p_align {load.align:#x} is not a multiple of {format_page_size(page_size)}: "
                f"“ELF load command alignment not page-aligned”",
            )
        elif load.delta & word & (load.align - 1 & word):
            yield Fault(
                "C3",
                Verdict.REJECTED,
                (load.index,),
                load.vaddr,
                f"{name(load)}: p_vaddr {load.vaddr:#x} and p_offset {load.offset:#x} contradict p_align "
                f"{load.align:#x}: "
                f"“ELF load command address/offset not properly aligned”",
            )
    yield from _reject_layout(image, page_size)


def _reject_new(image: Image, page_size: int) -> Iterator[Fault]:
    for load in image.loads:
        if load.delta % page_size:
            yield incongruent(
                load, page_size, "“ELF load command address/offset not page-aligned”", Verdict.REJECTED
            )  # fmt: skip
    yield from _reject_layout(image, page_size)


def _reject_layout(image: Image, page_size: int) -> Iterator[Fault]:
    loads = image.loads
    first, last = loads[0], loads[-1]
    if first.vaddr > min(load.vaddr for load in loads) or last.vend < max(load.vend for load in loads):
        nothing = last.vend <= down(first.vaddr, page_size)
        yield Fault(
            "C4",
            Verdict.REJECTED if nothing else Verdict.CORRUPTS,
            (first.index, last.index),
            last.vaddr,
            f"room is reserved from {name(first)}, the first LOAD, to {name(last)}, the last, and others lie "
            f"outside it",
        )
    elif _holes(loads, page_size) and down(last.vaddr, page_size) < up(first.file_vend, page_size):
        yield Fault(
            "C10",
            Verdict.REJECTED,
            (first.index, last.index),
            last.vaddr,
            f"{name(last)} starts in page {down(last.vaddr, page_size):#x}, before the pages of {name(first)} end at "
            f"{up(first.file_vend, page_size):#x}",
        )


def _holes(loads: tuple[Segment, ...], page_size: int) -> bool:
    return any(up(before.file_vend, page_size) != down(load.vaddr, page_size) for before, load in pairwise(loads))


def _load(image: Image, memory: Memory) -> Iterator[Fault]:
    page = memory.page_size
    loads = image.loads
    for place, load in enumerate(loads):
        start, end = down(load.vaddr, page), up(load.file_vend, page)
        offset = down(load.offset, page)
        if place == 0:
            memory.map_file(start, up(loads[-1].vend, page), offset, load.flags, load.index)
            if _holes(loads, page):
                memory.protect(end, down(loads[-1].vaddr, page), 0)
        else:
            memory.map_file(start, end, offset, load.flags, load.index)
        # ld.so lends itself PROT_WRITE when a segment without it has bss ("Dag nab it").
        yield from clear_tail(memory, load, min(end, load.vend), unlocked=True)
        memory.map_zero(end, up(load.vend, page), load.flags, load.index)
    for phdr in image.of_type(c.PT_PHDR)[-1:]:
        if sum(piece.end - piece.start for piece in memory.within(phdr.vaddr, phdr.vend) if piece.rights) < phdr.memsz:
            yield Fault(
                "C15",
                Verdict.CRASHES,
                (phdr.index,),
                phdr.vaddr,
                f"PT_PHDR {phdr.vaddr:#x}-{phdr.vend:#x} is not mapped, and whoever unwinds the stack reads it",
            )


OLD: Behaviour = (_reject_old, _load)
NEW: Behaviour = (_reject_new, _load)
