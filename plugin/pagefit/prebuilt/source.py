"""Which source an artifact was built from: the files of a source tree or sdist, and one digest over all of them."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

from pagefit.errors import InputError

#: What building, or unpacking and asking for metadata, may leave in a tree; none of it is source.
_NOT_SOURCE: Final = (
    "PKG-INFO",
    "prebuilt/*",
    "build/*",
    "dist/*",
    ".git/*",
    "*.egg-info/*",
    "*__pycache__/*",
    "*.pyc",
    ".mesonpy-*",
)

Files = Mapping[str, str]


def of_tree(root: Path) -> Files:
    """The source files below `root`: sha256 by path relative to it, with `/` between names."""
    found = {}
    for here, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(here, name)
            relative = path.relative_to(root).as_posix()
            if _is_source(relative) and path.is_file():
                with path.open("rb") as file:
                    found[relative] = digest_of(file)
    return found


def of_sdist(path: Path) -> Files:
    """The source files of an sdist, as `of_tree` gives them once it is unpacked. Raises InputError if it is broken."""
    found = {}
    for relative, file in _sdist_files(path):
        if _is_source(relative):
            found[relative] = digest_of(file)
    return found


def digest(files: Files) -> str:
    """One sha256 over the names and contents of all files."""
    lines = "".join(f"{sha256} {path}\n" for path, sha256 in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def difference(expected: Files, found: Files) -> str:
    """The first file that makes two trees differ, in words; empty when they are equal."""
    for path in sorted(expected.keys() | found.keys()):
        if path not in found:
            return f"{path} is missing"
        if path not in expected:
            return f"{path} is new"
        if expected[path] != found[path]:
            return f"{path} has changed"
    return ""


def digest_of(file: IO[bytes]) -> str:
    """The sha256 of what is left of a binary file."""
    state = hashlib.sha256()
    while chunk := file.read(1 << 20):
        state.update(chunk)
    return state.hexdigest()


def _is_source(path: str) -> bool:
    return not any(fnmatch.fnmatchcase(path, pattern) for pattern in _NOT_SOURCE)


def _sdist_files(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                # PEP 625: everything lies in one folder named after the project and version.
                _, _, relative = member.name.partition("/")
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None and relative:
                    yield relative, file
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"the sdist cannot be read: {error}", where=str(path)) from error
