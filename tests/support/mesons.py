"""Running Meson, ninja and pagefit as from a shell, with this environment's tools first on PATH."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


def run(*command: object, env: dict[str, str] | None = None, status: int = 0) -> str:
    """Run a command with this environment's tools first on PATH; what it printed."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **(env or {})}
    done = subprocess.run(
        list(map(str, command)), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def alignments(path: Path) -> set[int]:
    """The p_align of every LOAD segment, as readelf prints them."""
    lines = run("readelf", "-lW", path).splitlines()
    return {int(line.split()[-1], 16) for line in lines if line.split()[:1] == ["LOAD"]}
