"""Published packages by name, downloaded once with pip and kept under `.cache/` in the repository."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

from support.labroots import locked

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


def sdist(name: str, version: str) -> Path:
    """The source distribution of one release, as published."""
    with locked(f"sdists/{name}-{version}.tar.gz") as archive:
        if not archive.is_file():
            folder = archive.with_suffix(".new")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:"]
            subprocess.run([*command, "--dest", str(folder), f"{name}=={version}"], check=True)
            (found,) = folder.glob("*.tar.gz")
            found.rename(archive)
    return archive


def source(name: str, version: str) -> Path:
    """The folder of an unpacked source distribution; tests copy what they change."""
    archive = sdist(name, version)
    with locked(f"sdists/{name}-{version}") as target:
        if not target.is_dir():
            unfinished = target.with_name(f"{target.name}.unpacked")
            with tarfile.open(archive) as tar:
                tar.extractall(unfinished, filter="data")
            (folder,) = unfinished.iterdir()
            folder.rename(target)
    return target
