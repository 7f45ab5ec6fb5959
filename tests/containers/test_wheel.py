"""Rewritten wheels: RECORD describes them, says pypa's installer, and a signature that no longer holds is gone."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from installer.sources import WheelFile

from pagefit.containers import threads
from pagefit.containers.walk import walk
from pagefit.containers.wheel import rewrite_wheel
from pagefit.errors import InputError, OutputError
from support import packages
from support.limits import no_file_longer_than
from support.zips import ELF, patched, zip_of

DIST_INFO = "x-1.dist-info"
NAME = "x-1-cp312-cp312-linux_aarch64.whl"


def digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def make_wheel(path: Path, members: dict[str, bytes], *, newline: str = "\n", record: str | None = None) -> Path:
    members = {**members, f"{DIST_INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n"}
    lines = [f'"{n}",{digest(d)},{len(d)}' if "," in n else f"{n},{digest(d)},{len(d)}" for n, d in members.items()]
    text = newline.join([*lines, f"{DIST_INFO}/RECORD,,", ""]) if record is None else record
    path.write_bytes(zip_of({**members, f"{DIST_INFO}/RECORD": text.encode()}))
    return path


def valid(path: Path) -> bool:
    with WheelFile.open(path) as wheel:
        wheel.validate_record(validate_contents=True)
    return True


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "new"
    path.write_bytes(ELF * 3)
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("other", ["pkg/b, and more.so", "pkg/ö.so"])
def test_only_the_lines_of_replaced_files_change(newline: str, other: str, new: Path, tmp_path: Path) -> None:
    members = {"pkg/a.so": ELF, other: ELF + b"b", "pkg/ü.py": b"pass"}
    wheel = make_wheel(tmp_path / NAME, members, newline=newline)
    with zipfile.ZipFile(wheel) as archive:
        before = archive.read(f"{DIST_INFO}/RECORD").decode().split(newline)
    assert rewrite_wheel(wheel, wheel, {"pkg/a.so": new, other: new}) == ()
    assert valid(wheel)
    with zipfile.ZipFile(wheel) as archive:
        after = archive.read(f"{DIST_INFO}/RECORD").decode().split(newline)
        assert [info.filename for info in archive.infolist()][:3] == list(members)
    changed = f"{digest(ELF * 3)},{len(ELF * 3)}"
    quoted = f'"{other}"' if "," in other else other
    assert after == [f"pkg/a.so,{changed}", f"{quoted},{changed}", *before[2:]]


def test_a_wheel_is_rewritten_without_slow_imports(new: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / NAME, {"a.so": ELF})
    code = (
        "import sys; from pagefit.containers.wheel import rewrite_wheel as r; r(*sys.argv[1:3], {'a.so': sys.argv[3]})"
    )
    command = [sys.executable, "-S", "-c", f"{code}; print(*sys.modules)", wheel, wheel, new]
    found = {**os.environ, "PYTHONPATH": str(Path(threads.__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=found, check=True)
    assert valid(wheel)
    assert set(done.stdout.split()) & {"base64", "concurrent", "csv", "pathlib", "re", "threading", "typing"} == set()


@pytest.mark.parametrize("processors", [1, 2])
def test_record_can_come_before_the_files_it_describes(
    processors: int, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_WORTH_THREADS", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(processors))
    wheel = make_wheel(tmp_path / NAME, {"a.so": ELF, "b.so": ELF + b"b"})
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in reversed(archive.namelist())}
    wheel.write_bytes(zip_of(members))
    rewrite_wheel(wheel, wheel, {"a.so": new, "b.so": new})
    assert valid(wheel)


@pytest.mark.parametrize("engine", ["libdeflate", "zlib"])
def test_a_replaced_file_that_is_damaged_is_an_error(
    engine: str, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "zlib":
        monkeypatch.setitem(sys.modules, "deflate", None)
    wheel = make_wheel(tmp_path / NAME, {"a.so": bytes(range(256)) * 9})
    rewrite_wheel(wheel, tmp_path / "whole.whl", {"a.so": new})
    whole = wheel.read_bytes()
    at = whole.index(b"a.so") + 20
    for damaged in (whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], patched(whole, b"PK\1\2", 16, "<L", 1)):
        wheel.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.so: the data (are damaged|do not)"):
            rewrite_wheel(wheel, wheel, {"a.so": new})
        assert wheel.read_bytes() == damaged


def test_without_replacements_the_wheel_is_the_same_bytes(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / NAME, {"a.so": ELF})
    rewrite_wheel(wheel, tmp_path / "copy.whl", {})
    assert (tmp_path / "copy.whl").read_bytes() == wheel.read_bytes()


def test_signatures_of_record_go_and_are_named(new: Path, tmp_path: Path) -> None:
    record = f"a.so,{digest(ELF)},{len(ELF)}\n" + "".join(
        f"{DIST_INFO}/RECORD{end},,\n" for end in ("", ".jws", ".p7s")
    )
    signatures = (f"{DIST_INFO}/RECORD.jws", f"{DIST_INFO}/RECORD.p7s")
    wheel = make_wheel(tmp_path / NAME, {"a.so": ELF, **dict.fromkeys(signatures, b"signed")}, record=record)
    assert rewrite_wheel(wheel, wheel, {"a.so": new}) == signatures
    with zipfile.ZipFile(wheel) as archive:
        assert archive.namelist() == ["a.so", f"{DIST_INFO}/WHEEL", f"{DIST_INFO}/RECORD"]
        assert "RECORD." not in archive.read(f"{DIST_INFO}/RECORD").decode()


GOOD = f"{digest(ELF)},{len(ELF)}"
WRONG = {
    "missing line": (f"{DIST_INFO}/RECORD,,\n", "does not list a.so"),
    "listed twice": (f"a.so,{GOOD}\na.so,{GOOD}\n", "does not list a.so once"),
    "two fields": (f"a.so,{digest(ELF)}\n", "does not list a.so once"),
    "another hash": (f"a.so,{digest(b'')},0\n", "the hash of a.so is not that of the file"),
    "no hash": ("a.so,,\n", "a.so has no SHA-2 hash"),
    "md5": ("a.so,md5=rL0Y20zC-Fzt72VPzMSk2A,3\n", "a.so has no SHA-2 hash"),
    "open quotes": (f'"a.so,{GOOD}\n', "cannot be parsed"),
    "lines without line feeds": (f"a.so,{GOOD}\rb,,\r", "does not list a.so once"),
    "line break in a name": (f'a.so,{GOOD}\n"b\nc",,\n', "cannot be parsed"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_record_that_does_not_describe_the_wheel_is_an_error(wrong: str, new: Path, tmp_path: Path) -> None:
    record, message = WRONG[wrong]
    wheel = make_wheel(tmp_path / NAME, {"a.so": ELF}, record=record)
    before = wheel.read_bytes()
    with pytest.raises(InputError, match=message) as error:
        rewrite_wheel(wheel, wheel, {"a.so": new})
    assert f"{NAME}!{DIST_INFO}/RECORD: " in str(error.value)
    assert wheel.read_bytes() == before


def test_what_record_lists_and_the_wheel_lacks_is_an_error(new: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / NAME, {"a.so": ELF}, record=f"a.so,{GOOD}\nb.so,{GOOD}\n")
    with pytest.raises(InputError, match=r"has no member b\.so"):
        rewrite_wheel(wheel, wheel, {"b.so": new})


@pytest.mark.parametrize("names", [["a.so"], ["a.so", "x-1.dist-info/RECORD", "y-1.dist-info/RECORD"]])
def test_what_is_no_wheel_is_an_error(names: list[str], new: Path, tmp_path: Path) -> None:
    wheel = tmp_path / NAME
    wheel.write_bytes(zip_of(dict.fromkeys(names, ELF)))
    with pytest.raises(InputError, match=r"RECORD"):
        rewrite_wheel(wheel, wheel, {"a.so": new})


def test_a_full_disk_leaves_the_wheel_as_it_was(new: Path, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / NAME, {"a.so": ELF, "b": bytes(range(256)) * 99})
    before = wheel.read_bytes()
    with no_file_longer_than(100), pytest.raises(OutputError, match="cannot be written"):
        rewrite_wheel(wheel, wheel, {"a.so": new})
    assert wheel.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", NAME]


def test_record_is_written_last_and_listed_where_it_was(new: Path, tmp_path: Path) -> None:
    wheel, rest = tmp_path / NAME, {"b": b"b" * 99, "c": b""}
    record = f"a.so,{digest(ELF)},{len(ELF)}\n"
    wheel.write_bytes(zip_of({f"{DIST_INFO}/RECORD": record.encode(), "a.so": ELF, **rest}))
    rewrite_wheel(wheel, wheel, {"a.so": new})
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        entries = archive.infolist()
        assert [entry.filename for entry in entries] == [f"{DIST_INFO}/RECORD", "a.so", *rest]
        assert [entry.filename for entry in sorted(entries, key=lambda e: e.header_offset)][-1] == f"{DIST_INFO}/RECORD"
        assert min(entry.header_offset for entry in entries) == 0  # nothing is left of the old one
        assert [archive.read(name) for name in ("a.so", *rest)] == [ELF * 3, *rest.values()]


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_longer_hashes_in_record_are_compared_too(algorithm: str, new: Path, tmp_path: Path) -> None:
    for content, good in ((ELF, True), (ELF + b"?", False)):
        stated = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).decode().rstrip("=")
        wheel = make_wheel(tmp_path / NAME, {"a.so": ELF}, record=f"a.so,{algorithm}={stated},{len(ELF)}\n")
        if good:
            rewrite_wheel(wheel, wheel, {"a.so": new})
            with zipfile.ZipFile(wheel) as archive:
                assert archive.read(f"{DIST_INFO}/RECORD").decode() == f"a.so,{digest(ELF * 3)},{len(ELF * 3)}\n"
        else:
            with pytest.raises(InputError, match=r"the hash of a\.so is not that of the file"):
                rewrite_wheel(wheel, wheel, {"a.so": new})


@pytest.mark.network
def test_a_published_wheel_with_every_elf_file_replaced_installs(tmp_path: Path) -> None:
    source = packages.numpy_damaged()
    target = tmp_path / source.name
    replacements: dict[str, Path] = {}
    for member in walk(source):
        file = tmp_path / f"{len(replacements)}"
        file.write_bytes(member.read_at(0, member.size) + b"changed")
        replacements[member.names[1]] = file
    rewrite_wheel(source, target, replacements)
    assert valid(target)
    subprocess.run(["unzip", "-tqq", target], check=True)
    again = tmp_path / "again.whl"
    rewrite_wheel(source, again, replacements)
    assert again.read_bytes() == target.read_bytes()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target) as changed:
        for before, after in zip(old.infolist(), changed.infolist(), strict=True):
            same = [(i.filename, i.date_time, i.external_attr, i.compress_type, i.extra) for i in (before, after)]
            assert same[0] == same[1]
            if before.filename in replacements:
                assert changed.read(after) == old.read(before) + b"changed"
            elif not before.filename.endswith("/RECORD"):
                assert changed.read(after) == old.read(before)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "site")]
    platform = ["--platform", "manylinux2014_aarch64", "--python-version", "38", "--implementation", "cp"]
    subprocess.run([*command, *platform, "--only-binary=:all:", str(target)], check=True)
    assert (tmp_path / "site" / "numpy" / "__init__.py").exists()
