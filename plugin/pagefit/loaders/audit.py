"""Compare the memory a loader built with what the program headers promise.

Every byte of every LOAD must hold its byte of the file or zero, with its rights, before and after RELRO is protected.
The file's bytes are read only where a page holds other bytes than promised and they might be the same: mostly zeros
after all (C8).
"""

from __future__ import annotations

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, ReadAt, Segment
from pagefit.loaders.memory import Memory, Piece, Source
from pagefit.loaders.model import Fault, beyond_end, down, incongruent, name, up, weaker
from pagefit.loaders.verdict import Verdict
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_CHUNK: Final = 1 << 16

#: Beyond this many bytes two ranges count as different (bytes): no page of any kernel is larger.
_COMPARED_AT_MOST: Final = 1 << 22


def audit_bytes(image: Image, memory: Memory, read: ReadAt) -> list[Fault]:
    """C1, C4, C6, C8 and C9: promised bytes that are not there."""
    faults: list[Fault] = []
    suspects: list[_Suspect] = []
    for load in image.loads:
        for problem in _problems(load, image, memory):
            if isinstance(problem, Fault):
                faults.append(problem)
            else:
                suspects.append(problem)
    # In a compressed archive reading costs more than everything else, and cannot change the verdict any more.
    if not any(fault.verdict is Verdict.CORRUPTS for fault in faults):
        faults.extend(suspect.fault for suspect in suspects if suspect.differs(read))
    return faults


class _Suspect(NamedTuple):
    """A range that holds other bytes than promised, unless those happen to be the same.

    `found` and `promised` are offsets in the file, None for zeros.
    """

    fault: Fault
    length: int
    found: int | None
    promised: int | None

    def differs(self, read: ReadAt) -> bool:
        if self.length > _COMPARED_AT_MOST:
            return True
        for at in range(0, self.length, _CHUNK):
            size = min(_CHUNK, self.length - at)
            zeros = bytes(size)
            found = zeros if self.found is None else read(self.found + at, size)
            promised = zeros if self.promised is None else read(self.promised + at, size)
            # The last page of a file is zero behind its end.
            if found.ljust(size, b"\0") != promised.ljust(size, b"\0"):
                return True
        return False


def _problems(load: Segment, image: Image, memory: Memory) -> Iterator[Fault | _Suspect]:
    if load.filesz:
        yield from _file_problems(load, image, memory)
    if _gap(memory, load.file_vend, load.vend):
        yield _missing(load, load.file_vend)
    for piece in _pieces(memory, load.file_vend, load.vend):
        if piece.source is Source.FILE:
            offset = piece.start - piece.delta
            where = f"bss {piece.start:#x}-{piece.end:#x} of {name(load)}"
            message = (
                f"{where} holds file bytes from offset {offset:#x}, mapped for {_owner(image, piece)}, instead of zeros"
            )
            if memory.beyond_file(piece):
                message = f"{where} lies in pages beyond the end of the file, mapped for {_owner(image, piece)}"
                yield Fault("C8", Verdict.CRASHES, _both(load, piece), piece.start, message)
            else:
                fault = Fault("C8", Verdict.CORRUPTS, _both(load, piece), piece.start, message)
                yield _Suspect(fault, piece.end - piece.start, offset, None)


def _file_problems(load: Segment, image: Image, memory: Memory) -> Iterator[Fault | _Suspect]:
    if load.delta % memory.page_size:
        yield incongruent(load, memory.page_size, "other bytes are mapped instead", Verdict.CORRUPTS)
        return
    if load.file_end > image.size:
        touchable = load.file_end <= memory.file_limit
        yield beyond_end(load, image, Verdict.CORRUPTS if touchable else Verdict.CRASHES)
        return
    if _gap(memory, load.vaddr, load.file_vend):
        yield _missing(load, load.vaddr)
    for piece in _pieces(memory, load.vaddr, load.file_vend):
        promised, length = piece.start - load.delta, piece.end - piece.start
        where = f"bytes {piece.start:#x}-{piece.end:#x} of {name(load)}"
        if piece.source is Source.ZERO:
            message = f"{where} are wiped by the zero fill of {_owner(image, piece)}"
            fault = Fault("C9", Verdict.CORRUPTS, _both(load, piece), piece.start, message)
            yield _Suspect(fault, length, None, promised)
        elif piece.delta != load.delta:
            found = piece.start - piece.delta
            message = f"{where} are replaced by those at offset {found:#x}, mapped for {_owner(image, piece)}"
            fault = Fault("C6", Verdict.CORRUPTS, _both(load, piece), piece.start, message)
            if memory.beyond_file(piece):
                yield fault._replace(verdict=Verdict.CRASHES)
            else:
                yield _Suspect(fault, length, found, promised)


