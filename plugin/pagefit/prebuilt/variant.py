"""A variant: the whole install set of one wheel, for one platform, with everything needed to trust it.

On disk it is `prebuilt/KEY/manifest.json` beside `prebuilt/KEY/files.tar.xz`. Solid compression makes the pure files
cheap, so the set is whole and no backend has to be tricked into building the rest.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from packaging.utils import parse_wheel_filename

from pagefit.atomic import replacing
from pagefit.containers.walk import walk
from pagefit.elf.headers import Image, read_image
from pagefit.errors import InputError
from pagefit.loaders.machines import machine_name
from pagefit.prebuilt import sparse

SCHEMA: Final = 1
MANIFEST: Final = "manifest.json"
ARCHIVE: Final = "files.tar.xz"
#: How the tarball of a wheel's whole install set ends, in place of `.whl`.
WHOLE: Final = ".whole.tar.xz"

#: A hostile manifest must not make us write more than any real wheel holds (bytes).
LARGEST_SET: Final = 16 << 30


@dataclass(frozen=True, slots=True)
class File:
    """One member of the wheel: its path there, size in bytes, digest, and permission bits."""

    path: str
    size: int
    sha256: str
    mode: int


@dataclass(frozen=True, slots=True)
class Variant:
    """What `manifest.json` says. `files` are in the wheel's order; `source` maps the source files to their sha256.

    `platforms` names class, byte order and machine of the ELF files, such as `64-bit-little-endian-aarch64`; `glibc` is
    the newest GNU C library version any of them asks for, as `2.34`, or empty.
    """

    wheel: str
    tags: tuple[str, ...]
    platforms: tuple[str, ...]
    glibc: str
    source: Mapping[str, str]
    files: tuple[File, ...]

    @property
    def key(self) -> str:
        """The name of its folder: the wheel's tag, then the platforms of its ELF files."""
        return ".".join((self.wheel.removesuffix(".whl").split("-", 2)[2], *self.platforms))

    def to_json(self) -> str:
        """The manifest, the same text for the same variant."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Variant:
        """Read a manifest. Raises InputError, naming `where`, when it is not one or names a path outside the wheel."""
        try:
            data: dict[str, Any] = json.loads(text)
            if data.pop("schema") != SCHEMA:
                raise InputError(
                    "a manifest of another schema", where=where, remedy="Build the sdist again with this pagefit."
                )
            files = tuple(File(**file) for file in data.pop("files"))
            variant = cls(files=files, tags=tuple(data.pop("tags")), platforms=tuple(data.pop("platforms")), **data)
            total = sum(file.size for file in files)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"not a manifest of prebuilt files ({error})", where=where) from error
        if not 0 <= total <= LARGEST_SET or min((file.size for file in files), default=0) < 0:
            raise InputError(f"a set of {total} bytes is not believable", where=where)
        for path in (variant.wheel, *(file.path for file in files)):
            require_inside(path, where)
        return variant


def require_inside(path: str, where: str) -> None:
    """Raise InputError when a path would lead out of the folder it is meant for."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise InputError(f"the path {path!r} leads out of the archive", where=where)


def from_artifact(path: Path, source: Mapping[str, str]) -> tuple[Variant, bytes]:
    """Make the variant of a wheel, or of the tarball `pack_whole` made of one: its manifest and its `files.tar.xz`.

    `source` are the files it was built from. The same artifact gives the same bytes. Raises InputError when it is
    neither.
    """
    wheel = path.name.removesuffix(WHOLE) + ".whl" if path.name.endswith(WHOLE) else path.name
    try:
        *_, tags = parse_wheel_filename(wheel)
        files, packed = _pack(_members(path))
    except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise InputError(f"neither a wheel nor the tarball of one: {error}", where=str(path)) from error
    platforms = set()
    glibc: tuple[int, ...] = ()
    for member in walk(path):
        platforms.add(platform(read_image(member.read_at, member.size, where=member.path)))
        glibc = max(glibc, _newest_glibc(member.read_at(0, member.size)))
    variant = Variant(
        wheel=wheel,
        tags=tuple(sorted(map(str, tags))),
        platforms=tuple(sorted(platforms)),
        glibc=".".join(map(str, glibc)),
        source=dict(source),
        files=files,
    )
    return variant, packed


def pack_whole(wheel: Path, folder: Path) -> Path:
    """Write the whole install set of a wheel as a tarball into `folder`; its path.

    Raises InputError when it is not a wheel, OutputError when the tarball cannot be written.
    """
    _, packed = from_artifact(wheel, {})
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (wheel.stem + WHOLE)
    with replacing(target) as file:
        file.write(packed)
    return target


def platform(image: Image) -> str:
    """Class, byte order and machine of an ELF file in one word."""
    header = image.header
    return f"{header.bits}-bit-{header.byteorder}-endian-{machine_name(header.machine).replace(' ', '-')}"


def _members(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """Name, permission bits and content of every file in a wheel or in the tarball of one."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield info.filename, (info.external_attr >> 16) & 0o777 or 0o644, archive.read(info)
        return
    with tarfile.open(path, "r:xz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            if file is not None:
                yield member.name, member.mode & 0o777, file.read()


def _pack(members: Iterable[tuple[str, int, bytes]]) -> tuple[tuple[File, ...], bytes]:
    files = []
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=6, format=tarfile.PAX_FORMAT) as tar:
        for name, mode, data in members:
            files.append(File(name, len(data), hashlib.sha256(data).hexdigest(), mode))
            entry = tarfile.TarInfo(name)
            entry.mode = mode
            sparse.add(tar, entry, data)
    return tuple(files), buffer.getvalue()


def _newest_glibc(data: bytes) -> tuple[int, ...]:
    # Version names stand as strings in .dynstr; a string elsewhere can only make the demand stricter.
    found = re.findall(rb"\0GLIBC_(\d+)\.(\d+)(?:\.(\d+))?(?=\0)", data)
    return max((tuple(int(part) for part in version if part) for version in found), default=())
