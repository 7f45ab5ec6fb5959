"""Loaders simulated page by page, in the plainest way: a dictionary of 1 KiB cells, each with a value and rights.

Written from the loaders' sources and from nothing in the judge, to be compared with it. Every address, offset and size
is a multiple of a cell; every cell of the file holds one value (0: zeros).
"""

from __future__ import annotations

from dataclasses import dataclass

CELL = 1024
READ, WRITE, EXEC = 4, 2, 1


class Rejected(Exception):
    pass


class Crashed(Exception):
    pass


@dataclass(frozen=True)
class Load:
    """All in cells; `align` in bytes."""

    flags: int
    off: int
    va: int
    filesz: int
    memsz: int
    align: int


@dataclass
class File:
    cells: list[int]
    loads: list[Load]
    relro: tuple[int, int] | None


BUS = -1


class Machine:
    """Pages of `page` cells."""

    def __init__(self, page: int, file: File) -> None:
        self.page = page
        self.file = file
        self.value: dict[int, int] = {}
        self.rights: dict[int, int] = {}

    def first(self, cell: int) -> int:
        return cell // self.page * self.page

    def past(self, cell: int) -> int:
        return (cell + self.page - 1) // self.page * self.page

    def mmap(self, start: int, length: int, rights: int, offset: int | None) -> None:
        """Map whole pages: of the file from `offset` on, or of zeros."""
        for i in range(self.past(length)):
            self.rights[start + i] = rights
            if offset is None:
                self.value[start + i] = 0
            elif offset + i < len(self.file.cells):
                self.value[start + i] = self.file.cells[offset + i]
            else:
                self.value[start + i] = 0 if offset + i < self.past(len(self.file.cells)) else BUS

    def munmap_all_but(self, keep: range, span: range) -> None:
        for cell in span:
            if cell not in keep:
                self.value.pop(cell, None)
                self.rights.pop(cell, None)

    def memset(self, start: int, end: int, *, forced: bool = False) -> None:
        for cell in range(start, end):
            if cell not in self.value or self.value[cell] == BUS or not (forced or self.rights[cell] & WRITE):
                raise Crashed
            self.value[cell] = 0

    def mprotect(self, start: int, end: int, rights: int) -> None:
        for cell in range(start, end):
            if cell not in self.rights:
                raise Rejected
            self.rights[cell] = rights


def glibc(m: Machine, *, old: bool) -> None:
    loads = m.file.loads
    page_bytes = m.page * CELL
    for load in loads:
        if old:
            if load.align % page_bytes:
                raise Rejected
            if (load.va - load.off) * CELL % load.align:
                raise Rejected
        elif (load.va - load.off) % m.page:
            raise Rejected
    commands = [(m.first(x.va), m.past(x.va + x.filesz), x) for x in loads]
    holes = any(commands[i - 1][1] != commands[i][0] for i in range(1, len(commands)))
    start = commands[0][0]
    m.mmap(start, loads[-1].va + loads[-1].memsz - start, loads[0].flags, m.first(loads[0].off))
    if holes:
        if commands[-1][0] < commands[0][1]:
            raise Rejected
        m.mprotect(commands[0][1], commands[-1][0], 0)
    for number, (mapstart, mapend, load) in enumerate(commands):
        if number and mapend > mapstart:
            m.mmap(mapstart, mapend - mapstart, load.flags, m.first(load.off))
        zero, zeroend = load.va + load.filesz, load.va + load.memsz
        if zeroend > zero:
            zeropage = min(m.past(zero), zeroend)
            m.memset(zero, zeropage, forced=True)
            if zeroend > zeropage:
                m.mmap(zeropage, zeroend - zeropage, load.flags, None)


def musl(m: Machine) -> None:
    loads = m.file.loads
    low = min(loads, key=lambda x: x.va)
    base = m.first(low.va)
    top = m.past(max(x.va + x.memsz for x in loads))
    m.mmap(base, top - base, low.flags, m.first(low.off))
    for x in loads:
        this_min, this_max = m.first(x.va), m.past(x.va + x.memsz)
        if this_min != base and this_max > this_min:
            m.mmap(this_min, this_max - this_min, x.flags, m.first(x.off))
        if x.memsz > x.filesz and x.flags & WRITE:
            brk = x.va + x.filesz
            m.memset(brk, m.past(brk))
            if m.past(brk) < this_max:
                m.mmap(m.past(brk), this_max - m.past(brk), x.flags, None)
    relro = range(0)
    if m.file.relro:
        relro = range(m.first(m.file.relro[0]), m.first(m.file.relro[1]))
    for x in loads:
        if x.flags & (READ | WRITE) == READ | WRITE:
            for start, end in ((m.first(x.va), x.va), (x.va + x.memsz, m.past(x.va + x.memsz))):
                if relro and relro[0] <= start <= relro[-1]:
                    start = relro.stop
                if relro and relro[0] <= end <= relro[-1]:
                    end = relro[0]
                m.memset(start, end)


