"""The table of contents of a zip archive (PKWARE APPNOTE 6.3.10), read with two or three small reads.

`zipfile` reads the same, three times slower, and hides where each member's bytes lie, which copying them as they are
needs. Checked here is what makes two readers see two different archives: overlaps, spanned disks, stray bytes.
"""

from __future__ import annotations

import struct
from functools import cached_property
from operator import attrgetter

from pagefit.containers.member import Member
from pagefit.errors import InputError
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

STORED: Final = 0
DEFLATED: Final = 8
#: Those that can be read and written here.
METHODS: Final = (STORED, DEFLATED)
FLAG_ENCRYPTED: Final = 0x1
FLAG_DESCRIPTOR: Final = 0x8
FLAG_UTF8: Final = 0x800
LIMIT16: Final = 0xFFFF
LIMIT32: Final = 0xFFFFFFFF
ZIP64_EXTRA: Final = 0x0001
#: "Version needed to extract" for zip64 (APPNOTE 4.4.3.2).
VERSION_ZIP64: Final = 45

#: Signature, version needed, flags, method, time, date, CRC, sizes, lengths of name and extra (APPNOTE 4.3.7).
LOCAL: Final = struct.Struct("<4s5H3L2H")
#: Signature, versions, flags, method, time, date, CRC, sizes, lengths, disk, attributes, offset (APPNOTE 4.3.12).
CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
#: The same without what only whoever writes needs: signature, flags, method, CRC, sizes, lengths, disk, offset.
_CENTRAL_FIELDS: Final = struct.Struct("<4s4x2H4x3L4H6xL")
END: Final = struct.Struct("<4s4H2LH")
END64: Final = struct.Struct("<4sQ2H2L4Q")
LOCATOR64: Final = struct.Struct("<4sLQL")
LOCAL_SIGNATURE: Final = b"PK\3\4"
CENTRAL_SIGNATURE: Final = b"PK\1\2"
END_SIGNATURE: Final = b"PK\5\6"
END64_SIGNATURE: Final = b"PK\6\6"
LOCATOR64_SIGNATURE: Final = b"PK\6\7"

_FETCH_AGAIN: Final = "Fetch or build the archive again; it is truncated or damaged."


class Entry(NamedTuple):
    """One member: sizes and offsets in bytes.

    `offset` is where its local header begins in the file; `at` is where its record begins in the directory.
    """

    name: str
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    offset: int
    at: int

    @property
    def raw_name(self) -> bytes:
        """The name as it is in the file."""
        return self.name.encode("utf-8" if self.flags & FLAG_UTF8 or self.name.isascii() else "cp437")


class Directory:
    """The entries in directory order, the directory itself as it is in the file, its offset, and the end records.

    `ordered` are the entries by offset; `members_end` is where the last one's data end (or, with a data descriptor,
    nearly). `prefix` counts bytes before the archive (a self-extracting stub): offsets written inside it are off by as
    much. `end64` is the zip64 end record, empty without one; `end_record` is the end record with its comment.
    """

    def __init__(
        self,
        entries: list[Entry],
        ordered: list[Entry],
        members_end: int,
        data: bytes,
        start: int,
        prefix: int,
        end64: bytes,
        end_record: bytes,
    ) -> None:
        self.entries = entries
        self.ordered = ordered
        self.members_end = members_end
        self.data = data
        self.start = start
        self.prefix = prefix
        self.end64 = end64
        self.end_record = end_record

    @cached_property
    def by_name(self) -> dict[str, Entry]:
        """The entries by name; of those that are there twice, the last."""
        return {entry.name: entry for entry in self.entries}


