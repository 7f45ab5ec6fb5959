"""Files: recognised by content, written whole or not at all, with their times; and what is refused, and why."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from pagefit.elf.headers import read_image
from pagefit.errors import ConfigError, PagefitError, Refused
from pagefit.guile import bytecode_version, is_guile, is_guile_2_0, realign, relink
from pagefit.guile.format import DT_GUILE_VM_VERSION, Version
from support.guiles import GUILES, VARIANTS, Guile, modules

Linked = dict[str, dict[int, Path]]


def recognised(data: bytes) -> bool:
    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    return is_guile(read_image(read, len(data)), read)


def patched(data: bytes, offset: int, fields: str, *values: int) -> bytes:
    copy = bytearray(data)
    struct.pack_into(fields, copy, offset, *values)
    return bytes(copy)


def with_version(data: bytes, major: int, minor: int) -> bytes:
    tag = struct.pack("<Q", DT_GUILE_VM_VERSION)
    assert data.count(tag) == 1
    return patched(data, data.index(tag) + 8, "<Q", major << 16 | minor)


def test_recognised_by_content_and_not_by_name(guile: Guile, linked: Linked, tmp_path: Path) -> None:
    for path in linked["work"].values():
        assert recognised(path.read_bytes())
    program = tmp_path / "named.go"
    subprocess.run(["gcc", "-shared", "-o", program, "-x", "c", "/dev/null"], check=True)
    assert not recognised(program.read_bytes())
    # The same ELF header, without Guile's version in .dynamic.
    assert not recognised(linked["work"][8].read_bytes().replace(struct.pack("<Q", DT_GUILE_VM_VERSION), bytes(8)))


def test_the_bytecode_version_is_the_one_guile_reports(guile: Guile, linked: Linked) -> None:
    data = linked["work"][4096].read_bytes()
    image = read_image(lambda offset, length: data[offset : offset + length], len(data))
    found = bytecode_version(image, lambda offset, length: data[offset : offset + length])
    assert found == {"3.0.8": Version(0x0300, 6), "2.2.7": Version(0x0202, 65)}[guile.full_version]


def test_guile_2_0_files_are_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "old.go"
    path.write_bytes(b"GOOF----LE-8-2.0" + bytes(100))
    assert is_guile_2_0(path.read_bytes())
    with pytest.raises(Refused, match=r"Guile 2\.0"):
        realign(path, path, 65536)
    assert path.read_bytes().startswith(b"GOOF----LE-8-2.0")


def test_times_and_mode_are_those_of_the_source(linked: Linked, tmp_path: Path) -> None:
    source, target = tmp_path / "a.go", tmp_path / "b.go"
    shutil.copy(linked["work"][4096], source)
    source.chmod(0o640)
    os.utime(source, ns=(1_600_000_000_123_456_789, 1_500_000_000_987_654_321))
    realigned = realign(source, target, 65536)
    assert target.stat().st_mtime_ns == 1_500_000_000_987_654_321
    assert target.stat().st_mode & 0o7777 == 0o640
    assert target.read_bytes() == linked["work"][65536].read_bytes()
    assert realigned.new_size == target.stat().st_size
    assert realigned.summary.startswith("relinked for 64K")
    assert str(realigned.version) in str(realigned.provenance)


def test_in_place_and_unchanged_when_it_is_right_already(linked: Linked, tmp_path: Path) -> None:
    path = tmp_path / "a.go"
    shutil.copy(linked["work"][65536], path)
    realign(path, path, 65536)
    assert path.read_bytes() == linked["work"][65536].read_bytes()
    realign(path, path, 4096)
    assert path.read_bytes() == linked["work"][4096].read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_padding_takes_no_room_on_the_disk(tmp_path: Path) -> None:
    linked = GUILES[0].link_everywhere(tmp_path, [s for s in modules() if s.stem == "forty-two"])["forty-two"]
    target = tmp_path / "holes.go"
    realign(linked[4096], target, 65536)
    assert target.stat().st_size > 65536
    assert target.stat().st_blocks * 512 <= 16384


def test_a_refusal_leaves_everything_as_it_was(linked: Linked, tmp_path: Path) -> None:
    source, target = tmp_path / "a.go", tmp_path / "b.go"
    source.write_bytes(linked["work"][4096].read_bytes()[:-1])
    target.write_bytes(b"precious")
    with pytest.raises(PagefitError, match=r"a\.go"):
        realign(source, target, 65536)
    assert target.read_bytes() == b"precious"
    assert sorted(tmp_path.iterdir()) == [source, target]


@pytest.mark.parametrize("page_size", [0, 4, 5000, -4096, 1 << 40])
def test_only_powers_of_two_are_page_sizes(linked: Linked, page_size: int) -> None:
    with pytest.raises(ConfigError, match="not a page size"):
        relink(linked["forward"][4096].read_bytes(), page_size)


@pytest.mark.parametrize("target", [name for name in VARIANTS if "big" in name])
def test_what_stock_guile_miscompiles_for_the_other_byte_order_is_refused(
    guile: Guile, target: str, tmp_path: Path
) -> None:
    """Guile swaps the text's bytes before it patches labels into it: its jumps lead anywhere. Not ours to mend."""
    linked = guile.link_everywhere(tmp_path, modules(), VARIANTS[target], mended=False)
    for stem in ("forward", "keywords", "work"):
        with pytest.raises(Refused, match=r"opcode|leads to"):
            relink(linked[stem][4096].read_bytes(), 65536)


def test_an_unknown_format_is_refused(linked: Linked) -> None:
    data = linked["work"][4096].read_bytes()
    for version in ((0x0202, 8), (0x0202, 10), (0x0300, 1), (0x0400, 0)):
        with pytest.raises(Refused, match="not one that pagefit knows"):
            relink(with_version(data, *version), 65536)


def test_a_label_that_leads_into_the_padding_is_refused() -> None:
    path = GUILES[0].ccache / "ice-9/q.go"
    data = path.read_bytes()
    # The jit_data of the first function: instrument-entry is its first instruction.
    text = int.from_bytes(data[64 + 56 * 3 : 64 + 56 * 3 + 1], "little")
    assert text == 1, "the first opcode of the file is instrument-entry"
    with pytest.raises(Refused, match="jit_data"):
        relink(patched(data, 64 + 56 * 3 + 4, "<i", 0x2000), 4096)


@pytest.mark.parametrize(
    ("stem", "offset", "fields", "values", "reason"),
    [
        ("work", 0x3E, "<H", (0,), "shstrndx|section"),
        ("work", 64 + 4, "<I", (5,), "program headers"),
        ("work", 64 + 56 + 8, "<Q", (0x1008,), "file image and memory image|overlaps"),
        ("work", 64 + 56 + 40, "<Q", (1 << 20,), "file image"),
        ("work", 64 + 56 * 2 + 32, "<QQ", (8, 8), "dynamic|Guile object"),
    ],
)
def test_headers_that_guile_does_not_write_are_refused(
    linked: Linked, stem: str, offset: int, fields: str, values: tuple[int, ...], reason: str
) -> None:
    data = linked[stem][65536].read_bytes()
    with pytest.raises(PagefitError, match=reason):
        relink(patched(data, offset, fields, *values), 4096)


def test_something_hidden_in_the_padding_is_refused(linked: Linked) -> None:
    data = bytearray(linked["keywords"][65536].read_bytes())
    data[65535] = 1
    with pytest.raises(Refused, match="padding"):
        relink(bytes(data), 4096)
