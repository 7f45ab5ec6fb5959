"""The prebuilt tarball: the ELF files of a wheel or tree under their installed paths, behind a manifest of them.

The same files give the same bytes, on any machine, with any number of processors and at any time.
"""

from __future__ import annotations

import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pagefit import manifest
from pagefit.atomic import make_folder, replacing
from pagefit.containers import compression, zipdirectory, zipmembers
from pagefit.containers.kinds import TAR_BLOCK, is_loadable
from pagefit.containers.member import Member, is_safe_name, open_file
from pagefit.containers.threads import HASHING, INFLATING, Jobs
from pagefit.containers.walk import walk
from pagefit.elf.headers import read_image
from pagefit.errors import ConfigError, InputError
from pagefit.manifest import Origin, Subject

Compression = Literal["xz", "zst", "gz"]

_PIECE: Final = 1 << 18
#: So much of a wheel's ELF files (bytes) is decompressed once, for the manifest, and kept for the archive behind it.
_KEPT: Final = 64 << 20
#: Where the folders of a wheel's `.data` folder go, below the prefix that the rest of the wheel is unpacked into.
_SCHEMES: Final = {"purelib": "", "platlib": "", "scripts": "bin/", "data": "", "headers": "include/"}


class _Artifact(NamedTuple):
    mode: int
    entry: Mapping[str, object]


class _File(NamedTuple):
    """An ELF file by its installed path, its size (bytes), and a way to open it: nothing is read before its turn."""

    path: str
    size: int
    opened: Callable[[], Member]


def write(
    wheel: Path, folder: Path, *, compression: Compression = "xz", origins: Mapping[str, Origin] | None = None
) -> Path:
    """Write the prebuilt tarball of a wheel into a folder, which is made if need be; returns its path.

    `origins` says by member name how files were mended. Raises InputError when this is no wheel, holds no ELF file or
    a broken one, or two that are installed under the same path; OutputError when the tarball cannot be written.
    """
    origins = {_installed(name): origin for name, origin in (origins or {}).items()}
    archive = open_file(wheel)
    entries = zipdirectory.read_directory(archive).by_name
    # What lies in an archive within the wheel is not installed.
    names = [member.names[1] for member in walk(wheel) if len(member.names) == 2]
    files = []
    room = _KEPT
    for path, entry in sorted((_installed(name), entries[name]) for name in names):
        opened = partial(zipmembers.whole, archive, entry)
        fits = entry.size <= room
        room -= entry.size if fits else 0
        files.append(_File(path, entry.size, cache(opened) if fits else opened))
    return _write(files, folder / wheel.stem, partial(_subject, wheel), compression, origins, {}, where=str(wheel))


def _subject(wheel: Path) -> Subject:
    # Imported late: it takes as long as to inflate ten megabytes, which is done at the same time.
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        name, version, build, _ = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename as error:
        raise InputError(f"not the name of a wheel ({error})", where=str(wheel)) from None
    return Subject(name, str(version), wheel.stem.split("-", 3 if build else 2)[-1])


def write_tree(
    files: Iterable[tuple[str, Path]],
    folder: Path,
    *,
    stem: str,
    compression: Compression = "xz",
    origins: Mapping[str, Origin] | None = None,
    links: Mapping[str, str] | None = None,
) -> Path:
    """Write the prebuilt tarball `{stem}.prebuilt.tar.{compression}` of files given with their installed paths.

    Those that are not ELF are left out. `links` are symbolic links to them: paths with what they point to. Raises as
    `write` does.
    """
    loadable = [
        _File(path, file.stat().st_size, partial(open_file, file))
        for path, file in sorted(files)
        if is_loadable(open_file(file).read_at(0, TAR_BLOCK))
    ]
    return _write(loadable, folder / stem, partial(Subject, stem), compression, origins or {}, links or {}, where=stem)


def _installed(name: str) -> str:
    """The installed path of a wheel's member (PEP 427): `x-1.data/scripts/y` is `bin/y`."""
    top, _, rest = name.partition("/")
    scheme, _, path = rest.partition("/")
    if top.endswith(".data") and scheme in _SCHEMES:
        return _SCHEMES[scheme] + path
    return name


def _write(
    files: Sequence[_File],
    base: Path,
    subject: Callable[[], Subject],
    kind: Compression,
    origins: Mapping[str, Origin],
    links: Mapping[str, str],
    *,
    where: str,
) -> Path:
    for path, count in Counter(file.path for file in files).items():
        if count > 1:
            raise InputError(f"two ELF files are installed as {path}", where=where)
        if not is_safe_name(path):
            raise InputError(f"{path!r} is not a safe path to install to", where=where)
    if not files:
        raise InputError("holds no ELF files to pack", where=where)

    jobs = Jobs()
    named = jobs.add(1, subject)
    described = [
        jobs.add((INFLATING + HASHING) * file.size, partial(_described, file, origins.get(file.path))) for file in files
    ]
    with jobs:
        what = named()
        artifacts = [result() for result in described]
    target = base.with_name(f"{base.name}.prebuilt.tar.{kind}")
    make_folder(target.parent)
    with replacing(target) as file:
        for piece in compression.compressed(_tar(files, artifacts, what, links), kind, where=str(target)):
            file.write(piece)
    return target


def _described(file: _File, origin: Origin | None) -> _Artifact:
    member = file.opened()
    image = read_image(member.read_at, member.size, where=member.path)
    mode = 0o755 if manifest.is_executable(image) else 0o644
    return _Artifact(mode, manifest.describe(file.path, member, origin))


def _tar(
    files: Sequence[_File], artifacts: Sequence[_Artifact], subject: Subject, links: Mapping[str, str]
) -> Iterator[bytes]:
    """The tar archive, piece by piece: the manifest first, then the files, then the links, sorted."""
    time = source_date()
    text = manifest.render(subject, [artifact.entry for artifact in artifacts])
    yield _header(manifest.NAME, len(text), 0o644, time) + text + _filling(len(text))
    for file, artifact in zip(files, artifacts, strict=True):
        member = file.opened()
        yield _header(file.path, member.size, artifact.mode, time)
        for offset in range(0, member.size, _PIECE):
            yield member.read_at(offset, min(_PIECE, member.size - offset))
        yield _filling(member.size)
        del member  # before the next is there
    for path in sorted(links):
        yield _header(path, 0, 0o777, time, links[path])
    yield bytes(2 * TAR_BLOCK)


def _header(path: str, size: int, mode: int, time: int, link: str = "") -> bytes:
    info = tarfile.TarInfo(path)
    if link:
        info.type, info.linkname = tarfile.SYMTYPE, link
    info.size, info.mode, info.mtime, info.uname, info.gname = size, mode, time, "root", "root"
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _filling(size: int) -> bytes:
    return bytes(-size % TAR_BLOCK)


def source_date() -> int:
    """Seconds since 1970 that files are dated with: https://reproducible-builds.org/specs/source-date-epoch/."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "0")
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"SOURCE_DATE_EPOCH is {text!r}", remedy="Give seconds since 1970, or unset it.")
    return int(text)