def audit_rights(image: Image, memory: Memory) -> Iterator[Fault]:
    """Yield C7: rights that a page shared by two LOADs has lost. For the time before RELRO is protected."""
    for load in image.loads:
        for piece in memory.within(load.vaddr, load.vend):
            if load.flags & ~piece.rights:
                yield Fault(
                    "C7",
                    Verdict.CRASHES,
                    _both(load, piece),
                    piece.start,
                    f"bytes {piece.start:#x}-{piece.end:#x} of {name(load)} have the rights of {_owner(image, piece)}",
                )


def protect_relro(image: Image, memory: Memory, *, round_up: bool) -> Iterator[Fault]:
    """Protect RELRO as glibc and musl do (the last one, end rounded down) or bionic (each, rounded up), and audit the
    rights.

    Yields C11, C12 and C14. Expects that `audit_rights` found nothing.
    """
    page = memory.page_size
    dynamic = image.first(c.PT_DYNAMIC)
    relros = image.of_type(c.PT_GNU_RELRO)
    for relro in relros if round_up else relros[-1:]:
        start, end = down(relro.vaddr, page), (up if round_up else down)(relro.vend, page)
        if start < end and not memory.protect(start, end, c.PF_R):
            yield Fault(
                "C14",
                Verdict.REJECTED,
                (relro.index,),
                end - page,
                f"RELRO {relro.vaddr:#x}-{relro.vend:#x} covers pages {start:#x}-{end:#x}, which are not all mapped",
            )
            return
        # mold's RELRO begins where `.tbss` would, for its alignment some bytes inside `.dynamic`: all of that is meant.
        begin = dynamic.vaddr if dynamic and dynamic.vaddr <= relro.vaddr < dynamic.vend else relro.vaddr
        for load in image.loads:
            # Rights are given up on purpose within RELRO: all but reading by the LOAD it belongs to, writing by any.
            given_up = c.PF_W | c.PF_X if load.vaddr <= relro.vaddr < load.vend else c.PF_W
            before = _stripped(memory, max(load.vaddr, start), min(load.vend, begin), load.flags)
            within = _stripped(memory, max(load.vaddr, begin), min(load.vend, relro.vend), load.flags & ~given_up)
            behind = _stripped(memory, max(load.vaddr, relro.vend), min(load.vend, end), load.flags)
            for rule, piece in (("C11", before or within), ("C12", behind)):
                if piece:
                    yield Fault(
                        rule,
                        Verdict.CRASHES,
                        (load.index, relro.index),
                        piece.start,
                        f"protecting RELRO {relro.vaddr:#x}-{relro.vend:#x} also makes bytes "
                        f"{piece.start:#x}-{piece.end:#x} "
                        f"of {name(load)} read-only",
                    )
        if any(piece.rights & c.PF_W for piece in memory.within(max(end, relro.vaddr), relro.vend)):
            yield weaker(relro, page)


def _pieces(memory: Memory, start: int, end: int) -> Iterator[Piece]:
    """The pieces between two addresses, each either within the file's pages or beyond them."""
    for piece in memory.within(start, end):
        limit = memory.file_limit + piece.delta
        if piece.source is Source.FILE and piece.start < limit < piece.end:
            yield piece._replace(end=limit)
            yield piece._replace(start=limit)
        else:
            yield piece


def _stripped(memory: Memory, start: int, end: int, needed: int) -> Piece | None:
    return next((piece for piece in memory.within(start, end) if needed & ~piece.rights), None)


def _gap(memory: Memory, start: int, end: int) -> bool:
    return sum(piece.end - piece.start for piece in memory.within(start, end)) < max(0, end - start)


def _missing(load: Segment, address: int) -> Fault:
    return Fault("C4", Verdict.CRASHES, (load.index,), address, f"{name(load)} is not mapped whole")


def _both(load: Segment, piece: Piece) -> tuple[int, ...]:
    return (load.index,) if piece.owner == load.index else (load.index, piece.owner)


def _owner(image: Image, piece: Piece) -> str:
    return name(image.segments[piece.owner])
