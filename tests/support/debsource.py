"""Real sources by name, from Debian's source packages; unpacked once and kept under `.cache/`."""

from __future__ import annotations

import tarfile
from pathlib import Path

from support.labroots import SUITE, command, locked, mirror


def source(package: str) -> Path:
    """The folder with the upstream sources of a Debian source package."""
    with locked(f"sources/{package}") as target:
        if not target.is_dir():
            unfinished = target.with_name(f"{package}.new")
            _download(package, unfinished)
            (archive,) = [path for path in unfinished.glob("*.orig.tar.*") if path.suffix != ".asc"]
            with tarfile.open(archive) as tar:
                tar.extractall(unfinished, filter="data")
            unfinished.rename(target)
        (folder,) = [path for path in target.iterdir() if path.is_dir() and not path.name.startswith("apt")]
        return folder


def _download(package: str, folder: Path) -> None:
    apt = folder / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    (apt / "sources.list").write_text(f"deb-src {mirror()} {SUITE} main\n")
    settings = {
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
    }
    options = [f"-o{key}={value}" for key, value in settings.items()]
    command("apt-get", *options, "update", "-qq")
    command("apt-get", *options, "source", "--download-only", "-qq", package, cwd=folder)
