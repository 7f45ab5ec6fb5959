"""Every file that a loader could map, in a file, a folder, an archive, or an archive within one.

What a file is, its first bytes decide, never its name. Relocatable objects (ET_REL) and core dumps are left out: no
loader maps them. Nothing is written and nothing is extracted.
"""

from __future__ import annotations

import os
import stat

from pagefit.containers import zipdirectory, zipmembers
from pagefit.containers.kinds import (
    SHORTEST_SIGNATURE,
    SIGNATURES,
    TAR_BLOCK,
    Kind,
    is_loadable,
    is_tar_header,
    kind_of,
)
from pagefit.containers.member import Member, damaged, open_file
from pagefit.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from _typeshed import StrPath

#: Containers within containers that are looked into; real ones are two or three deep.
_MAX_DEPTH: Final = 4
#: As much of each signature as the shortest has; what only begins like one is told by a longer look.
_BEGINNINGS: Final = frozenset(signature[:SHORTEST_SIGNATURE] for signature in SIGNATURES)


def walk(path: StrPath) -> Iterator[Member]:
    """Every loadable ELF file in `path`, in the order of its container; in a folder, sorted by name.

    A container that cannot be read raises InputError; inside another one, or in a folder, it is given as a member
    whose `read_at` raises it, so that one damaged file does not hide its neighbours.
    Symbolic links in a folder are not followed: no loops, and what one names inside the folder is given once.
    """
    if os.path.isdir(path):
        for file in files(path):
            yield from _in_folder(file)
    else:
        yield from _walk_file(path)


def files(folder: StrPath) -> Iterator[str]:
    """Every regular file below a folder, sorted by name; links are not followed."""
    for here, folders, names in os.walk(os.fspath(folder), followlinks=False):
        folders.sort()
        for name in sorted(names):
            file = os.path.join(here, name)
            if stat.S_ISREG(os.lstat(file).st_mode):
                yield file


def _in_folder(file: str) -> Iterator[Member]:
    try:
        yield from _walk_file(file)
    except InputError as error:
        yield damaged((file,), error)


def _walk_file(path: StrPath) -> Iterator[Member]:
    return _within(open_file(path), 0)


def _within(member: Member, depth: int) -> Iterator[Member]:
    """The member itself when a loader could map it, or what is in it when it is a container."""
    prefix = member.read_at(0, TAR_BLOCK)
    if is_loadable(prefix):
        yield member
    elif members := _container(member, kind_of(prefix), depth):
        if depth == _MAX_DEPTH:
            raise InputError(f"more than {_MAX_DEPTH} archives within each other", where=member.path)
        yield from members


def _container(member: Member, kind: Kind | None, depth: int) -> Iterator[Member] | None:
    if kind == "zip":
        return _in_zip(member, depth)
    # Imported late, all three: wheels need none of them, and `tarfile` brings `shutil` and every compression with it.
    if kind == "ar":
        from pagefit.containers import armembers

        return _in_each(armembers.members(member), depth)
    if kind is None or kind == "elf" or (kind != "tar" and not _holds_tar(member, kind)):
        return None
    from pagefit.containers import tarmembers

    return _in_each(tarmembers.members(member, kind), depth)


def _holds_tar(member: Member, kind: Kind) -> bool:
    from pagefit.containers import decompression

    prefix = b""
    for piece in decompression.decompressed(member, kind):
        prefix += piece
        if len(prefix) >= TAR_BLOCK:
            break
    return is_tar_header(prefix[:TAR_BLOCK])


def _in_each(members: Iterator[Member], depth: int) -> Iterator[Member]:
    for member in members:
        yield from _in_member(member, depth)


def _in_member(member: Member, depth: int) -> Iterator[Member]:
    try:
        yield from _within(member, depth + 1)
    except InputError as error:
        yield damaged(member.names, error)


def _in_zip(archive: Member, depth: int) -> Iterator[Member]:
    entries = zipdirectory.read_directory(archive).entries
    for entry, start, first in zipmembers.first_bytes(archive, entries, SHORTEST_SIGNATURE):
        # Wheels have thousands of members that are no ELF files: those cost one short look.
        if first in _BEGINNINGS or start is None or entry.size % TAR_BLOCK == 0:
            try:
                yield from _within(zipmembers.member(archive, entry, start), depth + 1)
            except InputError as error:
                yield damaged((*archive.names, entry.name), error)
