"""Parts of the memory image: the LOAD segments, cut where RELRO ends.

RELRO protects whole pages. To protect fully at a larger page size, what follows it must start on a page of its own:
either the LOAD is cut there, or it moves as a whole until RELRO ends on a page boundary.
"""

from __future__ import annotations

from itertools import pairwise, zip_longest

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, Segment
from pagefit.elf.sections import ElfFile
from pagefit.errors import InputError
from pagefit.realign.moves import UNIT
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Part(NamedTuple):
    """The addresses `start <= x < end` of one LOAD (original addresses); those before `file_end` have file bytes.

    `relro` tells that RELRO protects the part. `relro_end` is where RELRO ends inside a part that was not cut.
    `constants` tells that the part has no code, though its LOAD may be executable.
    """

    load: Segment
    start: int
    file_end: int
    end: int
    relro: bool
    relro_end: int | None = None
    constants: bool = False

    @property
    def offset(self) -> int:
        """The file offset of the first byte, in the original."""
        return self.start - self.load.delta

    @property
    def flags(self) -> int:
        """The rights, as p_flags."""
        return self.load.flags & ~c.PF_X if self.constants else self.load.flags

    @property
    def writable(self) -> bool:
        """Whether the part is mapped writable."""
        return bool(self.flags & c.PF_W)

    @property
    def executable(self) -> bool:
        """Whether the part is mapped executable."""
        return bool(self.flags & c.PF_X)


def check(file: ElfFile) -> None:
    """Raise InputError unless a linker can have made the segments: bytes in the file, and no overlap."""
    image = file.image
    for segment in image.segments:
        if segment.file_end > image.size or segment.vend > 1 << image.header.bits:
            raise InputError(
                f"program header {segment.index} reaches out of the file or address space", where=file.where
            )
    loads = sorted((load for load in image.loads if load.memsz), key=lambda load: load.vaddr)
    for load in loads:
        if load.filesz > load.memsz:
            raise InputError(f"LOAD {load.index} has more bytes in the file than in memory", where=file.where)
    for before, after in pairwise(loads):
        if before.vend > after.vaddr:
            raise InputError(f"LOADs {before.index} and {after.index} overlap", where=file.where)


def parts(image: Image, *, cut: bool) -> tuple[Part, ...]:
    """The parts of an image, by address; with `cut`, LOADs are divided where RELRO ends (on a 4 KiB boundary)."""
    loads = sorted((load for load in image.loads if load.memsz), key=lambda load: load.vaddr)
    relro = image.first(c.PT_GNU_RELRO)
    return tuple(part for load in loads for part in _of_load(load, relro, cut))


def constants_apart(file: ElfFile, parts: Sequence[Part], page: int) -> tuple[Part, ...]:
    """The parts, with that before RELRO divided where the page (of `page` bytes) starts which RELRO starts in.

    Only when there is no code behind that place: linkers put constants behind code into one executable segment.
    """
    found: list[Part] = []
    for part, following in zip_longest(parts, parts[1:]):
        place = following.start & -page if following and following.relro else 0
        code = max((s.end for s in file.executable if part.start <= s.addr < part.end), default=part.start)
        if part.executable and code <= place < part.file_end == part.end:
            found.append(part._replace(end=place, file_end=place))
            found.append(part._replace(start=place, constants=True))
        else:
            found.append(part)
    return tuple(found)


def _of_load(load: Segment, relro: Segment | None, cut: bool) -> Iterator[Part]:
    whole = Part(load, load.vaddr, load.file_vend, load.vend, False)
    if relro is None or not relro.memsz or relro.vend <= load.vaddr or load.vend <= relro.vaddr:
        yield whole
        return
    edges = [edge for edge in (relro.vaddr, relro.vend) if load.vaddr < edge < load.vend]
    if not edges:
        yield Part(load, load.vaddr, load.file_vend, load.vend, True)
        return
    if not cut or any(edge % UNIT for edge in edges):
        yield Part(load, load.vaddr, load.file_vend, load.vend, False, relro.vend)
        return
    bounds = [load.vaddr, *edges, load.vend]
    for start, end in pairwise(bounds):
        protected = relro.vaddr <= start and end <= relro.vend
        yield Part(load, start, max(start, min(end, load.file_vend)), end, protected)
