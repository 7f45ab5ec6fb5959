"""The manifest of a prebuilt tarball: what every ELF file in it is, and how it came to be so.

`docs/reference/manifest.schema.json` describes the JSON; `SCHEMA` is its version.
"""

from __future__ import annotations

import hashlib
import json

from pagefit import __version__
from pagefit.elf import constants as c
from pagefit.elf.headers import read_image
from pagefit.elf.notes import build_id
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Final

    from pagefit.containers.member import Member
    from pagefit.elf.headers import Image

SCHEMA: Final = 1
NAME: Final = "manifest.json"
_PIECE: Final = 1 << 18


class Origin(NamedTuple):
    """How a file was mended: by which engine, in words, the p_align of its PT_LOADs before (bytes), and anything else
    the engine wants to be known (values that JSON has)."""

    engine: str
    detail: str
    alignments: tuple[int, ...]
    provenance: Mapping[str, object] = {}


class Subject(NamedTuple):
    """What the files belong to; version and tag are None for what is no wheel."""

    name: str
    version: str | None = None
    tag: str | None = None


def render(subject: Subject, files: Iterable[Mapping[str, object]]) -> bytes:
    """The manifest as it goes into the tarball: the same bytes for the same facts."""
    content = {
        "schema": SCHEMA,
        "generator": f"pagefit {__version__}",
        "name": subject.name,
        "version": subject.version,
        "tag": subject.tag,
        "files": list(files),
    }
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def describe(path: str, member: Member, origin: Origin | None) -> dict[str, object]:
    """The manifest's entry of one file under its installed path. Raises InputError when it is not whole as ELF."""
    image = read_image(member.read_at, member.size, where=member.path)
    after = [segment.align for segment in image.loads]
    return {
        "path": path,
        "sha256": sha256(member),
        "size": member.size,
        "padding": padding(image, member),
        "build_id": build_id(image, member.read_at),
        "class": image.header.bits,
        "byte_order": image.header.byteorder,
        "machine": machine_name(image.header.machine),
        "alignments": {"before": list(origin.alignments) if origin else after, "after": after},
        "mended": {"engine": origin.engine, "detail": origin.detail, **_provenance(origin)} if origin else None,
        **_guile(image, member),
    }


def _provenance(origin: Origin) -> dict[str, object]:
    return {"provenance": dict(origin.provenance)} if origin.provenance else {}


def _guile(image: Image, member: Member) -> dict[str, object]:
    # No machine's code: only such files can be Guile's.
    if image.header.machine != c.EM_NONE:
        return {}
    from pagefit.guile.format import bytecode_version, variant

    version = bytecode_version(image, member.read_at)
    return {"guile": {"variant": variant(image), "bytecode": str(version)}} if version else {}


def sha256(member: Member) -> str:
    """The SHA-256 of a member, in hexadecimal."""
    hasher = hashlib.sha256()
    for offset in range(0, member.size, _PIECE):
        hasher.update(member.read_at(offset, min(_PIECE, member.size - offset)))
    return hasher.hexdigest()


def padding(image: Image, member: Member) -> int:
    """How many bytes between the PT_LOADs of a file are zeros that only move the next one to its page (bytes).

    Sections that lie between segments, as patchelf puts them, are no padding; zeros around them are.
    """
    total, end = 0, 0
    for segment in sorted(image.loads, key=lambda segment: segment.offset):
        if end and segment.offset > end:
            gap = member.read_at(end, min(segment.offset, member.size) - end)
            total += len(gap) - len(gap.strip(b"\0"))
        end = max(end, segment.file_end)
    return total


def machine_name(number: int) -> str:
    """The name of an e_machine as the gABI has it, such as EM_AARCH64; the number in hexadecimal when it has none."""
    names: dict[Any, str] = {value: name for name, value in vars(c).items() if name.startswith("EM_")}
    if number not in names:
        # Imported late: it takes longer than to pack a small wheel.
        from elftools.elf.enums import ENUM_E_MACHINE

        names = {value: name for name, value in ENUM_E_MACHINE.items() if isinstance(value, int)}
    return names.get(number, f"{number:#x}")


def is_executable(image: Image) -> bool:
    """Whether a file is for running rather than for loading into another: only programs name an interpreter."""
    return image.first(c.PT_INTERP) is not None or image.header.type == c.ET_EXEC
