"""What every loader's module provides: the checks that reject a file, and the mapping it does otherwise."""

from __future__ import annotations

from pagefit.loaders.verdict import Verdict, format_page_size
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from pagefit.elf.headers import Image, Segment
    from pagefit.loaders.memory import Memory

    #: (image, page size in bytes) -> what makes the loader refuse the file, from its headers alone.
    Reject: TypeAlias = Callable[[Image, int], Iterator["Fault"]]

    #: Maps the file into the memory, in the loader's order; yields what goes wrong meanwhile.
    Load: TypeAlias = Callable[[Image, Memory], Iterator["Fault"]]

    #: What one loader does with a file.
    Behaviour: TypeAlias = tuple[Reject, Load]


class Fault(NamedTuple):
    """A rule broken: what `Finding` says, before the loader's name is put to it. `address` lies in the page
    concerned."""

    rule: str
    verdict: Verdict
    segments: tuple[int, ...]
    address: int | None
    message: str


def down(address: int, page_size: int) -> int:
    """Round down to the page (bytes)."""
    return address & -page_size


def up(address: int, page_size: int) -> int:
    """Round up to the page (bytes)."""
    return -(-address & -page_size)


def name(segment: Segment) -> str:
    """A segment as findings name it: its place in the program header table and its rights."""
    return f"segment {segment.index} ({segment.rights or 'no rights'})"


def incongruent(load: Segment, page_size: int, effect: str, verdict: Verdict) -> Fault:
    """C1 for one LOAD."""
    return Fault(
        "C1",
        verdict,
        (load.index,),
        load.vaddr,
        f"{name(load)}: p_vaddr {load.vaddr:#x} and p_offset {load.offset:#x} differ by {load.delta % page_size:#x} "
        f"within a page: {effect}",
    )


def beyond_end(load: Segment, image: Image, verdict: Verdict) -> Fault:
    """C4 for a LOAD that the file does not hold whole."""
    return Fault(
        "C4",
        verdict,
        (load.index,),
        load.vaddr + max(0, image.size - load.offset),
        f"{name(load)} needs the file up to byte {load.file_end}, it ends at {image.size}",
    )


def weaker(relro: Segment, page_size: int) -> Fault:
    """C12 where the end is rounded down: the last bytes of RELRO stay writable."""
    return Fault(
        "C12",
        Verdict.RELRO_WEAKER,
        (relro.index,),
        relro.vend,
        f"RELRO ends at {relro.vend:#x}, inside a page of {format_page_size(page_size)}: its bytes from "
        f"{max(relro.vaddr, down(relro.vend, page_size)):#x} on stay writable",
    )


def clear_tail(memory: Memory, load: Segment, end: int, *, unlocked: bool = False) -> Iterator[Fault]:
    """Zero memory from the end of a LOAD's file bytes to `end`, as every loader does for the first bytes of bss."""
    if not memory.zero(load.file_vend, end, load.index, unlocked=unlocked):
        yield Fault(
            "C7",
            Verdict.CRASHES,
            (load.index,),
            load.file_vend,
            f"the loader itself faults while it clears the bss of {name(load)} at {load.file_vend:#x}",
        )
