"""Zip archives: the walk sees the ELF files that `zipfile` and `readelf` see, and survives what is broken."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagefit.containers.walk import walk
from pagefit.errors import InputError
from support import packages
from support.zips import ELF, patched, zip_of


def names(path: Path) -> list[str]:
    return [member.path.removeprefix(f"{path}!") for member in walk(path)]


@pytest.fixture
def write(tmp_path: Path):
    def write(data: bytes, name: str = "a.zip") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.mark.network
def test_a_published_wheel_has_the_elf_files_that_zipfile_finds() -> None:
    path = packages.numpy_damaged()
    with zipfile.ZipFile(path) as archive:
        expected = {info.filename: archive.read(info) for info in archive.infolist()}
    expected = {name: data for name, data in expected.items() if data[:4] == b"\x7fELF"}
    seen = {}
    for member in walk(path):
        end = member.read_at(member.size - 100, 200)
        start = member.read_at(0, 4096)
        middle = member.read_at(member.size // 2, 1000)
        whole = member.read_at(0, member.size)
        assert (whole[:4096], whole[-100:]) == (start, end)
        assert whole[member.size // 2 :][:1000] == middle
        seen[member.path.removeprefix(f"{path}!")] = whole
    assert seen == expected
    assert len(seen) == 21


@pytest.mark.network
def test_reading_headers_of_a_wheel_costs_little_memory() -> None:
    path = packages.numpy_damaged()
    tracemalloc.start()
    for member in walk(path):
        member.read_at(0, 4096)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20


def test_info_zip_and_zip64_and_data_descriptors_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.so").write_bytes(ELF * 50)
    subprocess.run(["zip", "-q", "-fd", "-fz-", "plain.zip", "x.so"], cwd=tmp_path, check=True)
    subprocess.run("cat x.so | zip -q -fz streamed.zip -", shell=True, cwd=tmp_path, check=True)
    for name in ("plain.zip", "streamed.zip"):
        [member] = walk(tmp_path / name)
        assert member.read_at(0, 99999) == ELF * 50


def test_stored_members_tell_where_their_data_lie(write) -> None:
    path = write(zip_of({"lib/arm64-v8a/a.so": ELF}, zipfile.ZIP_STORED))
    [member] = walk(path)
    assert member.stored_offset is not None
    assert path.read_bytes()[member.stored_offset :][: len(ELF)] == ELF


def test_relocatable_objects_and_core_dumps_are_left_out(write) -> None:
    kinds = {kind: ELF[:16] + bytes([kind, 0]) + ELF[18:] for kind in (1, 2, 3, 4)}
    path = write(zip_of({f"{kind}": data for kind, data in kinds.items()}))
    assert names(path) == ["2", "3"]


def test_an_archive_with_something_in_front_is_read(write) -> None:
    assert names(write(b"#!/bin/sh\n" + zip_of({"a.so": ELF}))) == []  # a script, says its first byte
    assert names(write(zip_of({"b.so": ELF}) + zip_of({"a.so": ELF}))) == ["a.so"]


BROKEN = {
    "empty after its first signature": b"PK\3\4",
    "cut off": zip_of({"a.so": ELF})[:-30],
    "bytes behind the end": zip_of({"a.so": ELF}) + b"?",
    "directory size too large": patched(zip_of({"a": ELF}), b"PK\5\6", 12, "<L", 1 << 20),
    "directory size off by one": patched(zip_of({"a": ELF}), b"PK\5\6", 12, "<L", 49),
    "count too large": patched(zip_of({"a": ELF}), b"PK\5\6", 10, "<H", 7),
    "count too small": patched(zip_of({"a": ELF, "b": ELF}), b"PK\5\6", 10, "<H", 1),
    "second disk": patched(zip_of({"a": ELF}), b"PK\5\6", 4, "<H", 1),
    "member on another disk": patched(zip_of({"a": ELF}), b"PK\1\2", 34, "<H", 2),
    "zip64 field missing": patched(zip_of({"a": ELF}), b"PK\1\2", 24, "<L", 0xFFFFFFFF),
    "member behind the directory": patched(zip_of({"a": ELF}), b"PK\1\2", 42, "<L", 9999),
    "overlap": patched(zip_of({"a": ELF, "b": ELF}), b"PK\1\2", 42, "<L", 5),
    "name is not UTF-8": patched(patched(zip_of({"a": ELF}), b"PK\1\2", 8, "<H", 0x800), b"PK\1\2", 46, "B", 0xFF),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_archive_is_one_clear_error(broken: str, write) -> None:
    path = write(BROKEN[broken])
    with pytest.raises(InputError, match=r"a\.zip: .+\. Fetch or build"):
        list(walk(path))


UNREADABLE = {
    "encrypted": patched(zip_of({"a.so": ELF}), b"PK\1\2", 8, "<H", 1),
    "method 99": patched(zip_of({"a.so": ELF}), b"PK\1\2", 10, "<H", 99),
    "local header missing": b"PK??".join(zip_of({"x": b"", "a.so": ELF}).rsplit(b"PK\3\4", 1)),
    "another name": patched(zip_of({"a.so": ELF}), b"PK\3\4", 30, "B", ord("b")),
    "damaged data": patched(zip_of({"a.so": ELF}), b"PK\3\4", 34, "<L", 0xFFFFFFFF),
    "stored sizes differ": patched(zip_of({"a.so": ELF}, zipfile.ZIP_STORED), b"PK\1\2", 24, "<L", 63),
}


@pytest.mark.parametrize("broken", UNREADABLE)
def test_a_member_that_cannot_be_read_does_not_hide_its_neighbours(broken: str, write) -> None:
    members = list(walk(write(UNREADABLE[broken])))
    assert [member.path.rpartition("!")[2] for member in members] == ["a.so"]
    with pytest.raises(InputError, match=r"a\.zip!a\.so: "):
        members[0].read_at(0, 64)


def test_a_local_header_with_a_longer_name_is_another_members(write) -> None:
    [member] = walk(write(patched(zip_of({"a.so": ELF}), b"PK\3\4", 26, "<H", 5)))
    with pytest.raises(InputError, match="another name"):
        member.read_at(0, 64)


def test_small_members_side_by_side_need_no_read_each(write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(zip_of({f"{number}.h": b"#pragma once\n" * 9 for number in range(200)} | {"a.so": ELF}))
    reads: list[int] = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *arguments: reads.append(1) or pread(*arguments))
    assert [member.names[-1] for member in walk(path)] == ["a.so"]
    assert len(reads) < 20


def test_what_follows_damage_in_an_archive_within_is_seen(write) -> None:
    members = {"b.so": ELF + os.urandom(40_000), "c": b"c" * 9, "a.so": ELF}
    damaged = patched(zip_of({"x.whl": zip_of(members, zipfile.ZIP_STORED)}), b"PK\1\2", 16, "<L", 1)
    found = [member for member in walk(write(damaged)) if member.size]
    assert [member.names[1:] for member in found] == [("x.whl", "b.so"), ("x.whl", "a.so")]
    assert found[1].read_at(0, 64) == ELF


@pytest.mark.parametrize("filling", [100, 15_700, 15_900, 16_100, 16_300, 16_400, 33_000])
def test_long_extra_fields_hide_no_member_wherever_it_lies(filling: int, write) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", os.urandom(filling))
        info = zipfile.ZipInfo("a.so")
        info.extra = b"\x99\x99" + (800).to_bytes(2, "little") + bytes(800)
        archive.writestr(info, ELF)
    [member] = walk(write(buffer.getvalue()))
    assert member.read_at(0, 64) == ELF


@pytest.mark.parametrize(("field", "layout", "value"), [(16, "<L", 1), (24, "<L", 63), (24, "<L", 9999)])
def test_wrong_checksums_and_sizes_are_seen_when_the_whole_member_is_read(field, layout, value, write) -> None:
    [member] = walk(write(patched(zip_of({"a.so": ELF}), b"PK\1\2", field, layout, value)))
    for _ in range(2):
        with pytest.raises(InputError, match=r"checksum|declares"):
            member.read_at(0, 1 << 20)


def test_a_bomb_costs_no_more_than_was_asked_for(write) -> None:
    path = write(zip_of({"bomb.so": ELF + bytes(1 << 28)}))
    tracemalloc.start()
    [member] = walk(path)
    assert member.read_at(0, 4096).startswith(ELF)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_large_member_is_not_kept_in_memory(write) -> None:
    path = write(zip_of({"large.so": ELF + bytes(1 << 26) + b"end"}))
    tracemalloc.start()
    [member] = walk(path)
    assert member.read_at(member.size - 3, 3) == b"end"
    assert member.read_at(0, 64) == ELF
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


@given(st.binary(max_size=300))
def test_any_bytes_give_members_or_a_clear_error(tail: bytes) -> None:
    from pagefit.containers.member import Member
    from pagefit.containers.zipdirectory import read_directory

    data = io.BytesIO(b"PK\3\4" + tail)
    size = len(data.getvalue())

    def read_at(offset: int, length: int) -> bytes:
        data.seek(offset)
        return data.read(length)

    with pytest.raises(InputError):
        read_directory(Member(("x",), size, read_at))


ARCHIVE = zip_of({"a.so": ELF, "b/c.py": b"print()" * 9})


@given(st.integers(0, len(ARCHIVE) - 1), st.integers(0, 255), st.integers(0, len(ARCHIVE)))
def test_one_changed_byte_or_a_lost_tail_is_no_traceback(at: int, value: int, cut: int) -> None:
    for data in (ARCHIVE[:at] + bytes([value]) + ARCHIVE[at + 1 :], ARCHIVE[:cut]):
        with tempfile.NamedTemporaryFile() as file, contextlib.suppress(InputError):
            file.write(data)
            file.flush()
            for member in walk(Path(file.name)):
                member.read_at(0, member.size)
