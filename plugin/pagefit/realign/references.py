"""All references that tables describe, as patches; code is the architectures' business.

A table yields references; a patch adds to the old value what its target moves, and takes off what its base moves.
"""

from __future__ import annotations

from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign import dwarf, relocs, unwind, words
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch, Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def tables(file: ElfFile, moves: Moves, *, debug: bool = True) -> Iterator[Patch]:
    """The patches of every table: `.dynamic`, relocations, GOT, symbols, unwind tables, probes, DWARF (`debug`).

    Raises Refused when one leads to where nothing is, or cannot hold its new value.
    """
    yield from patches(file, moves, words.dynamic_section(file))
    yield from relocs.patches(file, moves)
    yield from patches(file, moves, relocs.in_place(file, moves))
    yield from patches(file, moves, words.got(file, moves))
    yield from words.symbol_values(file, moves)
    yield from patches(file, moves, words.probes(file))
    yield from patches(file, moves, unwind.references(file, moves))
    if debug:
        yield from patches(file, moves, dwarf.references(file, moves))


def patches(file: ElfFile, moves: Moves, references: Iterable[Reference]) -> Iterator[Patch]:
    """The patches for references whose value changes."""
    byteorder = file.header.byteorder
    for offset, size, base, target, kind in references:
        change = moves.settled(target, kind, file.where) - (
            moves.settled(base, kind, file.where) if base is not None else 0
        )
        if not change:
            continue
        old = file.data[offset : offset + size]
        signed = base is not None
        value = int.from_bytes(old, byteorder, signed=signed) + change
        try:
            new = value.to_bytes(size, byteorder, signed=signed)
        except OverflowError:
            raise Refused(f"{kind} at offset {offset:#x} cannot reach {target + change:#x}", where=file.where) from None
        yield Patch(offset, old, new, kind, target)
