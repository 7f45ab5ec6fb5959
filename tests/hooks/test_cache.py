"""The user's cache keeps the newest tarballs, up to a limit."""

from __future__ import annotations

import os
from pathlib import Path

from pagefit.hooks import cache


def written(folder: Path, **sizes: int) -> None:
    """Files of these sizes, each a minute newer than the one before."""
    for minute, (name, size) in enumerate(sizes.items()):
        (folder / name).write_bytes(bytes(size))
        os.utime(folder / name, (60 * minute, 60 * minute))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_oldest_go_first(tmp_path: Path) -> None:
    written(tmp_path, old=50, middle=60, new=40)
    cache.prune(tmp_path, largest=100)
    assert left(tmp_path) == ["middle", "new"]
    cache.prune(tmp_path, largest=100)
    assert left(tmp_path) == ["middle", "new"]


def test_the_newest_stays_however_large(tmp_path: Path) -> None:
    written(tmp_path, old=1, new=200)
    cache.prune(tmp_path, largest=100)
    assert left(tmp_path) == ["new"]


def test_links_and_folders_are_nobodys_tarballs(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    written(tmp_path, old=200, new=1)
    cache.prune(tmp_path, largest=0)
    assert left(tmp_path) == ["folder", "link", "new"]
