"""New LOAD segments for parts that have been placed.

Parts glued together lie in one run of pages. Where they share a page it gets the rights of both; every other page
keeps its own. Neighbouring pages with the same rights are one LOAD: so R + RX + R stay three LOADs when they are large,
of which only the shared pages are more executable than before, and become one when all of them fit in one page.
"""

from __future__ import annotations

from itertools import pairwise

from pagefit.elf.headers import Segment
from pagefit.realign.place import Placed, down, up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def groups(placed: Sequence[Placed]) -> list[list[Placed]]:
    """The runs of parts glued together."""
    runs: list[list[Placed]] = []
    for one in placed:
        if one.glued:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def group_file_end(group: Sequence[Placed]) -> int:
    """The new address behind the last file byte of a group; what lies before it in memory has bytes in the file."""
    return max((one.file_end for one in group if one.file_end > one.start), default=group[0].start)


def loads(placed: Sequence[Placed], page: int) -> list[Segment]:
    """The LOAD segments of a placement, ascending, for pages of `page` bytes."""
    return [load for group in groups(placed) for load in _of_group(group, page)]


def _of_group(group: Sequence[Placed], page: int) -> Iterator[Segment]:
    first = group[0]
    end, file_end = max(one.end for one in group), group_file_end(group)
    for low, high, flags in _runs(group, page):
        start, stop = max(low, first.start), min(high, end)
        yield first.part.load._replace(
            flags=flags,
            offset=start - first.bias,
            vaddr=start,
            paddr=start if first.part.load.paddr == first.part.load.vaddr else first.part.load.paddr,
            filesz=max(0, min(stop, file_end) - start),
            memsz=stop - start,
            align=_align(group, first.bias, page),
        )


def _runs(group: Sequence[Placed], page: int) -> list[tuple[int, int, int]]:
    """(first address, address behind, rights) of each run of pages with the same rights."""
    spans = [(down(one.start, page), up(max(one.end, one.start + 1), page), one.part.flags) for one in group]
    edges = sorted({edge for low, high, _ in spans for edge in (low, high)})
    runs: list[tuple[int, int, int]] = []
    for low, high in pairwise(edges):
        flags = 0
        for start, stop, rights in spans:
            if start < high and low < stop:
                flags |= rights
        if runs and runs[-1][2] == flags:
            low = runs.pop()[0]
        runs.append((low, high, flags))
    return runs


def _align(group: Sequence[Placed], bias: int, page: int) -> int:
    # The linker's own p_align stays when it is larger and still holds: it may promise an alignment to a section.
    largest = max(one.part.load.align for one in group)
    return largest if largest > page and bias % largest == 0 else page
