"""A zip archive with some members replaced: everything else is copied as it is, still compressed.

From one member's local header to the next member's, bytes travel unread: data descriptors, extra fields and gaps with
them. The directory's records change in nothing but offsets. Replaced members keep their place, name, date, attributes,
extra fields and method; one that is made of what is known of others keeps all but its place, and comes last.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from collections import Counter
from functools import partial
from operator import attrgetter

from pagefit.atomic import copy_range, replacing
from pagefit.containers import zipdirectory as z
from pagefit.containers import zipmembers
from pagefit.containers.deflating import pack
from pagefit.containers.member import Member, open_file, unsafe_names
from pagefit.containers.threads import DEFLATING, Jobs
from pagefit.containers.zipnewdirectory import NewDirectory, without_zip64
from pagefit.errors import InputError, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Set
    from typing import IO, Final

    from _typeshed import StrPath

    from pagefit.containers.deflating import Content, Packed

#: What a job weighs for each entry that it looks at.
_CHECKING: Final = 700
_SIGNING_BLOCK: Final = b"APK Sig Block 42"
_SIGNATURE_FILES: Final = (".SF", ".RSA", ".DSA", ".EC")


def rewrite_zip(source: StrPath, target: StrPath, replacements: Mapping[str, Content]) -> None:
    """Write `source` to `target` (which may be the same file) with the named members replaced.

    Without replacements the copy is identical, byte for byte. Raises InputError for an archive that is broken,
    encrypted, or has duplicate names or names that climb out, and for a replacement that is no member of it; Refused
    for a signed one and for Android packages, where a new library voids the signature and the alignment of all others.
    """
    archive = open_file(source)
    directory = z.read_directory(archive)
    check_replaced(archive, directory, replacements.keys())
    rewrite(archive, directory, target, replacements, {}, (), Jobs())


def rewrite(
    archive: Member,
    directory: z.Directory,
    target: StrPath,
    replacements: Mapping[str, Content],
    last: Mapping[str, Callable[[], bytes]],
    drop: Collection[str],
    jobs: Jobs,
) -> None:
    """What `rewrite_zip` does, for an archive that `check_replaced` has passed, dropping some members.

    What `last` replaces is written behind all other members, which are copied while it is made: it can depend on the
    results of other `jobs`.
    """

    def packing(name: str, content: Content | Callable[[], bytes]) -> Callable[[], Packed]:
        entry = directory.by_name[name]
        return jobs.add(DEFLATING * entry.size, partial(_pack, content, _method(archive, entry)))

    packed = {name: packing(name, content) for name, content in replacements.items() if name not in last}
    packed_last = {name: packing(name, content) for name, content in last.items()}
    checked = jobs.add(_CHECKING * len(directory.entries), partial(_check_names, archive, directory))
    with replacing(target, mode=os.stat(archive.path).st_mode & 0o7777) as file, jobs:
        _copy_members(archive, directory, file, packed, packed_last, drop).write(file)
        checked()


def check_replaced(archive: Member, directory: z.Directory, names: Set[str]) -> None:
    """Raise InputError for what is no member of an archive, and Refused for an archive that must not be changed."""
    _refuse_signed(archive, directory)
    for name in names - directory.by_name.keys():
        raise InputError(f"has no member {name} to replace", where=archive.path)


def _check_names(archive: Member, directory: z.Directory) -> None:
    """Raise InputError for members that are encrypted, that come twice, or whose names lead out of a folder."""
    remedy = "Build the archive again with a tool that does not write this."
    if len(directory.by_name) < len(directory.entries):
        name, count = Counter(entry.name for entry in directory.entries).most_common(1)[0]
        raise InputError(f"{name} is in the archive {count} times", where=archive.path, remedy=remedy)
    for name in unsafe_names(directory.by_name):
        raise InputError(f"{name!r} is not a safe member name", where=archive.path, remedy=remedy)
    for entry in directory.entries:
        if entry.flags & z.FLAG_ENCRYPTED:
            raise InputError(f"{entry.name} is encrypted", where=archive.path, remedy="Decrypt the archive first.")


def _refuse_signed(archive: Member, directory: z.Directory) -> None:
    # APK signature schemes 2 and up keep a block between the last member and the directory.
    gap = directory.start - directory.members_end
    block = archive.read_at(directory.start - min(gap, len(_SIGNING_BLOCK)), min(gap, len(_SIGNING_BLOCK)))
    signed = block == _SIGNING_BLOCK or (
        b"META-INF/" in directory.data
        and any(name.startswith("META-INF/") and name.endswith(_SIGNATURE_FILES) for name in directory.by_name)
    )
    if signed or archive.path.endswith(".apk"):
        what = "is signed" if signed else "is an Android package"
        remedy = "Mend the libraries before packaging; then run zipalign -P 16 and sign."
        raise Refused(f"{what}: a replaced member voids the signature and alignment", where=archive.path, remedy=remedy)


def _copy_members(
    archive: Member,
    directory: z.Directory,
    file: IO[bytes],
    packed: dict[str, Callable[[], Packed]],
    last: Mapping[str, Callable[[], Packed]],
    drop: Collection[str],
) -> NewDirectory:
    """Write all members; return the directory of what was written."""
    ordered = directory.ordered
    new = NewDirectory(directory)
    # What stays is copied together, from behind one member that does not to the next.
    following, copied, shift = 0, 0, 0
    with open(archive.path, "rb", buffering=0) as source:
        for entry in sorted((directory.by_name[name] for name in (*packed, *last, *drop)), key=attrgetter("offset")):
            number = bisect_left(ordered, entry.offset, key=attrgetter("offset"))
            new.move(ordered[following:number], shift)
            _copy(source, file, copied, entry.offset)
            if entry.name in packed:
                _write_member(archive, file, entry, packed.pop(entry.name)(), new)
            elif entry.name in drop:
                new.drop(entry)
            # Of the last, nothing but the old bytes is left out here.
            following = number + 1
            copied = ordered[following].offset if following < len(ordered) else directory.start
            shift = file.tell() - copied
        new.move(ordered[following:], shift)
        _copy(source, file, copied, directory.start)
    for name, made in last.items():
        _write_member(archive, file, directory.by_name[name], made(), new)
    return new


def _pack(content: Content | Callable[[], bytes], method: int) -> Packed:
    return pack(content() if callable(content) else content, method)


def _method(archive: Member, entry: z.Entry) -> int:
    if entry.method not in z.METHODS:
        raise Refused(f"{entry.name} is compressed by method {entry.method}", where=archive.path)
    return entry.method


def _copy(source: IO[bytes], file: IO[bytes], start: int, end: int) -> None:
    if start < end:
        at = file.tell()
        file.flush()
        copy_range(source.fileno(), file.fileno(), start, at, end - start)
        file.seek(at + end - start)


def _write_member(archive: Member, file: IO[bytes], entry: z.Entry, packed: Packed, new: NewDirectory) -> None:
    """Write local header and data, and note them in the new directory."""
    new.change(entry, packed, file.tell())
    start = zipmembers.data_offset(archive, entry)
    local = archive.read_at(entry.offset, start - entry.offset)
    name, extra = entry.raw_name, without_zip64(local[z.LOCAL.size + len(entry.raw_name) :])
    _, version, flags, method, time, date, *_ = z.LOCAL.unpack_from(local)
    # Sizes are known now, so the header says them and no data descriptor follows.
    flags &= ~z.FLAG_DESCRIPTOR
    sizes = (packed.compressed_size, packed.size)
    if max(sizes) >= z.LIMIT32:
        extra += struct.pack("<HHQQ", z.ZIP64_EXTRA, 16, packed.size, packed.compressed_size)
        version, sizes = max(version, z.VERSION_ZIP64), (z.LIMIT32, z.LIMIT32)
    fields = (version, flags, method, time, date, packed.crc, *sizes, len(name), len(extra))
    file.write(z.LOCAL.pack(z.LOCAL_SIGNATURE, *fields) + name + extra)
    if isinstance(packed.data, bytes | bytearray):
        file.write(packed.data)
    else:
        with open(packed.data, "rb", buffering=0) as source:
            _copy(source, file, 0, packed.size)
