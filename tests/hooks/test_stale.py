"""What a build before pagefit left in build/ is linked again, and loses nothing if it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pagefit.hooks import stale
from pagefit.links.journal import Journal
from support import lab


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "build/lib").mkdir(parents=True)
    lab.build("x86_64", tmp_path / "build/lib/old.so", "int x = 1;", page_size=4096, flags=["-shared"])
    lab.build("x86_64", tmp_path / "build/fits.so", "int x = 1;", page_size=65536, flags=["-shared"])
    lab.build("x86_64", tmp_path / "vendored.so", "int x = 1;", page_size=4096, flags=["-shared"])
    (tmp_path / "build/lib/old.o").write_bytes((tmp_path / "build/lib/old.so").read_bytes()[:16] + b"\1\0")
    (tmp_path / "build/lib/broken.so").write_bytes((tmp_path / "build/lib/old.so").read_bytes()[:50])
    (tmp_path / "journal").mkdir()
    return tmp_path


def test_found_are_linked_files_in_build_that_do_not_fit(project: Path) -> None:
    assert stale.find(project, Journal(project / "journal"), 65536) == [project / "build/lib/old.so"]
    assert stale.find(project, Journal(project / "journal"), 4096) == []
    assert stale.find(project / "build/lib", Journal(project / "journal"), 65536) == []


def test_only_files_that_are_not_made_anew_get_their_time_back(project: Path) -> None:
    old, other = project / "build/lib/old.so", project / "build/fits.so"
    before = {path: path.stat().st_mtime_ns for path in (old, other)}
    with stale.made_old([old, other, project / "missing"]):
        assert old.stat().st_mtime_ns == other.stat().st_mtime_ns < before[old]
        os.utime(other)
    assert old.stat().st_mtime_ns == before[old]
    assert other.stat().st_mtime_ns > before[other]
