"""The ways to mend a file, mildest first: nothing moves (a), a tool's tail moves (b), data moves (c)."""

from __future__ import annotations

from itertools import pairwise

from pagefit.elf import constants as c
from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.moves import UNIT
from pagefit.realign.parts import Part, constants_apart, parts
from pagefit.realign.place import Placed, Policy, place
from pagefit.realign.tables import neighbour_before
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from pagefit.realign.report import Class, Layout

#: More zeros in the file than this (bytes) and moving a tail is better than writing out the bss before it.
_BSS_AT_MOST: Final = 1 << 20
#: What patchelf and its like append: tables that the loader finds by name, and no code.
_TAIL: Final = (".dynstr", ".dynsym", ".hash", ".gnu.hash", ".gnu.version", ".dynamic", ".note", ".rel", ".interp")


class Candidate(NamedTuple):
    """One way: its class, and where every part would go."""

    cls: Class
    placed: tuple[Placed, ...]


def candidates(file: ElfFile, page: int, layout: Layout) -> Iterator[Candidate | Refused]:
    """The candidates for pages of `page` bytes, mildest first; where a class can't be, its reason in its place."""
    uncut = parts(file.image, cut=False)
    still = _try(file, "a1", uncut, Policy(page, UNIT, _stays, relro=False, file=layout))
    bloated = isinstance(still, Candidate) and _zeros(still.placed) > _BSS_AT_MOST
    if not bloated:
        yield still
    tail = uncut[-1] if uncut else None
    if tail is not None and file.header.type != c.ET_EXEC and _is_tail(file, tail):
        unit = _unit(file, (tail,))
        policy = Policy(page, unit, lambda part: part is tail, relro=False, file=layout, apart=True)
        yield _try(file, "b", uncut, policy)
    if bloated:
        yield still
    unit = _unit(file, uncut)
    policy = Policy(page, unit, lambda part: not part.executable, relro=True, file=layout)
    cut = parts(file.image, cut=True) if can_cut(file) else uncut
    # Dense: the file keeps its size when RELRO's LOAD is cut. Padded: RELRO's end is aligned, as GNU ld does it.
    for choice in dict.fromkeys((cut, uncut) if layout == "dense" else (uncut, cut)):
        yield _try(file, "c", choice, policy)
    # Where references to RELRO's data cannot all be found, it can stay, and only what follows it moves.
    choice = constants_apart(file, cut, page)
    staying = _try(file, "c", choice, policy._replace(movable=lambda part: part.writable, shared=True))
    if isinstance(staying, Candidate) and any(one.glued and one.part.relro for one in staying.placed):
        yield staying


def can_cut(file: ElfFile) -> bool:
    """Whether RELRO ends between sections, or inside a `.got.plt` that may be divided.

    GNU ld protects the first words of a lazily bound `.got.plt`. x86-64 numbers its PLT entries; aarch64's ld.so counts
    slots from these words on (glibc `sysdeps/aarch64/dl-trampoline.S`), so there the distance must stay.
    """
    relro = file.image.first(c.PT_GNU_RELRO)
    if relro is None:
        return False
    for section in file.sections:
        if section.alloc and not section.tls and section.addr < relro.vend < section.end:
            numbered = section.name == ".got.plt" and file.header.machine == c.EM_X86_64
            if not numbered or neighbour_before(file, section) is None:
                return False
    return True


def _stays(_: Part) -> bool:
    return False


def _try(file: ElfFile, cls: Class, choice: Sequence[Part], policy: Policy) -> Candidate | Refused:
    try:
        return Candidate(cls, place(choice, policy, where=file.where))
    except Refused as reason:
        return reason


def _is_tail(file: ElfFile, part: Part) -> bool:
    inside = [s for s in file.sections if s.alloc and s.size and part.start <= s.addr < part.end]
    return bool(inside) and not part.executable and all(s.name.startswith(_TAIL) for s in inside)


def _unit(file: ElfFile, moving: Sequence[Part]) -> int:
    """Moves are multiples of this, so that every section and the TLS block keep their alignment."""
    inside = [
        s.addralign
        for s in file.sections
        if s.alloc and any(not part.executable and part.start <= s.addr < part.end for part in moving)
    ]
    tls = file.image.first(c.PT_TLS)
    return max([UNIT, *inside, tls.align if tls else 0])


def _zeros(placed: Sequence[Placed]) -> int:
    """How much bss a placement writes out as zeros (bytes)."""
    return sum(max(0, after.start - before.file_end) for before, after in pairwise(placed) if after.glued)
