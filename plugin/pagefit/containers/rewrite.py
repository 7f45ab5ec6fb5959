"""Replacing files in whatever holds them: a wheel, another archive, a folder, or the file itself.

Every write is whole or not at all; a folder's files are each replaced whole.
"""

# `align` has nothing to write most of the time: what writing takes is imported where something is written.
from __future__ import annotations

import errno
import os

from pagefit.containers.kinds import COMPRESSIONS, TAR_BLOCK, kind_of
from pagefit.containers.member import open_file
from pagefit.containers.walk import files
from pagefit.errors import Refused
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import StrPath

    from pagefit.containers.kinds import Kind


class Sizes(NamedTuple):
    """How much a container takes on disk, and what each member takes in it where they are compressed (bytes)."""

    total: int
    members: Mapping[str, int]


def sizes(path: StrPath) -> Sizes:
    """The sizes of a container, or of a folder's files together. Raises InputError when it cannot be read."""
    if os.path.isdir(path):
        return Sizes(sum(os.lstat(file).st_size for file in files(path)), {})
    file = open_file(path)
    if kind_of(file.read_at(0, TAR_BLOCK)) != "zip":
        return Sizes(file.size, {})
    from pagefit.containers.zipdirectory import read_directory

    return Sizes(file.size, {entry.name: entry.compressed_size for entry in read_directory(file).entries})


def replaces_files(source: StrPath) -> bool:
    """Whether files are replaced by themselves in `source`, a folder or ELF file, and not in an archive around them."""
    return os.path.isdir(source) or _kind(source) == "elf"


def rewrite(source: StrPath, target: StrPath, replacements: Mapping[str, StrPath]) -> tuple[str, ...]:
    """Write `source` to `target` (which may be the same) with the named files replaced; without any, as it is.

    `source` is a folder, an archive or an ELF file, which goes by its own name. Replacements of files are used up: they
    are renamed where that is possible. Returns sentences for the user. Raises InputError, OutputError or Refused.
    """
    in_place = os.path.normpath(source) == os.path.normpath(target)
    if in_place and not replacements:
        return ()
    os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
    if not os.path.isdir(source):
        return _rewrite_file(source, target, replacements)
    if not in_place:
        import shutil

        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    for name, replacement in replacements.items():
        replaced = os.path.join(target, name)
        _move(replacement, replaced, like=replaced)
    return ()


def _rewrite_file(source: StrPath, target: StrPath, replacements: Mapping[str, StrPath]) -> tuple[str, ...]:
    kind = _kind(source)
    if not replacements:
        _copy(source, target, like=source)
    elif kind == "elf":
        _move(replacements[os.path.basename(source)], target, like=source)
    elif kind == "zip" and os.fspath(source).endswith(".whl"):
        from pagefit.containers.wheel import rewrite_wheel

        dropped = rewrite_wheel(source, target, replacements)
        return tuple(f"{name} is gone: a signature over RECORD is void when RECORD changes" for name in dropped)
    elif kind == "zip":
        from pagefit.containers.ziprewrite import rewrite_zip

        rewrite_zip(source, target, replacements)
    elif kind in ("tar", *COMPRESSIONS):
        from pagefit.containers.tarrewrite import rewrite_tar

        rewrite_tar(source, target, replacements)
    else:
        raise Refused(
            f"a container of the kind {kind!r} cannot be rewritten",
            where=os.fspath(source),
            remedy="Unpack it, align the folder, and pack it again with the tool that made it.",
        )
    return ()


def _kind(path: StrPath) -> Kind | None:
    return kind_of(open_file(path).read_at(0, TAR_BLOCK))


def _move(source: StrPath, target: StrPath, *, like: StrPath) -> None:
    """Let a file that nobody else needs take the place of `target`, with the mode and times of `like`."""
    from pagefit.atomic import not_written

    status = os.stat(like)
    try:
        os.chmod(source, status.st_mode & 0o7777)
        os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise not_written(target, error) from error
        _copy(source, target, like=like)


def _copy(source: StrPath, target: StrPath, *, like: StrPath) -> None:
    """Write the bytes of one file to `target`, whole or not at all, with the mode and times of `like`."""
    from pagefit.atomic import copy_with_holes, replacing

    status = os.stat(like)
    with open(source, "rb") as reader, replacing(target, mode=status.st_mode & 0o7777) as writer:
        copy_with_holes(reader.fileno(), writer.fileno())
    # Guile takes an object file only while it is not older than its source, and ninja compares times, too.
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
