"""How musl's dynamic linker maps a shared object: `map_library` and `reclaim_gaps` in `ldso/dynlink.c` (1.2).

It checks nothing. The span is mapped from the lowest LOAD's place in the file; a LOAD that starts in the lowest page is
not mapped again. What a writable segment leaves free in its first and last page is cleared and given to malloc; that
is done for the libraries a program starts with, not for those it opens later, and the verdict is for both.
"""

from __future__ import annotations

from pagefit.elf import constants as c
from pagefit.elf.headers import Image
from pagefit.loaders.memory import Memory
from pagefit.loaders.model import Fault, clear_tail, down, name, up
from pagefit.loaders.verdict import Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pagefit.loaders.model import Behaviour


def _reject(image: Image, page_size: int) -> Iterator[Fault]:  # noqa: ARG001 -- musl rejects nothing
    yield from ()


def _load(image: Image, memory: Memory) -> Iterator[Fault]:
    page = memory.page_size
    loads = image.loads
    lowest = min(loads, key=lambda load: load.vaddr)
    base, top = down(lowest.vaddr, page), max(up(load.vend, page) for load in loads)
    memory.map_file(base, top, down(lowest.offset, page), lowest.flags, lowest.index)
    for load in loads:
        start, end = down(load.vaddr, page), up(load.vend, page)
        if start != base:
            memory.map_file(start, end, down(load.offset, page), load.flags, load.index)
        if load.memsz > load.filesz and load.flags & c.PF_W:
            tail = up(load.file_vend, page)
            yield from clear_tail(memory, load, tail)
            memory.map_zero(tail, end, load.flags, load.index)
    yield from donate(image, memory)


def donate(image: Image, memory: Memory) -> Iterator[Fault]:
    """Clear what writable LOADs leave free in their first and last pages, except in the pages of RELRO."""
    page = memory.page_size
    relro = image.of_type(c.PT_GNU_RELRO)
    protected = range(down(relro[-1].vaddr, page), down(relro[-1].vend, page)) if relro else range(0)
    for load in image.loads:
        if load.flags & (c.PF_R | c.PF_W) != c.PF_R | c.PF_W:
            continue
        for start, end in ((down(load.vaddr, page), load.vaddr), (load.vend, up(load.vend, page))):
            low = protected.stop if start in protected else start
            high = protected.start if end in protected else end
            if not memory.zero(low, high, load.index):
                yield Fault(
                    "C7",
                    Verdict.CRASHES,
                    (load.index,),
                    low,
                    f"musl faults while it gives the unused bytes {low:#x}-{high:#x} beside {name(load)} to malloc",
                )


BEHAVIOUR: Behaviour = (_reject, _load)
