"""Replacing files in whatever holds them: a wheel, another archive, a folder, or the file itself.

Every write is whole or not at all; a folder's files are each replaced whole.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pagefit.atomic import copy_with_holes, replacing
from pagefit.containers import wheel, ziprewrite
from pagefit.containers.kinds import COMPRESSIONS, TAR_BLOCK, kind_of
from pagefit.containers.member import open_file
from pagefit.containers.tarrewrite import rewrite_tar
from pagefit.errors import Refused


class Sizes(NamedTuple):
    """How much a container takes on disk, and what each member takes in it where they are compressed (bytes)."""

    total: int
    members: Mapping[str, int]


def sizes(path: Path) -> Sizes:
    """The sizes of a container, or of a folder's files together."""
    if path.is_dir():
        return Sizes(sum(file.lstat().st_size for file in path.rglob("*") if file.is_file()), {})
    total = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return Sizes(total, {info.filename: info.compress_size for info in archive.infolist()})
    return Sizes(total, {})


def file(source: Path, target: Path, replacements: Mapping[str, Path]) -> tuple[str, ...]:
    """Write `source`, an archive or an ELF file, to `target` (which may be the same) with the named members replaced.

    An ELF file goes by its own name. Returns sentences for the user. Raises InputError, OutputError or Refused.
    """
    kind = kind_of(open_file(source).read_at(0, TAR_BLOCK))
    if kind == "elf" or not replacements:
        if replacements or target != source:
            copy(replacements.get(source.name, source), target, like=source)
        return ()
    if kind == "zip" and source.suffix == ".whl":
        dropped = wheel.rewrite_wheel(source, target, replacements)
        return tuple(f"{name} is gone: a signature over RECORD is void when RECORD changes" for name in dropped)
    if kind == "zip":
        ziprewrite.rewrite_zip(source, target, replacements)
        return ()
    if kind in ("tar", *COMPRESSIONS):
        rewrite_tar(source, target, replacements)
        return ()
    raise Refused(
        f"a container of the kind {kind!r} cannot be rewritten",
        where=str(source),
        remedy="Unpack it, align the folder, and pack it again with the tool that made it.",
    )


def folder(path: Path, replacements: Mapping[str, Path]) -> tuple[str, ...]:
    """Replace files below a folder, named by their paths relative to it. Modes and times stay those of the old files.

    Raises OutputError.
    """
    for name, replacement in replacements.items():
        copy(replacement, path / name, like=path / name)
    return ()


def copy(source: Path, target: Path, *, like: Path) -> None:
    """Write the bytes of one file to `target`, whole or not at all, with the mode and times of `like`."""
    status = like.stat()
    with source.open("rb") as reader, replacing(target, mode=status.st_mode & 0o7777) as writer:
        copy_with_holes(reader.fileno(), writer.fileno())
    # Guile takes an object file only while it is not older than its source, and ninja compares times, too.
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
