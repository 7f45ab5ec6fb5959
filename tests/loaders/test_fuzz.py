"""Whatever a file's headers say, there is a verdict or a sentence: no traceback, no minute, no gigabyte."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagefit.elf import constants as c
from pagefit.elf.headers import MAX_PROGRAM_HEADERS, read_image
from pagefit.errors import InputError
from pagefit.loaders.judge import judge
from support.elfs import Elf, R, Seg, W, X, load, reader, relro

BASE = Elf(
    (
        load(R | X, 0, 0, 0x8000),
        load(R | W, 0xFE00, 0x1FE00, 0x800, 0x2000),
        relro(0xFE00, 0x1FE00, 0x200),
        Seg(c.PT_DYNAMIC, R | W, 0xFF00, 0x1FF00, 0x80, 0x80, 8),
        Seg(c.PT_INTERP, R, 0x300, 0x300, 16, 16, 1),
        Seg(c.PT_NOTE, R, 0x400, 0x400, 0x40, 0x40, 4),
        Seg(c.PT_PHDR, R, 64, 64, 0x188, 0x188, 8),
    ),
    0x11000,
)
EXTREMES = [
    0,
    1,
    2,
    3,
    7,
    255,
    0xFFF,
    0x1000,
    0x7FFF,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0xFFFFFFFF,
    1 << 47,
    (1 << 63),
    (1 << 64) - 1,
]  #: Judged at every size at once, some of them unusual.
SIZES = [4096, 8192, 65536, 1 << 21, 1 << 30]


#: Seconds of CPU a hostile file may cost; measuring coverage multiplies what Python code costs.
LIMIT = 1 if sys.gettrace() is None else 10


def survives(data: bytes) -> None:
    started = time.process_time()
    try:
        image = read_image(reader(data), len(data), where="x.so")
    except InputError as error:
        image, sentence = None, str(error)
    if image is None:
        assert sentence.startswith("x.so: ")
        return
    for sizes in (None, SIZES):
        judgement = judge(image, reader(data), page_sizes=sizes)
        assert all(finding.message and finding.rule for finding in judgement.findings)
    assert time.process_time() - started < LIMIT


def fields(bits: int) -> list[tuple[int, int]]:
    """(offset, size) of every field of the ELF header and the program headers."""
    header = ("HHIQQQIHHHHHH", "HHIIIIIHHHHHH")[bits == 32]
    phdr = ("IIQQQQQQ", "IIIIIIII")[bits == 32]
    at, found = 16, [(i, 1) for i in range(16)]
    for letter in header + phdr * len(BASE.segments):
        found.append((at, struct.calcsize("<" + letter)))
        at += found[-1][1]
    return found


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_every_field_with_every_extreme(bits: int, byteorder: str) -> None:
    data = BASE.replace(bits=bits, byteorder=byteorder, machine={32: 8, 64: 183}[bits]).data()
    endian = "<" if byteorder == "little" else ">"
    for offset, size in fields(bits):
        for value in EXTREMES:
            mutated = bytearray(data)
            packed = struct.pack(endian + "Q", value & ((1 << 8 * size) - 1))
            mutated[offset : offset + size] = packed[:size] if endian == "<" else packed[8 - size :]
            survives(bytes(mutated))


def test_every_truncation() -> None:
    data = BASE.data()
    for length in [*range(600), 0x7FFF, 0x8000, 0xFDFF, 0x10000, 0x105FF]:
        survives(data[:length])


fields_of_segments = st.sampled_from(EXTREMES) | st.integers(0, 1 << 20) | st.integers(0, (1 << 64) - 1)
segments = st.builds(
    Seg,
    st.sampled_from([1, 1, 1, 2, 3, 4, 6, 7, c.PT_GNU_RELRO]),
    st.integers(0, 7),
    *[fields_of_segments] * 5,
)


@given(st.lists(segments, max_size=8), st.sampled_from([2, 3]), st.sampled_from([0, 1, 0x1000]), st.integers(0, 5))
@settings(max_examples=300, deadline=None)
def test_any_segments(made: list[Seg], e_type: int, entry: int, filler: int) -> None:
    survives(Elf(tuple(made), 0x3000, type=e_type, entry=entry, filler=filler).data())


@pytest.mark.parametrize("memsz", [0x10, 0x1010])
@pytest.mark.parametrize("rights", [R | W, R | X])
def test_thousands_of_segments(memsz: int, rights: int) -> None:
    """The worst for the simulation: every page shared, bss in every one, all congruent."""
    many = tuple(load(rights, 0, 0x1000 * i, 0x10, memsz, 0x1000) for i in range(MAX_PROGRAM_HEADERS))
    survives(Elf(many, 0x80000, machine=183).data())


def test_a_huge_sparse_file_is_not_read(tmp_path: Path) -> None:
    """bss of gigabytes behind a file of gigabytes: 64 MiB and a second must do."""
    size = 8 << 30
    elf = Elf((load(R | W, 0, 0, 0x1000, 4 << 30), load(R | W, 0x1000, (4 << 30) + 0x1000, size - 0x1000)), 0x1000)
    path = tmp_path / "huge.so"
    with open(path, "wb") as file:
        file.write(elf.data())
        file.truncate(size)
    # VmHWM, for ru_maxrss starts with what the parent had when it forked.
    code = (
        "import sys, time; from pagefit.cli.main import main;"
        "status = main(['check', '--page-size', '2M', sys.argv[1]]);"
        "print(status, time.process_time(), open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    folder = Path(__file__).resolve().parents[2] / "plugin"
    command = [sys.executable, "-c", code, path]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(folder)}, check=True)
    status, seconds, kilobytes = done.stdout.splitlines()[-1].split()
    assert int(status) in (0, 1)
    assert float(seconds) < 1
    assert int(kilobytes) < 64 << 10
