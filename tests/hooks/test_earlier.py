"""A second build skips links whose outputs are there; what the first one recorded is still known then."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pagefit.hooks import earlier
from pagefit.links import recorder, replay
from pagefit.links.journal import Journal
from support import readelf


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a temporary folder that the project is not in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "cache" / "pagefit" / "links"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "x.c").write_text("int x(void) { return 42; }\n")
    (tmp_path / "outside.c").write_text("int y(void) { return 23; }\n")
    subprocess.run(["gcc", "-fPIC", "-c", "outside.c"], cwd=tmp_path, check=True)
    return folder


@pytest.fixture
def built(project: Path, tmp_path: Path) -> Callable[[str], Journal]:
    """Build the project with make's logic: link only what is not there. Returns the journal of that build."""

    def build(journal: str) -> Journal:
        earlier.recall(project, tmp_path / journal)
        with recorder.record(tmp_path / journal) as recorded:
            if not (project / "x.so").exists():
                subprocess.run(["gcc", "-fPIC", "-c", "x.c"], cwd=project, check=True)
                link = ["gcc", "-shared", "-Wl,-z,max-page-size=4096", "-o", "x.so", "x.o", "../outside.o"]
                subprocess.run(link, cwd=project, check=True)
        earlier.remember(project, recorded)
        return recorded

    return build


def test_a_skipped_link_is_known_from_the_build_that_made_it(
    project: Path, built: Callable[[str], Journal], tmp_path: Path
) -> None:
    built("first")
    shutil.rmtree(tmp_path / "first")
    (tmp_path / "outside.o").unlink()  # a copy of it is kept: it lies outside the project
    for number in ("second", "third"):
        journal = built(number)
        assert [recipe.output for recipe in journal.recipes()] == [project / "x.so"]
        replay.relink(project / "x.so", tmp_path / "new.so", journal, 65536)
        assert readelf.is_laid_out_for(tmp_path / "new.so", 65536)
        shutil.rmtree(journal.folder)


def test_only_what_can_be_needed_is_kept(project: Path, built: Callable[[str], Journal], cache: Path) -> None:
    journal = built("first")
    (kept,) = cache.iterdir()
    (recipe,) = journal.recipes()
    (outside,) = (digest for path, digest in recipe.inputs.items() if path.endswith("outside.o"))
    assert {pin.name for pin in (kept / "pins").iterdir()} == {recipe.sha256, outside}
    (project / "x.so").write_bytes(b"changed by another tool")
    earlier.remember(project, journal)
    assert list(cache.iterdir()) == []


def test_nothing_is_kept_of_projects_that_are_temporary_or_gone(
    project: Path, built: Callable[[str], Journal], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = built("first")
    other = tmp_path / "other"
    project.rename(other)
    earlier.remember(other, journal)
    assert list(cache.iterdir()) == []
    other.rename(project)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    earlier.remember(project, journal)
    assert list(cache.iterdir()) == []
