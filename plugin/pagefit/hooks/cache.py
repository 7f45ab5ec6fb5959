"""The user's cache, where the base directory specification puts it."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder for what pagefit keeps: `$XDG_CACHE_HOME/pagefit`, by default `~/.cache/pagefit`; may not exist.

    Raises RuntimeError when there is no home folder.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The specification tells to ignore relative values.
    return (Path(cache) if os.path.isabs(cache) else Path.home() / ".cache") / "pagefit"
