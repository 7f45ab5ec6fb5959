"""After the inner build: what happens when recording, mending or packing goes wrong, and where the tarball goes."""

from __future__ import annotations

import contextlib
import os
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pagefit import align
from pagefit.config import Settings
from pagefit.containers import tarball
from pagefit.errors import InputError, Refused
from pagefit.hooks import cache, wheel
from pagefit.links import recorder
from pagefit.report import summary

NAME = "x-1-cp310-cp310-linux_x86_64.whl"


class Stage:
    """Stands in for the engines: notes what the hook asks of them, fails where it is told to."""

    notes: tuple[str, ...] = ()

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        self.failures: dict[str, Exception] = {}
        monkeypatch.setattr(recorder, "record", self.record)
        monkeypatch.setattr(align, "wheel", self.wheel)
        monkeypatch.setattr(summary, "write", self.write)

    @contextlib.contextmanager
    def record(self, folder: Path) -> Iterator[Any]:
        assert folder.is_dir()
        self.raise_if_told("record")
        self.journal = types.SimpleNamespace(notes=lambda: self.notes, recipes=list)
        yield self.journal
        self.raise_if_told("end of record")

    def wheel(self, path: Path, **options: Any) -> Any:
        self.asked.append((path.name, options))
        self.raise_if_told("wheel")
        return types.SimpleNamespace(mended=(), origins={})

    def write(self, report: Any, stream: Any) -> None:
        assert report.mended == ()
        stream.write("REPORT\n")

    def raise_if_told(self, place: str) -> None:
        if place in self.failures:
            raise self.failures[place]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    monkeypatch.chdir(tmp_path)
    return Stage(monkeypatch)


def inner(directory: Path, content: bytes = b"\x7fELF") -> Callable[[], str]:
    def build() -> str:
        with zipfile.ZipFile(directory / NAME, "w") as archive:
            archive.writestr("x.so", content)
        return NAME

    return build


def test_the_engines_get_the_settings_and_the_journal(
    stage: Stage, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(page_size=16384, exclude=("a*",), unresolved="warn")
    assert wheel.build(inner(tmp_path), tmp_path, settings, tarball=False) == NAME
    options = {"page_size": 16384, "journal": stage.journal, "exclude": ("a*",), "unresolved": "warn"}
    assert stage.asked == [(NAME, options)]
    assert capfd.readouterr().err == "REPORT\n"


def test_a_wheel_without_elf_files_is_not_touched(
    stage: Stage, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert wheel.build(inner(tmp_path, b"print()"), tmp_path, Settings(), tarball=True) == NAME
    assert stage.asked == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("place", ["record", "end of record"])
def test_a_recorder_that_fails_leaves_the_build_alone(
    stage: Stage, tmp_path: Path, place: str, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.failures[place] = OSError("disk full")
    assert wheel.build(inner(tmp_path), tmp_path, Settings(), tarball=False) == NAME
    assert stage.asked[0][1]["journal"] == (None if place == "record" else stage.journal)
    assert "warning: " in (printed := capfd.readouterr().err)
    assert "OSError: disk full" in printed


def test_what_the_recorder_could_not_do_is_said(
    stage: Stage, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.notes = ("one link went unrecorded",)
    wheel.build(inner(tmp_path), tmp_path, Settings(), tarball=False)
    assert capfd.readouterr().err == "pagefit: warning: one link went unrecorded\nREPORT\n"


def test_an_error_of_the_inner_build_is_its_own(stage: Stage, tmp_path: Path) -> None:
    def fails() -> str:
        raise ZeroDivisionError("inner")

    with pytest.raises(ZeroDivisionError, match="inner"):
        wheel.build(fails, tmp_path, Settings(), tarball=True)
    assert stage.asked == []


def test_a_file_that_cannot_be_mended_fails_the_build_and_leaves_no_wheel(
    stage: Stage, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.failures["wheel"] = Refused("no recorded link", where="x.so", remedy="Record it.")
    with pytest.raises(SystemExit) as end:
        wheel.build(inner(tmp_path), tmp_path, Settings(), tarball=True)
    assert end.value.code == 3
    assert capfd.readouterr().err == "pagefit: error: x.so: no recorded link. Record it.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("unresolved", ["warn", "ignore"])
@pytest.mark.parametrize("failure", [InputError("no zip archive"), KeyError("a defect")])
def test_what_may_stay_unresolved_never_fails_the_build(
    stage: Stage, tmp_path: Path, unresolved: Any, failure: Exception, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.failures["wheel"] = failure
    assert wheel.build(inner(tmp_path), tmp_path, Settings(unresolved=unresolved), tarball=False) == NAME
    assert (tmp_path / NAME).exists()
    assert "is left as the inner backend built it: " in capfd.readouterr().err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken"])
def test_a_wheel_that_cannot_be_read_is_handed_on_for_its_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert wheel.holds_elf(tmp_path / NAME)
    assert wheel.holds_elf(tmp_path / "missing.whl")


def test_the_tarball_never_goes_among_the_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert wheel.tarball_folder(tmp_path / "dist", Settings()) == tmp_path / "build/prebuilt"
    assert wheel.tarball_folder(tmp_path / "dist", Settings(tarball_dir="out")) == tmp_path / "out"
    assert wheel.tarball_folder(tmp_path, Settings()) == Path("/home/me/.cache/pagefit/prebuilt")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert wheel.tarball_folder(tmp_path, Settings()) == Path("/cache/pagefit/prebuilt")


@pytest.mark.parametrize("chosen", [False, True])
def test_old_tarballs_leave_the_cache_and_no_other_folder(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: bool
) -> None:
    def write(wheel: Path, folder: Path, **_: object) -> Path:
        (folder / "new").touch()
        return folder / "new"

    monkeypatch.setattr(tarball, "write", write)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / ("chosen" if chosen else "cache/pagefit/prebuilt")
    folder.mkdir(parents=True)
    with (folder / "old").open("wb") as file:
        file.truncate(cache.LARGEST_PREBUILT + 1)
    os.utime(folder / "old", (0, 0))
    settings = Settings(tarball_dir=str(folder) if chosen else None)
    wheel.build(inner(tmp_path), tmp_path, settings, tarball=True)
    assert (folder / "old").exists() == chosen
    assert (folder / "new").exists()
