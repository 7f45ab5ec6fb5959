"""Linked files that an earlier build left in `build/` and nobody recorded: a build tool takes them as they are.

Made to look old before the inner build runs, they are linked again, and recorded. Only times change here, and only for
as long as that build runs: a file it does not make anew gets its time back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pagefit.links.journal import Journal

#: Older than any source, and the second day that zip archives can tell.
_OLD_NS = 315_619_200 * 10**9

#: ELF's magic and, in either byte order, e_type of what loaders map: executables and shared objects.
_MAGIC = b"\x7fELF"
_LOADABLE = (b"\2\0", b"\0\2", b"\3\0", b"\0\3")


def find(root: Path, journal: Journal, page_size: int) -> list[Path]:
    """The files in `build/` of the project in `root` that no recorded link made and that do not fit `page_size`."""
    candidates = list(_linked_files(root / "build"))
    if not candidates:
        return []
    from pagefit.errors import InputError
    from pagefit.links.inputs import digest_of

    recorded = {recipe.sha256 for recipe in journal.recipes()}
    stale = []
    for path in candidates:
        with suppress(OSError, InputError):
            if digest_of(str(path)) not in recorded and not _fits(path, page_size):
                stale.append(path)
    return stale


@contextmanager
def made_old(paths: Iterable[Path]) -> Iterator[None]:
    """Let files look old inside the `with`."""
    before = {}
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            os.utime(path, ns=(status.st_atime_ns, _OLD_NS))
            before[path] = status
    try:
        yield
    finally:
        for path, status in before.items():
            with suppress(OSError):
                if path.stat().st_mtime_ns == _OLD_NS:
                    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _fits(path: Path, page_size: int) -> bool:
    from pagefit.containers.member import open_file
    from pagefit.elf.headers import read_image
    from pagefit.loaders.judge import judge

    file = open_file(path)
    return judge(read_image(file.read_at, file.size), file.read_at, page_sizes=[page_size]).at(page_size).loads


def _linked_files(folder: Path) -> Iterator[Path]:
    for here, _, names in os.walk(folder):
        for name in names:
            path = Path(here, name)
            with suppress(OSError), path.open("rb") as stream:
                start = stream.read(18)
                if start[:4] == _MAGIC and start[16:18] in _LOADABLE:
                    yield path
