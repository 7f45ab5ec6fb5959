"""Guile's loader (libguile/loader.c): when a .go file loads at a page size.

It maps the whole file read-only, then calls mprotect on each writable segment, but only when the segment's p_align
says that it may: that comparison has changed twice, and is all that tells the generations apart. Where mprotect is
skipped, the module's own start-up code writes to read-only memory and the process dies. Where mprotect fails, Guile
prints ";;; WARNING: loading compiled file ... failed", and runs the module from source, slowly.

A file is loaded by the Guile that knows its bytecode version, so that version tells which generation counts. There is
no e_machine: word size and byte order are all that a file is tied to, so every page size applies to every file.
"""

from __future__ import annotations

from itertools import pairwise

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, ReadAt, Segment
from pagefit.guile.format import Version, bytecode_version
from pagefit.loaders.model import Fault, down, name
from pagefit.loaders.verdict import COMMON_PAGE_SIZES, Finding, Judgement, Verdict, format_page_size
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final


class Generation(NamedTuple):
    """One generation of the loader.

    `protects` tells from a segment's p_align and the page size (bytes) whether mprotect is called; `rule` is the
    rule that is broken when it is not. None: the file is copied to writable memory and any alignment will do.
    """

    name: str
    rule: str = ""
    protects: Callable[[int, int], bool] | None = None


CURRENT: Final = Generation("guile>=2.1.8", "G1", lambda align, page_size: align >= page_size)
GUILE_2_1_6: Final = Generation("guile-2.1.6..7", "G2", lambda align, page_size: align == page_size)
GUILE_2_1_0: Final = Generation("guile-2.1.0..5", "G3", lambda align, _page_size: align == 4096)
#: Systems without mmap, and `load-thunk-from-memory`.
COPYING: Final = Generation("guile without mmap")

#: Every generation there has been.
GENERATIONS: Final = (CURRENT, GUILE_2_1_6, GUILE_2_1_0, COPYING)

#: Guile 2.1.0 to 2.1.3 wrote bytecode 0x0202.6 to .8. Files of 2.1.4 to 2.1.7 share their version with Guile 2.2.0,
#: and it is not fair to judge every file of 2.2.0 by four pre-releases that nobody has.
_LAST_OF_2_1_0: Final = Version(0x0202, 8)


def judge_guile(
    image: Image,
    read: ReadAt,
    page_sizes: Sequence[int] | None = None,
    *,
    generations: Sequence[Generation] | None = None,
) -> Judgement:
    """Judge a Guile object file at `page_sizes` (bytes; the common ones by default).

    `generations` are the loaders to judge by; by default the one that loads the file's bytecode version. Reads
    `.dynamic`. Raises nothing of its own.
    """
    if generations is None:
        version = bytecode_version(image, read) or Version(0, 0)
        generations = (GUILE_2_1_0,) if version.major == 0x0202 and version <= _LAST_OF_2_1_0 else (CURRENT,)
    verdicts: dict[tuple[str, int], Verdict] = {}
    findings: list[Finding] = []
    for generation in generations:
        for page_size in dict.fromkeys(page_sizes if page_sizes is not None else COMMON_PAGE_SIZES):
            faults = list(_bad_headers(image)) or list(_unwritable(image, generation, page_size))
            verdicts[generation.name, page_size] = max((fault.verdict for fault in faults), default=Verdict.FITS)
            findings += (_finding(fault, generation, page_size) for fault in faults)
    return Judgement(verdicts, tuple(findings))


def _finding(fault: Fault, generation: Generation, page_size: int) -> Finding:
    page = None if fault.address is None else down(fault.address, page_size)
    return Finding(fault.rule, generation.name, page_size, fault.verdict, fault.segments, page, fault.message)


def _bad_headers(image: Image) -> Iterator[Fault]:
    """What every generation checks at every page size (G5), and p_offset, which none of them uses (G6)."""
    if len(image.of_type(c.PT_DYNAMIC)) != 1:
        yield _rejected("there is not exactly one PT_DYNAMIC")
    if not image.segments or image.segments[0].type != c.PT_LOAD or image.segments[0].vaddr:
        yield _rejected("the first segment is not a LOAD at address 0")
    for segment in image.segments:
        if segment.type not in (c.PT_LOAD, c.PT_DYNAMIC):
            yield _rejected(f"{name(segment)} has the unknown type {segment.type:#x}", segment)
        if segment.filesz != segment.memsz:
            yield _rejected(f"p_filesz and p_memsz of {name(segment)} differ", segment)
        if not segment.flags:
            yield _rejected(f"{name(segment)} has no p_flags", segment)
        if max(segment.file_end, segment.vend) > image.size:
            yield _rejected(f"{name(segment)} reaches behind the end of the file", segment)
    for before, load in pairwise(image.loads):
        if load.vaddr < before.vend:
            yield _rejected(f"{name(load)} overlaps {name(before)}", load)
    for load in image.loads:
        if load.delta:
            message = f"{name(load)} lies at offset {load.offset:#x}, but Guile takes what lies at {load.vaddr:#x}"
            yield Fault("G6", Verdict.CORRUPTS, (load.index,), load.vaddr, message)


def _rejected(message: str, segment: Segment | None = None) -> Fault:
    indexes, address = ((segment.index,), segment.vaddr) if segment else ((), None)
    return Fault(
        "G5", Verdict.REJECTED, indexes, address, f"{message}: Guile falls back to the source, if there is one"
    )


def _unwritable(image: Image, generation: Generation, page_size: int) -> Iterator[Fault]:
    if generation.protects is None:
        return
    page = format_page_size(page_size)
    for load in image.loads:
        if load.flags == c.PF_R:
            continue
        if not generation.protects(load.align, page_size):
            message = f"with p_align {load.align:#x}, {name(load)} stays read-only on pages of {page}: the module dies"
            yield Fault(generation.rule, Verdict.CRASHES, (load.index,), load.vaddr, message)
        elif load.vaddr % page_size:
            message = f"{name(load)} starts inside a page of {page}: mprotect fails, Guile falls back to the source"
            yield Fault("G4", Verdict.REJECTED, (load.index,), load.vaddr, message)
