"""A place where isolated builds find pagefit, which they otherwise would take from the index."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def local_index(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment variables that make pip, build and uv find this checkout's wheel."""
    folder = tmp_path_factory.mktemp("index")
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, root]
    subprocess.run(command, check=True)
    return {"PIP_FIND_LINKS": str(folder), "UV_FIND_LINKS": str(folder)}