def read_directory(archive: Member) -> Directory:
    """Read the table of contents of a zip archive.

    Raises InputError when it is truncated, spans disks, or has entries that overlap.
    """
    count, size, stated, end, end64, end_record = _find_end(archive)
    start = end - size
    prefix = start - stated
    if start < 0 or prefix < 0:
        raise _broken(archive, f"the directory should be {size} bytes at offset {stated}, which is not in the file")
    data = archive.read_at(start, size)
    entries: list[Entry] = []
    at = 0
    # Wheels have thousands of members: what a named tuple's own constructor takes would be felt.
    unpack, new = _CENTRAL_FIELDS.unpack_from, tuple.__new__
    behind, in_order = 0, True
    for _ in range(count):
        try:
            (signature, flags, method, crc, compressed, full, name_length, extra_length, comment_length, disk,
             offset) = unpack(data, at)  # fmt: skip
        except struct.error:
            raise _broken(archive, f"the directory ends after {len(entries)} of {count} entries") from None
        name_end = at + 46 + name_length
        record_end = name_end + extra_length + comment_length
        if signature != CENTRAL_SIGNATURE or record_end > size:
            raise _broken(archive, f"directory entry {len(entries)} is not one")
        raw_name = data[at + 46 : name_end]
        try:
            name = raw_name.decode() if raw_name.isascii() or flags & FLAG_UTF8 else raw_name.decode("cp437")
        except UnicodeDecodeError:
            raise _broken(archive, f"the name {raw_name!r} is not the UTF-8 it claims to be") from None
        if compressed == LIMIT32 or full == LIMIT32 or offset == LIMIT32 or disk == LIMIT16:
            extra = data[name_end : name_end + extra_length]
            full, compressed, offset, disk = _zip64_fields(archive, name, extra, full, compressed, offset, disk)
        if disk:
            raise _broken(archive, f"{name} is on another disk")
        offset += prefix
        entries.append(new(Entry, (name, flags, method, crc, compressed, full, offset, at)))
        in_order = in_order and behind <= offset
        behind = offset + 30 + name_length + compressed
        at = record_end
    if at != size:
        raise _broken(archive, f"the directory has {size - at} bytes behind its last entry")
    ordered = entries if in_order else sorted(entries, key=attrgetter("offset"))
    members_end = behind if in_order else _end(archive, ordered)
    if members_end > start:
        raise _broken(archive, "the members reach into the directory")
    return Directory(entries, ordered, members_end, data, start, prefix, end64, end_record)


def _find_end(archive: Member) -> tuple[int, int, int, int, bytes, bytes]:
    """The number of entries, the directory's size and stated offset, where it ends, and the two end records."""
    tail_length = min(archive.size, END.size + LIMIT16)
    tail = archive.read_at(archive.size - tail_length, tail_length)
    at = tail.rfind(END_SIGNATURE)
    # The comment may hold the signature; the record is the one whose comment ends where the file ends.
    while at >= 0 and (at + END.size > len(tail) or at + END.size + END.unpack_from(tail, at)[7] != len(tail)):
        at = tail.rfind(END_SIGNATURE, 0, at + 3)
    if at < 0:
        raise _broken(archive, "the end record of the zip archive is missing")
    _, disk, directory_disk, _, count, size, offset, _ = END.unpack_from(tail, at)
    end = archive.size - tail_length + at
    end64 = b""
    locator = archive.read_at(end - LOCATOR64.size, LOCATOR64.size) if end >= LOCATOR64.size else b""
    if locator.startswith(LOCATOR64_SIGNATURE):
        end -= LOCATOR64.size + END64.size
        end64 = archive.read_at(end, END64.size) if end >= 0 else b""
        if not end64.startswith(END64_SIGNATURE) or len(end64) < END64.size:
            raise _broken(archive, "the zip64 end record is missing")
        _, _, _, _, disk64, directory_disk64, _, count64, size64, offset64 = END64.unpack(end64)
        pairs = [(count, count64, LIMIT16), (size, size64, LIMIT32), (offset, offset64, LIMIT32)]
        if any(narrow not in (wide, limit) for narrow, wide, limit in pairs):
            raise _broken(archive, "the two end records contradict each other")
        disk, directory_disk, count, size, offset = disk64, directory_disk64, count64, size64, offset64
    if disk or directory_disk:
        raise _broken(archive, "the zip archive spans several disks")
    return count, size, offset, end, end64, tail[at:]


def _zip64_fields(
    archive: Member, name: str, extra: bytes, size: int, compressed: int, offset: int, disk: int
) -> tuple[int, int, int, int]:
    # APPNOTE 4.5.3: only the fields that are at their limit are there, in this order.
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == ZIP64_EXTRA:
            body = extra[at + 4 : at + 4 + length]
            try:
                position = 0
                if size == LIMIT32:
                    (size,), position = struct.unpack_from("<Q", body, position), position + 8
                if compressed == LIMIT32:
                    (compressed,), position = struct.unpack_from("<Q", body, position), position + 8
                if offset == LIMIT32:
                    (offset,), position = struct.unpack_from("<Q", body, position), position + 8
                if disk == LIMIT16:
                    (disk,) = struct.unpack_from("<L", body, position)
            except struct.error:
                raise _broken(archive, f"the zip64 field of {name} is cut off") from None
            return size, compressed, offset, disk
        at += 4 + length
    raise _broken(archive, f"{name} needs a zip64 field and has none")


def _end(archive: Member, ordered: list[Entry]) -> int:
    """Where the last of the members ends. Raises InputError when two overlap."""
    end = 0
    for entry in ordered:
        if entry.offset < end:
            raise _broken(archive, f"{entry.name} overlaps another member")
        end = entry.offset + LOCAL.size + len(entry.raw_name) + entry.compressed_size
    return end


def _broken(archive: Member, what: str) -> InputError:
    return InputError(what, where=archive.path, remedy=_FETCH_AGAIN)
