"""Every file that a loader could map, in a file, a folder, an archive, or an archive within one.

What a file is, its first bytes decide, never its name. Relocatable objects (ET_REL) and core dumps are left out: no
loader maps them. Nothing is written and nothing is extracted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pagefit.containers import zipdirectory, zipmembers
from pagefit.containers.member import Member, damaged, open_file
from pagefit.elf import constants as c
from pagefit.elf.headers import is_elf
from pagefit.errors import InputError

#: First bytes that tell an ELF file's type, and every container but an uncompressed tar.
_PEEK: Final = 18
#: Containers within containers that are looked into; real ones are two or three deep.
_MAX_DEPTH: Final = 4

Opener = Callable[[Member, int], Iterator[Member]]


def walk(path: Path) -> Iterator[Member]:
    """Every loadable ELF file in `path`, in the order of its container; in a folder, sorted by name.

    A container that cannot be read raises InputError; inside another one, or in a folder, it is given as a member
    whose `read_at` raises it, so that one damaged file does not hide its neighbours.
    Symbolic links are not followed out of a folder's tree; a file linked to twice is given once.
    """
    if path.is_dir():
        for file in _files(path):
            yield from _in_folder(file)
    else:
        yield from _walk_file(path)


def _files(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            file = Path(here, name)
            if stat.S_ISREG(file.lstat().st_mode):
                yield file


def _in_folder(file: Path) -> Iterator[Member]:
    try:
        yield from _walk_file(file)
    except InputError as error:
        yield damaged(str(file), error)


def _walk_file(path: Path) -> Iterator[Member]:
    member = open_file(path)
    prefix = member.read_at(0, _PEEK)
    if is_loadable(prefix):
        yield member
    elif opener := _opener(prefix):
        yield from opener(member, 1)


def is_loadable(prefix: bytes) -> bool:
    """Whether a file that starts with these bytes (18 or more) is ELF and neither ET_REL nor ET_CORE."""
    if not is_elf(prefix):
        return False
    return int.from_bytes(prefix[16:18], "big" if prefix[5:6] == b"\2" else "little") not in (c.ET_REL, c.ET_CORE)


def _opener(prefix: bytes) -> Opener | None:
    if prefix.startswith((zipdirectory.LOCAL_SIGNATURE, zipdirectory.END_SIGNATURE)):
        return _in_zip
    return None


def _in_zip(archive: Member, depth: int) -> Iterator[Member]:
    for entry in zipdirectory.read_directory(archive).entries:
        if entry.size < 4:
            continue
        yield from _in_entry(archive, entry, depth)


def _in_entry(archive: Member, entry: zipdirectory.Entry, depth: int) -> Iterator[Member]:
    try:
        prefix = zipmembers.peek(archive, entry, min(_PEEK, entry.size))
        if is_loadable(prefix):
            yield zipmembers.member(archive, entry)
        elif opener := _opener(prefix):
            yield from opener(zipmembers.member(archive, entry), depth + 1)
    except InputError as error:
        yield damaged(f"{archive.path}!{entry.name}", error)
