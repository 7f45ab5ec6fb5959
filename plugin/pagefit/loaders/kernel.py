"""How Linux maps a program (or an interpreter): `load_elf_binary` in `fs/binfmt_elf.c`, 6.12.

Where older kernels differ, the worse counts: up to 6.5 a LOAD without file bytes was mapped from the file when it
began inside a page, and so had to be congruent too. The dynamic linker named by PT_INTERP protects RELRO afterwards.
"""

from __future__ import annotations

from pagefit.elf import constants as c
from pagefit.elf.headers import Image
from pagefit.loaders import musl
from pagefit.loaders.machines import lowest_address
from pagefit.loaders.memory import Memory
from pagefit.loaders.model import Fault, clear_tail, down, incongruent, name, up
from pagefit.loaders.verdict import Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pagefit.loaders.model import Behaviour


def _reject(image: Image, page_size: int) -> Iterator[Fault]:
    header = image.header
    for load in image.loads:
        if load.delta % page_size and (load.filesz or load.vaddr % page_size):
            yield incongruent(load, page_size, "mmap fails and the process is killed", Verdict.REJECTED)
        if load.filesz > load.memsz:
            yield Fault(
                "C4",
                Verdict.REJECTED,
                (load.index,),
                load.vaddr,
                f"{name(load)}: p_filesz {load.filesz:#x} is greater than p_memsz {load.memsz:#x}",
            )
    if not any(load.offset <= header.phoff < load.file_end for load in image.loads):
        yield Fault(
            "C15",
            Verdict.CRASHES,
            (),
            None,
            f"the program headers at offset {header.phoff:#x} are in no LOAD: AT_PHDR is 0, and what the program's "
            f"libc reads first is there",
        )
    if header.type == c.ET_EXEC:
        lowest = min(image.loads, key=lambda load: load.vaddr)
        limit = lowest_address(header.machine)
        if down(lowest.vaddr, page_size) < limit:
            yield Fault(
                "C16",
                Verdict.REJECTED,
                (lowest.index,),
                lowest.vaddr,
                f"{name(lowest)} begins in the page at {down(lowest.vaddr, page_size):#x}; nothing may be mapped "
                f"below {limit:#x}",
            )


def _load(image: Image, memory: Memory) -> Iterator[Fault]:
    page = memory.page_size
    for load in image.loads:
        start = down(load.vaddr, page)
        end = up(load.vend, page)
        if not load.filesz:
            if load.memsz:
                memory.map_zero(start, end, load.flags | c.PF_R | c.PF_W, load.index)
            continue
        tail = up(load.file_vend, page)
        memory.map_file(start, tail, down(load.offset, page), load.flags, load.index)
        if load.memsz > load.filesz:
            if load.flags & c.PF_W:
                yield from clear_tail(memory, load, tail)
            memory.map_zero(tail, end, load.flags | c.PF_R | c.PF_W, load.index)


def _load_for_musl(image: Image, memory: Memory) -> Iterator[Fault]:
    yield from _load(image, memory)
    yield from musl.donate(image, memory)


BEHAVIOUR: Behaviour = (_reject, _load)
FOR_MUSL: Behaviour = (_reject, _load_for_musl)
