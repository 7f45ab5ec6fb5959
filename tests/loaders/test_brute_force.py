"""The judge agrees with a page-by-page simulation of every loader, on files nobody would link."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pagefit.elf import constants as c
from pagefit.loaders.judge import _outcomes
from pagefit.loaders.loader import (
    BIONIC,
    GLIBC_NEW,
    GLIBC_OLD,
    KERNEL,
    KERNEL_FOR_BIONIC,
    KERNEL_FOR_MUSL,
    MUSL,
    Loader,
)
from pagefit.loaders.plain import is_plain
from pagefit.loaders.simulate import simulate
from pagefit.loaders.verdict import Verdict
from support.bruteforce import CELL, File, Load, run
from support.elfs import Elf, load, reader, relro

PAGE_SIZES = (4096, 16384, 65536)
LOADERS = (GLIBC_OLD, GLIBC_NEW, MUSL, BIONIC, KERNEL)
#: What meets programs at fixed addresses, and where those begin: below what the kernel allows, just there, and above.
KERNELS = (KERNEL, KERNEL_FOR_MUSL, KERNEL_FOR_BIONIC)
BASES = (0, 0x8000, 0x10000, 0x400000)
OUTCOMES = {
    "rejected": Verdict.REJECTED,
    "corrupts": Verdict.CORRUPTS,
    "crashes": Verdict.CRASHES,
    "weaker": Verdict.RELRO_WEAKER,
    "fits": Verdict.FITS,
}

sizes = st.one_of(st.integers(0, 12), st.integers(0, 150))
#: Distances between LOADs in cells: none, within a page, or rounded up to some page size.
steps = st.sampled_from([("gap", 0), ("gap", 1), ("gap", 5), ("page", 4), ("page", 16), ("page", 64), ("same", 64)])
aligns = st.sampled_from([1, 4096, 16384, 65536, 65536, 65536, 1 << 21])


@st.composite
def files(draw: st.DrawFn) -> File:
    loads: list[Load] = []
    address = offset = draw(st.sampled_from([0, 0, 0, 4, 7, 64]))
    for _ in range(draw(st.integers(1, 4))):
        filesz = draw(sizes)
        bss = draw(st.one_of(st.just(0), sizes))
        loads.append(Load(draw(st.sampled_from([4, 5, 6, 6, 7])), offset, address, filesz, filesz + bss, draw(aligns)))
        offset += filesz
        address += filesz + bss
        kind, cells = draw(steps)
        if kind == "gap":
            address += cells
            offset += draw(st.sampled_from([cells, cells, 0, 2]))
        else:
            address = -(-address // cells) * cells + (offset % cells if kind == "same" else 0)
            if kind == "page":
                # The next offset congruent to the address, as linkers do.
                offset += (address - offset) % cells
    cut = draw(st.sampled_from([0, 0, 0, 0, 1, 70]))
    length = max(max(x.off + x.filesz for x in loads) + draw(st.sampled_from([0, 0, 3, 100])) - cut, 1)
    values = draw(st.lists(st.sampled_from([0, 1, 2, 3]), min_size=length, max_size=length))
    values[0] = 7  # the headers
    protected = None
    if draw(st.booleans()):
        inside = draw(st.sampled_from(loads))
        start = inside.va + draw(st.sampled_from([0, 0, 0, 1, 5]))
        protected = (start, start + draw(st.integers(0, 80)))
    return File(values, loads, protected)


def as_elf(file: File, elf_type: int = c.ET_DYN, base: int = 0) -> Elf:
    segments = [
        load(x.flags, x.off * CELL, base + x.va * CELL, x.filesz * CELL, x.memsz * CELL, x.align) for x in file.loads
    ]
    if file.relro:
        start, end = file.relro
        segments.append(relro(0, base + start * CELL, (end - start) * CELL))
    content = {place * CELL: bytes([value]) * CELL for place, value in enumerate(file.cells)}
    headers = Elf(tuple(segments), CELL, type=elf_type).data()
    return Elf(tuple(segments), len(file.cells) * CELL, type=elf_type, content={**content, 0: headers})


def compared(file: File) -> Iterator[tuple[Loader, int, str, Verdict, list[str]]]:
    elf = as_elf(file)
    data = elf.data()
    image = elf.image()
    for loader, page_size in itertools.product(LOADERS, PAGE_SIZES):
        faults = simulate(image, reader(data), page_size, loader)
        verdict = max((fault.verdict for fault in faults), default=Verdict.FITS)
        yield loader, page_size, run(loader.name, file, page_size), verdict, [str(fault) for fault in faults]


def agrees(file: File) -> None:
    pairs = itertools.pairwise(file.loads)
    assume(all(before.va + before.memsz <= after.va or not after.memsz for before, after in pairs))
    for loader, page_size, seen, verdict, faults in compared(file):
        assert verdict is OUTCOMES[seen], (loader.name, page_size, seen, verdict, faults)


def plain_is_sound(file: File) -> None:
    elf = as_elf(file)
    data = elf.data()
    image = elf.image()
    for loader, page_size in itertools.product(LOADERS, PAGE_SIZES):
        if is_plain(image, page_size, relro_rounds_up=loader.relro_rounds_up):
            quick = _outcomes(image, reader(data), [loader], [page_size])[loader.name, page_size][0]
            assert quick is OUTCOMES[run(loader.name, file, page_size)], (loader.name, page_size, quick)
    for base, loader, page_size in itertools.product(BASES, KERNELS, PAGE_SIZES):
        program = as_elf(file, c.ET_EXEC, base)
        if is_plain(program.image(), page_size, relro_rounds_up=loader.relro_rounds_up):
            read = reader(program.data())
            quick = _outcomes(program.image(), read, [loader], [page_size])[loader.name, page_size]
            faults = simulate(program.image(), read, page_size, loader)
            assert quick[0] is max((fault.verdict for fault in faults), default=Verdict.FITS), (loader, page_size)


@given(files())
@settings(max_examples=150, deadline=None)
@example(File([7] * 9, [Load(5, 0, 0, 8, 8, 65536), Load(6, 8, 8, 1, 1, 65536)], None))
def test_the_judge_agrees_with_brute_force(file: File) -> None:
    agrees(file)
    plain_is_sound(file)


@pytest.mark.slow
@given(files())
@settings(max_examples=3000, deadline=None)
def test_the_judge_agrees_with_brute_force_at_length(file: File) -> None:
    agrees(file)
    plain_is_sound(file)


def test_the_random_files_meet_every_outcome_and_the_quick_way() -> None:
    """Otherwise the comparison above would compare nothing."""
    seen: set[tuple[str, str]] = set()
    quick: Counter[int] = Counter()

    @given(files())
    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    def collect(file: File) -> None:
        for loader, page_size in itertools.product(LOADERS, PAGE_SIZES):
            seen.add((loader.name, run(loader.name, file, page_size)))
        for program in (as_elf(file), as_elf(file, c.ET_EXEC, BASES[-1])):
            quick[program.type] += any(is_plain(program.image(), size, relro_rounds_up=False) for size in PAGE_SIZES)

    collect()
    wanted = {
        (name, outcome) for name in ("glibc>=2.35", "musl", "kernel") for outcome in ("corrupts", "crashes", "fits")
    }
    assert wanted <= seen
    assert min(quick[c.ET_DYN], quick[c.ET_EXEC]) > 3
