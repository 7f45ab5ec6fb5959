"""Published wheels by name, downloaded once with pip and kept under `.cache/` in the repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache" / "wheels"


def wheel(name: str, version: str, platform: str, python: str) -> Path:
    """The wheel of one package, version, platform tag and Python version (`38`)."""
    folder = CACHE / f"{name}-{version}-{platform}-{python}"
    if not (found := sorted(folder.glob("*.whl"))):
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--platform", platform, "--python-version", python, "--implementation", "cp"]
        command += ["--dest", str(folder), f"{name}=={version}"]
        subprocess.run(command, check=True)
        found = sorted(folder.glob("*.whl"))
    return found[0]


def numpy_damaged() -> Path:
    """aarch64, 21 ELF files; 6 do not load at 16K and 64K, for something appended a 4K segment after linking."""
    return wheel("numpy", "1.19.0", "manylinux2014_aarch64", "38")


def numpy_clean() -> Path:
    """The next release of the same wheel, without the damage."""
    return wheel("numpy", "1.19.2", "manylinux2014_aarch64", "38")
