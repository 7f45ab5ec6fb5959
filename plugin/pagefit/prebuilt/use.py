"""Putting a wheel together from the variant of an unpacked sdist that fits this machine, instead of compiling.

Nothing here trusts the sdist: every byte is checked against the manifest before a wheel appears, paths stay inside the
wheel, only regular files count, and no more is written than the manifest says.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from packaging.tags import sys_tags
from packaging.utils import canonicalize_name

from pagefit.atomic import replacing
from pagefit.containers.walk import walk
from pagefit.elf.headers import read_image
from pagefit.errors import InputError
from pagefit.loaders.judge import judge
from pagefit.prebuilt import source
from pagefit.prebuilt.variant import ARCHIVE, MANIFEST, Variant, require_inside

_DAMAGED = "Fetch the sdist again, or build with `-C pagefit.prebuilt=never`."


class Unfit(Exception):  # not an error: the reason why this build compiles
    """Why no variant of this tree can be used here."""


def choose(root: Path) -> tuple[Variant, Path]:
    """The variant in `root`/prebuilt that this interpreter prefers, and its folder.

    Raises Unfit with the reason when there is none for this platform, or the source is not the one it was built from.
    """
    variants = [
        (Variant.from_json(path.read_text(encoding="utf-8"), where=str(path)), path.parent)
        for path in sorted(root.glob(f"prebuilt/*/{MANIFEST}"))
    ]
    if not variants:
        raise Unfit("this source tree has no prebuilt files")
    ranks = {str(tag): rank for rank, tag in enumerate(sys_tags())}
    usable = [
        (min(ranks[tag] for tag in variant.tags if tag in ranks), variant, folder)
        for variant, folder in variants
        if any(tag in ranks for tag in variant.tags)
    ]
    if not usable:
        raise Unfit(f"none of the prebuilt files is for this platform ({', '.join(v.key for v, _ in variants)})")
    _, variant, folder = min(usable, key=lambda entry: entry[0])
    if _version(variant.glibc) > _version(_libc_version()):
        raise Unfit(f"the prebuilt files ask for glibc {variant.glibc}, here is {_libc_version() or 'none'}")
    if changed := source.difference(variant.source, source.of_tree(root)):
        raise Unfit(f"the source is not the one the prebuilt files were built from: {changed}")
    return variant, folder


def unwanted(name: str, environ: Mapping[str, str]) -> str:
    """The reason why the user of this machine wants no prebuilt files of the project `name`; empty when there is none.

    pip's `--no-binary` reaches a build only as the variable PIP_NO_BINARY.
    """
    names = {part.strip() for part in environ.get("PIP_NO_BINARY", "").split(",")}
    if ":all:" in names or canonicalize_name(name) in {canonicalize_name(one) for one in names if one}:
        return "PIP_NO_BINARY asks for building from source"
    return ""


def assemble(variant: Variant, folder: Path, wheel_directory: Path) -> Path:
    """Write the variant's wheel into `wheel_directory`, every file checked; the wheel.

    Raises InputError, naming the file, when a digest or size differs or a member is no regular file; then there is no
    wheel. Raises Unfit when a loader of this machine would not load one of the files.
    """
    target = wheel_directory / variant.wheel
    with replacing(target) as raw:
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as wheel:
            _fill(wheel, variant, folder / ARCHIVE)
        raw.flush()
        _judge(Path(raw.name))
    return target


def metadata(variant: Variant, wheel: Path) -> bytes:
    """The METADATA of an assembled wheel."""
    name = "-".join(variant.wheel.split("-")[:2])
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"{name}.dist-info/METADATA")


def _fill(wheel: zipfile.ZipFile, variant: Variant, packed: Path) -> None:
    expected = list(variant.files)
    try:
        with tarfile.open(packed, "r:xz") as archive:
            for member in archive:
                require_inside(member.name, str(packed))
                file = archive.extractfile(member) if member.isreg() else None
                if file is None or not expected or member.name != expected[0].path:
                    raise InputError(
                        f"{member.name} is not what the manifest lists", where=str(packed), remedy=_DAMAGED
                    )
                entry = expected.pop(0)
                info = zipfile.ZipInfo(entry.path, date_time=(1980, 1, 1, 0, 0, 0))
                info.external_attr = (0o100000 | entry.mode & 0o755) << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                with wheel.open(info, "w") as out:
                    _copy(file, out, entry.size, entry.sha256, f"{packed}: {entry.path}")
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=str(packed), remedy=_DAMAGED) from error
    if expected:
        raise InputError(f"{expected[0].path} is missing", where=str(packed), remedy=_DAMAGED)


def _copy(file: IO[bytes], out: IO[bytes], size: int, sha256: str, where: str) -> None:
    state = hashlib.sha256()
    left = size
    while chunk := file.read(min(1 << 20, left + 1)):
        left -= len(chunk)
        if left < 0:
            break
        state.update(chunk)
        out.write(chunk)
    if left or state.hexdigest() != sha256:
        raise InputError("size or sha256 differs from the manifest's", where=where, remedy=_DAMAGED)


def _judge(wheel: Path) -> None:
    page_size = os.sysconf("SC_PAGE_SIZE")
    for member in walk(wheel):
        verdict = judge(read_image(member.read_at, member.size), member.read_at, page_sizes=[page_size]).at(page_size)
        if not verdict.loads:
            raise Unfit(f"{member.path.rpartition('!')[2]} would not load here: {verdict.label}")


def _libc_version() -> str:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc ")
    except (ValueError, OSError):
        return ""  # not the GNU C library


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
