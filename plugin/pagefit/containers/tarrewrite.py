"""A tar archive with some files replaced: the other members' blocks are copied as they are, whatever wrote them.

Of a replaced file's header only the size and the checksum change: name, owner, mode, date and extended attributes stay.
Compressed archives are compressed again, the same way; plain ones are copied block for block.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from pagefit.atomic import replacing
from pagefit.containers import compression, decompression, tarmembers
from pagefit.containers.kinds import COMPRESSIONS, TAR_BLOCK, kind_of
from pagefit.containers.member import Member, open_file
from pagefit.errors import InputError, Refused

if TYPE_CHECKING:
    from _typeshed import StrPath

_PIECE: Final = 1 << 20
#: What eleven octal digits can say (bytes).
_LARGEST: Final = 8**11 - 1


def rewrite_tar(source: StrPath, target: StrPath, replacements: Mapping[str, StrPath]) -> None:
    """Write `source`, a plain or compressed tar archive, to `target` (which may be the same) with files replaced.

    Raises InputError for a damaged archive, a replacement that is no file of it, and a replaced name that it has twice;
    Refused for files whose size lies in an extension (sparse ones, and those of 8 GiB and more).
    """
    archive = open_file(source)
    kind = kind_of(archive.read_at(0, TAR_BLOCK))
    if kind is None or kind not in ("tar", *COMPRESSIONS):
        raise InputError("not a tar archive", where=os.fspath(source))
    with tempfile.TemporaryFile() as scratch, replacing(target, mode=os.stat(source).st_mode & 0o7777) as file:
        if kind != "tar":
            for piece in decompression.decompressed(archive, kind):
                scratch.write(piece)
            scratch.flush()
            descriptor = scratch.fileno()
            archive = Member(archive.names, scratch.tell(), lambda at, length: os.pread(descriptor, length, at))
        pieces: Iterable[bytes] = _rewritten(archive, replacements)
        if kind != "tar":
            pieces = compression.compressed(pieces, kind, os.fspath(target))
        for piece in pieces:
            file.write(piece)


def _rewritten(archive: Member, replacements: Mapping[str, StrPath]) -> Iterator[bytes]:
    missing = set(replacements)
    copied = 0
    for header in tarmembers.headers(archive):
        name = tarmembers.name_of(header)
        if name not in replacements or not header.isreg():
            continue
        if name not in missing:
            raise InputError(f"{name} is in the archive twice", where=archive.path)
        missing.remove(name)
        new = open_file(replacements[name])
        if header.issparse() or "size" in header.pax_headers or max(header.size, new.size) > _LARGEST:
            raise Refused(f"{name} is sparse, or larger than 8 GiB", where=archive.path)
        # Extended headers come before; this is the block that belongs to the data.
        start = header.offset_data - TAR_BLOCK
        yield from _pieces(archive, copied, start)
        yield _resized(archive.read_at(start, TAR_BLOCK), new.size)
        yield from _pieces(new, 0, new.size)
        yield bytes(-new.size % TAR_BLOCK)
        copied = header.offset_data + header.size + -header.size % TAR_BLOCK
    if missing:
        raise InputError(f"has no file {', '.join(sorted(missing))} to replace", where=archive.path)
    yield from _pieces(archive, copied, archive.size)


def _resized(block: bytes, size: int) -> bytes:
    """A header block with another size (POSIX.1-2017, pax, "ustar Interchange Format")."""
    block = block[:124] + b"%011o\0" % size + block[136:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _pieces(member: Member, start: int, end: int) -> Iterator[bytes]:
    for offset in range(start, end, _PIECE):
        yield member.read_at(offset, min(_PIECE, end - offset))
