"""Allocators that are built for one page size (C18): found by their own message, which lies anywhere in a file.

A heuristic, and the one question that needs whole files: `check --deep` asks it. jemalloc takes the page size of the
machine it is configured on as the largest it supports, and aborts at start where pages are larger.
"""

from __future__ import annotations

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, ReadAt
from pagefit.loaders.machines import MACHINES
from pagefit.loaders.verdict import Finding, Judgement, Verdict, format_page_size
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_MESSAGES: Final = {b"<jemalloc>: Unsupported system page size": "jemalloc"}
_CHUNK: Final = 1 << 20
_OVERLAP: Final = max(map(len, _MESSAGES))

_MOV_W0_SC_PAGESIZE: Final = b"\xc0\x03\x80\x52"
#: Instructions between asking for the page size and comparing it.
_WINDOW: Final = 16


class Allocator(NamedTuple):
    """An allocator linked into a file, and the largest page size (bytes) it runs with, or None where that cannot be
    told."""

    name: str
    page_size: int | None


def find_allocator(image: Image, read: ReadAt) -> Allocator | None:
    """Look for an allocator with a built-in page size. Reads the whole file, once and a bit at a time.

    Machines with one page size are not searched: nothing could be wrong there.
    """
    machine = MACHINES.get(image.header.machine)
    if machine is None or len(machine.page_sizes) < 2:
        return None
    kept = b""
    for at in range(0, image.size, _CHUNK):
        window = kept + read(at, min(_CHUNK, image.size - at))
        for message, name in _MESSAGES.items():
            if message in window:
                return Allocator(name, _built_in_page_size(image, read))
        kept = window[-_OVERLAP:]
    return None


def judge_allocator(judgement: Judgement, allocator: Allocator | None) -> Judgement:
    """Add C18 to a judgement: a crash at page sizes known to be too large, a note where the size cannot be told."""
    if allocator is None:
        return judgement
    verdicts = dict(judgement.verdicts)
    findings = list(judgement.findings)
    for (loader, page_size), verdict in judgement.verdicts.items():
        if verdict is Verdict.NOT_APPLICABLE or (allocator.page_size or 0) >= page_size or page_size == 4096:
            continue
        if allocator.page_size is None:
            outcome, message = (
                Verdict.FITS,
                f"{allocator.name} is linked in; for which page size it is built cannot be told",
            )
        else:
            outcome = Verdict.CRASHES
            message = (
                f"{allocator.name} is linked in, built for pages of {format_page_size(allocator.page_size)}; it aborts"
            )
        verdicts[loader, page_size] = max(verdict, outcome)
        findings.append(Finding("C18", loader, page_size, outcome, (), None, message))
    return Judgement(verdicts, tuple(findings))


def _built_in_page_size(image: Image, read: ReadAt) -> int | None:
    """What jemalloc's start-up compares `sysconf(_SC_PAGESIZE)` with: read from the code, on aarch64 only.

    Looks for `mov w0, #30` and, soon behind, `cmp xN, #page`. None when there is no such place, or several disagree.
    """
    if image.header.machine != c.EM_AARCH64:
        return None
    found: set[int] = set()
    for load in image.loads:
        if load.flags & c.PF_X:
            for at in range(load.offset, load.file_end, _CHUNK):
                found |= _compared(read(at, min(_CHUNK + 4 * _WINDOW, load.file_end - at)))
    return found.pop() if len(found) == 1 else None


def _compared(code: bytes) -> set[int]:
    sizes: set[int] = set()
    at = code.find(_MOV_W0_SC_PAGESIZE)
    while at >= 0:
        if at % 4 == 0:
            window = code[at : at + 4 * _WINDOW]
            words = (int.from_bytes(window[i : i + 4], "little") for i in range(0, len(window) - 3, 4))
            # SUBS xzr, xN, #imm12, lsl #12 (Arm ARM C6.2): only such immediates are page sizes.
            sizes.update((word >> 10 & 0xFFF) << 12 for word in words if word & 0xFFC0001F == 0xF140001F)
        at = code.find(_MOV_W0_SC_PAGESIZE, at + 1)
    return {size for size in sizes if size and size & (size - 1) == 0}
