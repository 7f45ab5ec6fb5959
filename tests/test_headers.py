"""The header reader agrees with readelf, and answers nonsense with a sentence."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pagefit.elf.headers import read_image
from pagefit.errors import InputError


def image_of(path: Path):
    data = path.read_bytes()
    return read_image(lambda offset, length: data[offset : offset + length], len(data), where=str(path))


def test_program_headers_equal_what_readelf_prints() -> None:
    path = Path(sys.executable).resolve()
    printed = subprocess.run(["readelf", "-lW", path], capture_output=True, text=True, check=True).stdout
    load = r"^  LOAD +0x(\w+) 0x(\w+) 0x(\w+) 0x(\w+) 0x(\w+) ([R ][W ][E ]) 0x(\w+)$"
    rows = re.findall(load, printed, re.MULTILINE)
    expected = [tuple(int(x, 16) for x in (*row[:5], row[6])) for row in rows]
    assert [(s.offset, s.vaddr, s.paddr, s.filesz, s.memsz, s.align) for s in image_of(path).loads] == expected
    assert expected


@pytest.mark.parametrize("length", [0, 3, 5, 15, 40, 63])
def test_a_cut_header_is_named(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.so"
    path.write_bytes(Path(sys.executable).resolve().read_bytes()[:length])
    with pytest.raises(InputError, match=r"cut\.so: (not an ELF file|the ELF header is cut off)"):
        image_of(path)
