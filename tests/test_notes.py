"""Build-ids are what readelf says they are, in every ELF class and byte order."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest

from pagefit.containers.member import open_file
from pagefit.elf import constants as c
from pagefit.elf.headers import Image, read_image
from pagefit.elf.notes import build_id
from support import lab


def read(data: bytes) -> str | None:
    return build_id(image(data), lambda offset, length: data[offset : offset + length])


def image(data: bytes) -> Image:
    return read_image(lambda offset, length: data[offset : offset + length], len(data))


@pytest.mark.parametrize("arch", ["aarch64", "i386", "mips", "ppc64le", "x86_64"])
@pytest.mark.parametrize("wanted", ["sha1", "0x0123456789abcdef", "none"])
def test_it_is_what_readelf_says(arch: str, wanted: str, tmp_path: Path) -> None:
    library = lab.build(arch, tmp_path / "x.so", "int x = 1;", flags=["-shared", f"-Wl,--build-id={wanted}"])
    text = subprocess.check_output(["readelf", "-nW", library], text=True)
    said = re.search(r"Build ID: (\w+)", text)
    assert read(library.read_bytes()) == (said and said[1])
    assert bool(said) == (wanted != "none")


def test_notes_in_words_of_eight_bytes_are_stepped_over(tmp_path: Path) -> None:
    source = """
    .section .note.gnu.property, "a", @note
    .balign 8
    .long 4, 16, 5; .asciz "GNU"
    .long 0xc0000002, 4, 3, 0
    .section .note.other, "a", @note
    .balign 8
    .long 4, 3, 3; .asciz "GNU"
    .byte 1, 2, 3, 0, 0, 0, 0, 0
    """
    (tmp_path / "x.s").write_text(source)
    flags = ["-shared", "-nostdlib", "-Wl,--build-id=none"]
    subprocess.run(["gcc", *flags, "-o", "x.so", "x.s"], cwd=tmp_path, check=True)
    text = subprocess.check_output(["readelf", "-nW", tmp_path / "x.so"], text=True)
    assert "Build ID: 010203" in text
    data = (tmp_path / "x.so").read_bytes()
    assert 8 in {segment.align for segment in image(data).of_type(c.PT_NOTE)}
    assert read(data) == "010203"


@pytest.mark.parametrize(("offset", "size"), [(None, 1 << 60), (None, 13), (1 << 63, 64), (None, 1 << 63)])
def test_a_damaged_segment_has_none(offset: int | None, size: int, tmp_path: Path) -> None:
    library = lab.build("aarch64", tmp_path / "x.so", "int x = 1;", flags=["-shared", "-Wl,--build-id"])
    data = bytearray(library.read_bytes())
    for number, segment in enumerate(image(bytes(data)).segments):
        if segment.type == c.PT_NOTE:
            struct.pack_into("<Q", data, 64 + 56 * number + 8, segment.offset if offset is None else offset)
            struct.pack_into("<Q", data, 64 + 56 * number + 32, size)
    library.write_bytes(data)
    file = open_file(library)
    found = build_id(read_image(file.read_at, file.size), file.read_at)
    assert (found is None) == (offset is not None or size < 1 << 60)
