"""Rewriting zip archives: what did not change is the same bytes, and every other zip reader agrees on the rest."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagefit.containers import threads
from pagefit.containers.ziprewrite import rewrite_zip
from pagefit.errors import InputError, OutputError, Refused
from support.limits import no_file_longer_than
from support.zips import ELF, patched, zip_of

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0:", exclude_categories=["Cc"]), min_size=1)
MEMBERS = st.dictionaries(
    NAMES.filter(lambda name: name not in (".", "..")), st.binary(max_size=600), min_size=1, max_size=8
)


def write_zip(path: Path, members: dict[str, bytes], stored: set[str], streamed: bool) -> None:
    """An archive with dates, attributes, comments and extra fields; data descriptors when `streamed`."""
    with path.open("wb") as file:
        if streamed:
            file.seekable = lambda: False
        with zipfile.ZipFile(file, "w") as archive:
            archive.comment = b"a comment"
            for index, (name, data) in enumerate(members.items()):
                info = zipfile.ZipInfo(name, (1999, 12, 31, 23, 58, 2 * index))
                info.external_attr = (0o100600 + index) << 16
                info.comment = f"comment {index}".encode()
                info.extra = struct.pack("<HHB", 0x9999, 1, index)
                info.compress_type = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
                archive.writestr(info, data)


def facts(path: Path) -> list[tuple[object, ...]]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return [
            (i.filename, i.date_time, i.external_attr, i.comment, i.extra, i.compress_type, archive.comment)
            for i in archive.infolist()
        ]


@settings(max_examples=50, deadline=None)
@given(MEMBERS, st.data(), st.booleans())
def test_replaced_members_change_and_nothing_else_does(members, data, streamed) -> None:
    stored = data.draw(st.sets(st.sampled_from(sorted(members))))
    new = data.draw(st.dictionaries(st.sampled_from(sorted(members)), st.binary(max_size=900)))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a.zip"), Path(folder, "b.zip")
        write_zip(source, members, stored, streamed)
        rewrite_zip(source, target, new)
        assert facts(target) == facts(source)
        with zipfile.ZipFile(target) as archive:
            assert {name: archive.read(name) for name in members} == {**members, **new}
        if not new:
            assert target.read_bytes() == source.read_bytes()
        rewrite_zip(target, target, {name: members[name] for name in new})
        with zipfile.ZipFile(target) as archive:
            assert {name: archive.read(name) for name in members} == members


def test_info_zip_agrees_and_its_own_archives_survive(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.so").write_bytes(ELF * 99)
    (tmp_path / "d" / "b.txt").write_bytes(b"text " * 99)
    (tmp_path / "new").write_bytes(b"new")
    for name, options in {"plain": "-r", "zip64": "-r -fz", "descriptors": "-r -fd", "stored": "-r -0"}.items():
        source = tmp_path / f"{name}.zip"
        subprocess.run(f"zip -q {options} {source} d", shell=True, cwd=tmp_path, check=True)
        rewrite_zip(source, tmp_path / "same.zip", {})
        assert (tmp_path / "same.zip").read_bytes() == source.read_bytes()
        rewrite_zip(source, tmp_path / "new.zip", {"d/a.so": tmp_path / "new"})
        subprocess.run(["unzip", "-tqq", tmp_path / "new.zip"], check=True)
        with zipfile.ZipFile(tmp_path / "new.zip") as archive:
            assert archive.read("d/a.so") == b"new"
            assert archive.read("d/b.txt") == b"text " * 99


def test_names_that_are_no_utf_8_stay_as_they_are(tmp_path: Path) -> None:
    source, raw = tmp_path / "old.zip", bytes(range(0x80, 0x100)) + b".so"
    ascii_name = f"{'x' * 0x80}.so"
    content = zip_of({ascii_name: b"old", "b": b"b"})
    source.write_bytes(content.replace(ascii_name.encode(), raw))
    (tmp_path / "new").write_bytes(ELF)
    rewrite_zip(source, tmp_path / "new.zip", {raw.decode("cp437"): tmp_path / "new"})
    assert (tmp_path / "new.zip").read_bytes().count(raw) == 2
    with zipfile.ZipFile(tmp_path / "new.zip") as archive:
        assert archive.read(raw.decode("cp437")) == ELF
        assert archive.read("b") == b"b"


def test_a_replaced_member_of_zip64_loses_the_fields_it_does_not_need(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        with archive.open("a.so", "w", force_zip64=True) as member:
            member.write(ELF)
        archive.writestr("b", b"b")
    rewrite_zip(tmp_path / "a.zip", tmp_path / "b.zip", {"a.so": b"new"})
    data = (tmp_path / "b.zip").read_bytes()
    assert data.startswith(b"PK\3\4")
    assert struct.unpack_from("<H", data, 28) == (0,)
    assert facts(tmp_path / "b.zip")[0][0] == "a.so"


@pytest.mark.slow
def test_offsets_behind_4_gib_move_into_zip64_fields(tmp_path: Path) -> None:
    source, target = tmp_path / "a.zip", tmp_path / "b.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("large", b"")
        archive.writestr("behind", b"behind")
        archive.writestr("last", b"last")
    # A sparse file: 4 GiB that take no room, stored, so that nothing of it is kept in memory.
    (tmp_path / "large").touch()
    with (tmp_path / "large").open("r+b") as file:
        file.truncate((1 << 32) + 5)
    rewrite_zip(source, target, {"large": tmp_path / "large"})
    with zipfile.ZipFile(target) as archive:
        assert archive.getinfo("large").file_size == (1 << 32) + 5
        assert archive.getinfo("behind").header_offset > 1 << 32
        assert archive.read("last") == b"last"
    rewrite_zip(target, source, {"large": b""})
    with zipfile.ZipFile(source) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert contents == {"large": b"", "behind": b"behind", "last": b"last"}
    target.unlink()


def test_more_members_than_16_bits_count(tmp_path: Path) -> None:
    members = {f"{index}": b"" for index in range(65_600)}
    source, target = tmp_path / "a.zip", tmp_path / "b.zip"
    source.write_bytes(zip_of(members, zipfile.ZIP_STORED))
    rewrite_zip(source, target, {})
    assert target.read_bytes() == source.read_bytes()
    rewrite_zip(source, target, {"5": b"five"})
    with zipfile.ZipFile(target) as archive:
        assert len(archive.namelist()) == 65_600
        assert archive.read("5") == b"five"


def test_the_bytes_depend_on_neither_threads_nor_runs(tmp_path: Path, monkeypatch) -> None:
    members = {f"{index}.so": ELF * index for index in range(1, 30)}
    source = tmp_path / "a.zip"
    source.write_bytes(zip_of(members))
    replacements = {name: tmp_path / name for name in members}
    for name, path in replacements.items():
        path.write_bytes(members[name] * 300)
    results = set()
    monkeypatch.setattr(threads, "_WORTH_THREADS", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4))
    for count in (1, 2, 4, 2):
        monkeypatch.setattr(threads, "MOST_THREADS", count)
        rewrite_zip(source, tmp_path / "b.zip", replacements)
        results.add((tmp_path / "b.zip").read_bytes())
    assert len(results) == 1


def test_without_libdeflate_zlib_packs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "deflate", None)
    source = tmp_path / "a.zip"
    source.write_bytes(zip_of({"a.so": ELF, "b": b"b"}))
    rewrite_zip(source, source, {"a.so": ELF * 1000})
    with zipfile.ZipFile(source) as archive:
        assert archive.read("a.so") == ELF * 1000
        assert archive.getinfo("a.so").compress_size < 500


def with_signing_block(archive: bytes) -> bytes:
    at = archive.index(b"PK\1\2")
    block = bytes(40) + b"APK Sig Block 42"
    return patched(archive[:at] + block + archive[at:], b"PK\5\6", 16, "<L", at + len(block))


UNFIT = {
    "twice": (zip_of({"a": ELF, "b": ELF}).replace(b"b", b"a"), InputError, "a is in the archive 2 times"),
    "climbs": (zip_of({"../a": ELF}), InputError, "not a safe member name"),
    "climbs inside": (zip_of({"x/../../a": ELF}), InputError, "not a safe member name"),
    "absolute": (zip_of({"/a": ELF}), InputError, "not a safe member name"),
    "a drive": (zip_of({"C:a": ELF}), InputError, "not a safe member name"),
    "backslash": (zip_of({"x?y": ELF}).replace(b"x?y", b"x\\y"), InputError, "not a safe member name"),
    "encrypted": (patched(zip_of({"a": ELF}), b"PK\1\2", 8, "<H", 1), InputError, "a is encrypted"),
    "not a zip": (b"not a zip archive at all", InputError, "end record"),
    "signed jar": (zip_of({"a": ELF, "META-INF/X.RSA": b"s"}), Refused, "is signed"),
    "signing block": (with_signing_block(zip_of({"a": ELF})), Refused, "is signed"),
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_what_cannot_be_rewritten_safely_is_refused_and_nothing_is_written(unfit: str, tmp_path: Path) -> None:
    data, error, message = UNFIT[unfit]
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(error, match=message):
        rewrite_zip(tmp_path / "x.zip", tmp_path / "y.zip", {})
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_android_packages_and_unknown_members_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.apk"
    path.write_bytes(zip_of({"lib/arm64-v8a/a.so": ELF}, 0))
    with pytest.raises(Refused, match="zipalign -P 16"):
        rewrite_zip(path, path, {"lib/arm64-v8a/a.so": b""})
    path = tmp_path / "x.zip"
    path.write_bytes(zip_of({"a": ELF}))
    with pytest.raises(InputError, match="has no member b"):
        rewrite_zip(path, path, {"b": b""})


def test_a_full_disk_leaves_the_archive_as_it_was(tmp_path: Path) -> None:
    source = tmp_path / "a.zip"
    source.write_bytes(zip_of({f"{n}": ELF * 100 for n in range(99)}, zipfile.ZIP_STORED))
    before = source.read_bytes()
    with no_file_longer_than(100_000), pytest.raises(OutputError, match="cannot be written"):
        rewrite_zip(source, source, {"5": b"new"})
    assert source.read_bytes() == before
    assert list(tmp_path.iterdir()) == [source]


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    source = tmp_path / "a.zip"
    source.write_bytes(zip_of({"large": bytes(64 << 20), "small": b"x"}, zipfile.ZIP_STORED))
    tracemalloc.start()
    rewrite_zip(source, tmp_path / "b.zip", {"small": b"y"})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20
