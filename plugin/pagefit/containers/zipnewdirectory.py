"""The table of contents of a rewritten zip archive: the old one's records, with nothing changed but what has to be."""

from __future__ import annotations

import struct

from pagefit.containers import zipdirectory as z

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO, Final

    from pagefit.containers.deflating import Packed

#: Where in a record the offset of its member is.
_OFFSET_AT: Final = 42
_OFFSET: Final = struct.Struct("<L")


class NewDirectory:
    """Made of the directory of the archive that is rewritten: `move`, `change` or `drop` each entry, then `write`."""

    def __init__(self, old: z.Directory) -> None:
        self._old = old
        self._data = bytearray(old.data)
        #: Records that are of another length now, or gone, by where the old ones are in the directory.
        self._records: dict[int, bytes] = {}

    def move(self, entries: Iterable[z.Entry], shift: int) -> None:
        """Members were copied to `shift` bytes behind where they were in the file."""
        if not shift:
            return
        data, get, put = self._data, _OFFSET.unpack_from, _OFFSET.pack_into
        shift -= self._old.prefix
        for entry in entries:
            offset = entry.offset + shift
            at = entry.at + _OFFSET_AT
            if offset < z.LIMIT32 and get(data, at)[0] != z.LIMIT32:
                put(data, at, offset)
            else:
                self._put(entry, entry.size, entry.compressed_size, offset)

    def change(self, entry: z.Entry, packed: Packed, offset: int) -> None:
        """A member has other content now, and its header is at this offset in the file."""
        self._put(entry, packed.size, packed.compressed_size, offset - self._old.prefix, crc=packed.crc)

    def drop(self, entry: z.Entry) -> None:
        """A member is gone."""
        self._records[entry.at] = b""

    def _put(self, entry: z.Entry, size: int, compressed_size: int, offset: int, crc: int | None = None) -> None:
        """Make the record with these values; `crc` is given when the content is new.

        A zip64 field that copied members have is kept, needed or not: their local headers have one too.
        """
        fields = list(z.CENTRAL.unpack_from(self._old.data, entry.at))
        name, extra, comment = self._texts(entry.at)
        stated = (fields[9], fields[8], fields[16])
        zip64 = b""
        narrow = []
        for value, before in zip((size, compressed_size, offset), stated, strict=True):
            wide = value >= z.LIMIT32 or (crc is None and before == z.LIMIT32)
            zip64 += value.to_bytes(8, "little") if wide else b""
            narrow.append(z.LIMIT32 if wide else value)
        extra = without_zip64(extra)
        if zip64:
            extra = struct.pack("<HH", z.ZIP64_EXTRA, len(zip64)) + zip64 + extra
            fields[2] = max(fields[2], z.VERSION_ZIP64)
        if crc is not None:
            fields[3] &= ~z.FLAG_DESCRIPTOR
            fields[7] = crc
        fields[9], fields[8], fields[16], fields[13] = *narrow, 0
        fields[11] = len(extra)
        self._records[entry.at] = z.CENTRAL.pack(*fields) + name + extra + comment

    def _texts(self, at: int) -> tuple[bytes, bytes, bytes]:
        """The name, extra fields and comment of the old record at `at`."""
        data, lengths = self._old.data, z.CENTRAL.unpack_from(self._old.data, at)[10:13]
        name = at + z.CENTRAL.size
        extra = name + lengths[0]
        comment = extra + lengths[1]
        return data[name:extra], data[extra:comment], data[comment : comment + lengths[2]]

    def write(self, file: IO[bytes]) -> None:
        """Write the directory and the end records where the file is."""
        old = self._old
        start, copied = file.tell(), 0
        data = memoryview(self._data)
        for at, record in sorted(self._records.items()):
            file.write(data[copied:at])
            file.write(record)
            copied = at + z.CENTRAL.size + sum(map(len, self._texts(at)))
        file.write(data[copied:])
        size, offset, end64_offset = file.tell() - start, start - old.prefix, file.tell() - old.prefix
        count = len(old.entries) - list(self._records.values()).count(b"")
        if old.end64 or count >= z.LIMIT16 or size >= z.LIMIT32 or offset >= z.LIMIT32:
            made, needed = struct.unpack_from("<2H", old.end64, 12) if old.end64 else (z.VERSION_ZIP64,) * 2
            record_size = z.END64.size - 12
            file.write(z.END64.pack(z.END64_SIGNATURE, record_size, made, needed, 0, 0, count, count, size, offset))
            file.write(z.LOCATOR64.pack(z.LOCATOR64_SIGNATURE, 0, end64_offset, 1))
        _, _, _, _, stated_count, stated_size, stated_offset, comment_length = z.END.unpack_from(old.end_record)
        count = _narrow(count, stated_count, z.LIMIT16)
        size, offset = _narrow(size, stated_size, z.LIMIT32), _narrow(offset, stated_offset, z.LIMIT32)
        file.write(z.END.pack(z.END_SIGNATURE, 0, 0, count, count, size, offset, comment_length))
        file.write(old.end_record[z.END.size :])


def without_zip64(extra: bytes) -> bytes:
    """The extra fields of a header without the one of zip64."""
    return b"".join(field for kind, field in _extra_fields(extra) if kind != z.ZIP64_EXTRA)


def _extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        yield kind, extra[: 4 + length]
        extra = extra[4 + length :]
    # zipalign pads with up to three bytes that are no field.
    if extra:
        yield -1, extra


def _narrow(value: int, stated: int, limit: int) -> int:
    """What the short end record says: the limit when the zip64 one has to be read, or had to be before."""
    return limit if stated == limit else min(value, limit)