def bionic(m: Machine) -> None:
    loads = m.file.loads
    page_bytes = m.page * CELL
    for x in loads:
        if page_bytes >= 16384 and x.align > 1 and x.align < page_bytes:
            raise Rejected
        if x.off + x.filesz > len(m.file.cells):
            raise Rejected
    # The program headers lie in the first cell, and are looked for at the first LOAD's address when its p_offset is 0.
    if loads[0].off or not any(x.va <= loads[0].va < x.va + x.filesz for x in loads):
        raise Rejected
    low, top = m.first(min(x.va for x in loads)), m.past(max(x.va + x.memsz for x in loads))
    m.mmap(low, top - low, 0, None)
    for x in loads:
        file_page = m.first(x.off)
        m.mmap(m.first(x.va), x.off + x.filesz - file_page, x.flags, file_page)
        end = x.va + x.filesz
        if x.flags & WRITE:
            m.memset(end, m.past(end))
        if m.past(x.va + x.memsz) > m.past(end):
            m.mmap(m.past(end), m.past(x.va + x.memsz) - m.past(end), x.flags, None)


def kernel(m: Machine) -> None:
    for x in m.file.loads:
        # Older kernels map a LOAD without file bytes, too, when it begins inside a page.
        if (x.va - x.off) % m.page and (x.filesz or x.va % m.page):
            raise Rejected
    if not any(x.off == 0 and x.filesz for x in m.file.loads):
        raise Crashed  # AT_PHDR is 0, and libc reads it first
    for x in m.file.loads:
        if x.filesz:
            m.mmap(m.first(x.va), m.past(x.va + x.filesz) - m.first(x.va), x.flags, m.first(x.off))
            if x.memsz > x.filesz:
                if x.flags & WRITE:
                    m.memset(x.va + x.filesz, m.past(x.va + x.filesz))
                zero, end = m.past(x.va + x.filesz), m.past(x.va + x.memsz)
                m.mmap(zero, end - zero, x.flags | READ | WRITE, None)
        elif x.memsz:
            m.mmap(m.first(x.va), m.past(x.va + x.memsz) - m.first(x.va), x.flags | READ | WRITE, None)


def run(loader: str, file: File, page_size: int) -> str:
    """`rejected`, `corrupts`, `crashes`, `weaker` or `fits`."""
    m = Machine(page_size // CELL, file)
    try:
        if loader.startswith("glibc"):
            glibc(m, old=loader == "glibc<2.35")
        else:
            {"musl": musl, "bionic": bionic, "kernel": kernel}[loader](m)
        seen = {look(m, x, cell) for x in file.loads for cell in range(x.va, x.va + x.memsz)}
        for worst in ("corrupts", "crashes"):
            if worst in seen:
                return worst
        return relro(m, round_up=loader == "bionic")
    except Rejected:
        return "rejected"
    except Crashed:
        return "crashes"


def look(m: Machine, x: Load, cell: int) -> str:
    """One promised cell before RELRO is protected."""
    in_file = cell < x.va + x.filesz
    if in_file and (x.va - x.off) % m.page:
        return "corrupts"
    promised = 0
    if in_file:
        if x.off + x.filesz > len(m.file.cells):
            return "crashes" if x.off + x.filesz > m.past(len(m.file.cells)) else "corrupts"
        promised = m.file.cells[x.off + cell - x.va]
    if m.value.get(cell, BUS) == BUS:
        return "crashes"
    if m.value[cell] != promised:
        return "corrupts"
    return "crashes" if x.flags & ~m.rights[cell] else "fits"


def relro(m: Machine, *, round_up: bool) -> str:
    if m.file.relro is None:
        return "fits"
    start, end = m.file.relro
    m.mprotect(m.first(start), m.past(end) if round_up else m.first(end), READ)
    for x in m.file.loads:
        # Within RELRO nobody writes; and the LOAD it was made for expects no more than to be read there.
        own = x.va <= start < x.va + x.memsz
        for cell in range(x.va, x.va + x.memsz):
            needed = x.flags & (READ if own else READ | EXEC) if start <= cell < end else x.flags
            if needed & ~m.rights[cell]:
                return "crashes"
    left = range(start, end) if round_up else range(max(start, m.first(end)), end)
    return "weaker" if any(m.rights.get(cell, 0) & WRITE for cell in left) else "fits"
