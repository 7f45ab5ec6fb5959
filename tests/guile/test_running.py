"""Real Guile loads and runs what pagefit relinked, on pages of 4K and on larger ones."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from pagefit.guile import realign
from support.guiles import HERE, Guile, large_pages

WORK = HERE / "modules/work.scm"


class Ccaches(NamedTuple):
    """Guile's own compiled modules: as installed, taken to 4K by pagefit, and from there back to 64K."""

    installed: Path
    small: Path
    back: Path


@pytest.fixture(scope="module")
def ccaches(guile: Guile, tmp_path_factory: pytest.TempPathFactory) -> Ccaches:
    folder = tmp_path_factory.mktemp(f"ccache-{guile.version}")
    small, back = folder / "4K", folder / "64K"
    paths = [path.relative_to(guile.ccache) for path in guile.ccache.rglob("*.go")]
    for path in paths:
        for root in (small, back):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
    for path in paths:
        realign(guile.ccache / path, small / path, 4096)
    for path in paths:
        realign(small / path, back / path, 65536)
    return Ccaches(guile.ccache, small, back)


@pytest.fixture(scope="module")
def expected(guile: Guile) -> str:
    """What the modules of the package itself print, on this machine's own pages."""
    done = guile.run(WORK)
    assert "(name . pagefit)" in done.stdout
    return done.stdout


def work(guile: Guile, ccache: Path, page_size: int, mapped: Path) -> subprocess.CompletedProcess[str]:
    env = {"GUILE_SYSTEM_COMPILED_PATH": str(ccache), **large_pages(page_size, mapped)}
    return guile.run(WORK, env=env, check=False)


def assert_worked(done: subprocess.CompletedProcess[str], expected: str, ccache: Path, mapped: Path) -> None:
    # A module that does not load is a warning, and Guile goes on from its source: look at what it says and maps.
    assert "WARNING: loading compiled file" not in done.stderr
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
    files = {Path(line) for line in mapped.read_text().splitlines()}
    assert len(files) > 100
    assert all(file.is_relative_to(ccache) for file in files)


@pytest.mark.parametrize("page_size", [4096, 16384, 65536])
def test_a_ccache_taken_to_4k_and_back_runs_everywhere(
    guile: Guile, ccaches: Ccaches, expected: str, page_size: int, tmp_path: Path
) -> None:
    done = work(guile, ccaches.back, page_size, tmp_path / "mapped")
    assert_worked(done, expected, ccaches.back, tmp_path / "mapped")


def test_a_ccache_taken_to_4k_runs_at_4k(guile: Guile, ccaches: Ccaches, expected: str, tmp_path: Path) -> None:
    done = work(guile, ccaches.small, 4096, tmp_path / "mapped")
    assert_worked(done, expected, ccaches.small, tmp_path / "mapped")


@pytest.mark.parametrize("page_size", [16384, 65536])
def test_a_ccache_taken_to_4k_dies_on_larger_pages(
    guile: Guile, ccaches: Ccaches, page_size: int, tmp_path: Path
) -> None:
    """So the imitation of large pages bites, and the runs above prove something."""
    done = work(guile, ccaches.small, page_size, tmp_path / "mapped")
    assert done.returncode == -signal.SIGSEGV


def test_the_way_to_4k_and_back_gives_the_installed_files(ccaches: Ccaches) -> None:
    paths = sorted(path.relative_to(ccaches.installed) for path in ccaches.installed.rglob("*.go"))
    assert len(paths) > 300
    for path in paths:
        assert (ccaches.back / path).read_bytes() == (ccaches.installed / path).read_bytes()


def test_compiled_modules_of_ones_own_run(guile: Guile, linked: dict[str, dict[int, Path]], tmp_path: Path) -> None:
    """Keyword arguments, properties, documentation, dispatch tables and nested constants, on pages of 64K."""
    target = tmp_path / "keywords.go"
    realign(linked["keywords"][4096], target, 65536)
    program = "(use-modules (keywords)) (write (run-keywords))"
    env = {"GUILE_LOAD_PATH": str(HERE / "modules"), "GUILE_LOAD_COMPILED_PATH": str(tmp_path)}
    expected = guile.run("-c", program, env=env).stdout
    for page_size in (4096, 65536):
        mapped = tmp_path / f"mapped-{page_size}"
        done = guile.run("-c", program, env={**env, **large_pages(page_size, mapped)})
        assert str(target) in mapped.read_text().splitlines()
        assert done.stdout == expected
        assert "WARNING" not in done.stderr
    assert '"The area of a rectangle, as text."' in expected
