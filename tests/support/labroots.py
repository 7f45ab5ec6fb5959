"""Debian packages of any architecture, unpacked into folders under `.cache/`, for guests that are not this machine.

`root("arm64", ["python3.11-minimal"])` gives a folder that `qemu-aarch64 -L` can run programs from. A private apt
configuration does the work, so nothing is installed and no root rights are needed. The mirror is the one that this
machine's own apt uses; a machine whose apt knows no Debian mirror names one in the environment variable PAGELAB_MIRROR.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

#: Where everything downloaded or built for the tests is kept; git ignores it.
CACHE = Path(__file__).resolve().parents[2] / ".cache"

#: The Debian release that guests run, whatever this machine runs: results must not depend on the host.
SUITE = "bookworm"

#: Mirrors drop superseded versions, so older lists of packages name what is gone (seconds).
_DAY = 24 * 60 * 60

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class LabError(Exception):
    """The lab itself is broken (a tool, a download, a page size without effect); never a finding about a file."""


@contextlib.contextmanager
def locked(name: str) -> Iterator[Path]:
    """Hold the lock of one thing in the cache, so that parallel test workers make it once. Yields the thing's path."""
    path = CACHE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


def command(*argv: str | Path, cwd: Path | None = None, timeout: float = 900) -> str:
    """Run a tool that the lab itself needs and return its output. Raises LabError with that output when it fails."""
    done = subprocess.run(
        [str(word) for word in argv], cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode:
        raise LabError(f"{' '.join(str(word) for word in argv)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def root(arch: str, packages: Sequence[str], suite: str = SUITE, *, dependencies: bool = True) -> Path:
    """Unpack Debian `packages` of `arch` (Debian's name: `arm64`) with all they depend on; the folder is cached.

    Without `dependencies` just these; a metapackage (`linux-image-powerpc64le`) then stands for the package it names.
    """
    digest = hashlib.sha256(" ".join((*sorted(packages), str(dependencies))).encode()).hexdigest()[:8]
    with locked(f"roots/{suite}-{arch}-{packages[0]}-{digest}") as target:
        if target.is_dir():
            return target
        with locked(f"apt/{suite}-{arch}") as apt:
            apt.mkdir(exist_ok=True)
            debs = (_with_dependencies if dependencies else _alone)(apt, _options(apt, arch, suite), packages)
        temporary = target.with_name(target.name + ".new")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        for deb in debs:
            command("dpkg-deb", "-x", deb, temporary)
        _relative_links(temporary)
        temporary.rename(target)
    return target


def _with_dependencies(apt: Path, options: list[str], packages: Sequence[str]) -> list[Path]:
    install = ("apt-get", *options, "install", "-y", "-qq", "--no-install-recommends")
    command(*install, "--download-only", *packages)
    # Asked again, apt only says which files it would take; the cache also holds other roots' packages.
    chosen = re.findall(r"^Inst (\S+) \((\S+)", command(*install, "--simulate", *packages), re.MULTILINE)
    archives = apt / "cache/archives"
    debs = [deb for name, version in chosen for deb in archives.glob(f"{name}_{version.replace(':', '%3a')}_*.deb")]
    if len(debs) != len(chosen):
        raise LabError(f"apt chose {len(chosen)} packages for {' '.join(packages)} and left {len(debs)} in {archives}")
    return debs


def _alone(apt: Path, options: list[str], packages: Sequence[str]) -> list[Path]:
    folder = apt / "alone"
    folder.mkdir(exist_ok=True)
    debs: list[Path] = []
    for name in packages:
        depends = re.findall(r"Depends: (linux-image-\d\S+)", command("apt-cache", *options, "depends", name))
        real = depends[0] if depends else name
        if not list(folder.glob(f"{real}_*.deb")):
            command("apt-get", *options, "download", "-qq", real, cwd=folder)
        debs += folder.glob(f"{real}_*.deb")
    return debs


def _options(apt: Path, arch: str, suite: str) -> list[str]:
    for folder in ("etc", "state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    (apt / "etc/sources.list").write_text(f"deb [signed-by={_KEYRING}] {mirror()} {suite} main\n")
    settings = {
        "Dir::Etc": apt / "etc",
        "Dir::Etc::sourcelist": "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Sandbox::User": "root",
        "Acquire::Retries": 3,
        # Docker's images delete archives after every run; the lab's cache is to stay.
        "APT::Keep-Downloaded-Packages": "true",
    }
    options = [f"-o{key}={value}" for key, value in settings.items()]
    updated = apt / "updated"
    if not updated.exists() or updated.stat().st_mtime < time.time() - _DAY:
        command("apt-get", *options, "update", "-qq")
        updated.touch()
    return options


@functools.cache
def mirror() -> str:
    """The Debian mirror of this machine's apt. Raises LabError when there is none and PAGELAB_MIRROR is not set."""
    if named := os.environ.get("PAGELAB_MIRROR"):
        return named
    listing = command("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages")
    for origin, label, uri in (line.split("|", 2) for line in listing.splitlines()):
        # Before the machine's first `apt-get update` origin and label are unknown, and the usual folder has to do.
        if origin == label == "Debian" or (not origin and uri.rstrip("/").endswith("/debian")):
            return uri
    raise LabError("apt knows no Debian mirror; name one in the environment variable PAGELAB_MIRROR")


def _relative_links(folder: Path) -> None:
    # An absolute link would lead out of the root, into this machine's own files.
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            link = Path(parent, name)
            if link.is_symlink() and (goal := os.readlink(link)).startswith("/"):
                link.unlink()
                link.symlink_to(os.path.relpath(folder / goal.lstrip("/"), parent))
