"""The user's cache, where the base directory specification puts it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

#: How much the tarballs in the cache may take together (bytes).
LARGEST_PREBUILT: Final = 1 << 30


def cache_folder() -> Path:
    """The folder for what pagefit keeps: `$XDG_CACHE_HOME/pagefit`, by default `~/.cache/pagefit`; may not exist.

    Raises RuntimeError when there is no home folder.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The specification tells to ignore relative values.
    return (Path(cache) if os.path.isabs(cache) else Path.home() / ".cache") / "pagefit"


def prebuilt_folder() -> Path:
    """Where prebuilt tarballs go that have no better place. Raises RuntimeError when there is no home folder."""
    return cache_folder() / "prebuilt"


def prune(folder: Path, largest: int = LARGEST_PREBUILT) -> None:
    """Remove the oldest files of a folder until the others take no more than `largest` bytes; the newest stays.

    Raises OSError.
    """
    with os.scandir(folder) as entries:
        files = [(entry.stat(), entry.path) for entry in entries if entry.is_file(follow_symlinks=False)]
    files.sort(key=lambda file: file[0].st_mtime_ns, reverse=True)
    total = 0
    for index, (status, path) in enumerate(files):
        total += status.st_size
        if index and total > largest:
            os.unlink(path)
