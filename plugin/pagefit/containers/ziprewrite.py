"""A zip archive with some members replaced: everything else is copied as it is, still compressed.

From one member's local header to the next member's, bytes travel unread: data descriptors, extra fields and gaps with
them. The directory's records change in nothing but offsets. Replaced members keep their place, name, date, attributes,
extra fields and method.
"""

from __future__ import annotations

import struct
from collections import Counter
from functools import partial
from pathlib import Path

from pagefit.atomic import copy_range, replacing
from pagefit.containers import zipdirectory as z
from pagefit.containers import zipmembers
from pagefit.containers.deflating import pack
from pagefit.containers.member import Member, open_file, unsafe_names
from pagefit.containers.threads import Jobs
from pagefit.errors import InputError, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import IO, Final

    from pagefit.containers.deflating import Content, Packed

#: How much longer it takes to deflate a byte than to hash it.
_DEFLATING: Final = 16
#: "Version needed to extract" for zip64 (APPNOTE 4.4.3.2).
_VERSION_ZIP64: Final = 45
_SIGNING_BLOCK: Final = b"APK Sig Block 42"
_SIGNATURE_FILES: Final = (".SF", ".RSA", ".DSA", ".EC")


def rewrite_zip(source: Path, target: Path, replacements: Mapping[str, Content]) -> None:
    """Write `source` to `target` (which may be the same file) with the named members replaced.

    Without replacements the copy is identical, byte for byte. Raises InputError for an archive that is broken,
    encrypted, or has duplicate names or names that climb out, and for a replacement that is no member of it; Refused
    for a signed one and for Android packages, where a new library voids the signature and the alignment of all others.
    """
    archive = open_file(source)
    rewrite(archive, z.read_directory(archive), target, replacements, (), Jobs())


def rewrite(
    archive: Member,
    directory: z.Directory,
    target: Path,
    replacements: Mapping[str, Content | Callable[[], bytes]],
    drop: Collection[str],
    others: Jobs,
) -> None:
    """What `rewrite_zip` does, for an archive whose directory was read, dropping some members.

    What a replacement is can depend on the results of other jobs, which are done behind and beside those of packing.
    """
    check_names(archive, directory)
    _refuse_signed(archive, directory)
    for name in {*replacements, *drop} - {entry.name for entry in directory.entries}:
        raise InputError(f"has no member {name} to replace", where=archive.path)
    with replacing(target, mode=Path(archive.path).stat().st_mode & 0o7777) as file:
        records = _copy_members(archive, directory, file, replacements, drop, others)
        _write_directory(file, directory, records)


def check_names(archive: Member, directory: z.Directory) -> None:
    """Raise InputError for members that are encrypted, that come twice, or whose names lead out of a folder."""
    remedy = "Build the archive again with a tool that does not write this."
    names = [entry.name for entry in directory.entries]
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"{name} is in the archive {count} times", where=archive.path, remedy=remedy)
    for name in unsafe_names(names):
        raise InputError(f"{name!r} is not a safe member name", where=archive.path, remedy=remedy)
    for entry in directory.entries:
        if entry.flags & z.FLAG_ENCRYPTED:
            raise InputError(f"{entry.name} is encrypted", where=archive.path, remedy="Decrypt the archive first.")


def _refuse_signed(archive: Member, directory: z.Directory) -> None:
    # APK signature schemes 2 and up keep a block between the last member and the directory.
    last = max(directory.entries, key=lambda entry: entry.offset, default=None)
    gap = directory.start - (last.offset + z.LOCAL.size + len(last.raw_name) + last.compressed_size) if last else 0
    block = archive.read_at(directory.start - min(gap, len(_SIGNING_BLOCK)), min(gap, len(_SIGNING_BLOCK)))
    signed = block == _SIGNING_BLOCK or any(
        entry.name.startswith("META-INF/") and entry.name.endswith(_SIGNATURE_FILES) for entry in directory.entries
    )
    if signed or archive.path.endswith(".apk"):
        what = "is signed" if signed else "is an Android package"
        remedy = "Mend the libraries before packaging; then run zipalign -P 16 and sign."
        raise Refused(f"{what}: a replaced member voids the signature and alignment", where=archive.path, remedy=remedy)


def _copy_members(
    archive: Member,
    directory: z.Directory,
    file: IO[bytes],
    replacements: Mapping[str, Content | Callable[[], bytes]],
    drop: Collection[str],
    others: Jobs,
) -> dict[str, bytes]:
    """Write all members; return the directory record of each, by name."""
    ordered = sorted(directory.entries, key=lambda entry: entry.offset)
    ends = [entry.offset for entry in ordered[1:]] + [directory.start]
    jobs = Jobs()
    packed: dict[str, Callable[[], Packed]] = {}
    for entry in ordered:
        if entry.name in replacements:
            content = replacements[entry.name]
            work = partial(_pack, content, _method(archive, entry))
            packed[entry.name] = work if callable(content) else jobs.add(_DEFLATING * entry.size, work)
    jobs.extend(others)
    records: dict[str, bytes] = {}
    copied, shift = 0, -directory.prefix
    with jobs, open(archive.path, "rb", buffering=0) as source:
        for entry, end in zip(ordered, ends, strict=True):
            if entry.name not in replacements and entry.name not in drop:
                # Copied together with its neighbours, when one comes that is not.
                stays = shift == -directory.prefix
                records[entry.name] = entry.record if stays else _moved(entry, entry.offset + shift)
                continue
            _copy(source, file, copied, entry.offset)
            if entry.name in replacements:
                records[entry.name] = _write_member(
                    archive, file, entry, packed.pop(entry.name)(), entry.offset + shift
                )
            copied, shift = end, file.tell() - end - directory.prefix
        _copy(source, file, copied, directory.start)
    return records


def _pack(content: Content | Callable[[], bytes], method: int) -> Packed:
    return pack(content() if callable(content) else content, method)


def _method(archive: Member, entry: z.Entry) -> int:
    if entry.method not in (z.STORED, z.DEFLATED):
        raise Refused(f"{entry.name} is compressed by method {entry.method}", where=archive.path)
    return entry.method


def _copy(source: IO[bytes], file: IO[bytes], start: int, end: int) -> None:
    if start < end:
        at = file.tell()
        file.flush()
        copy_range(source.fileno(), file.fileno(), start, at, end - start)
        file.seek(at + end - start)


def _write_member(archive: Member, file: IO[bytes], entry: z.Entry, packed: Packed, offset: int) -> bytes:
    """Write local header and data; return the directory record."""
    start = zipmembers.data_offset(archive, entry)
    local = archive.read_at(entry.offset, start - entry.offset)
    extra = _without_zip64(local[z.LOCAL.size + len(entry.raw_name) :])
    _, version, flags, method, time, date, *_ = z.LOCAL.unpack_from(local)
    # Sizes are known now, so the header says them and no data descriptor follows.
    flags &= ~z.FLAG_DESCRIPTOR
    sizes = (packed.compressed_size, packed.size)
    if max(sizes) >= z.LIMIT32:
        extra += struct.pack("<HHQQ", z.ZIP64_EXTRA, 16, packed.size, packed.compressed_size)
        version, sizes = max(version, _VERSION_ZIP64), (z.LIMIT32, z.LIMIT32)
    fields = (version, flags, method, time, date, packed.crc, *sizes, len(entry.raw_name), len(extra))
    file.write(z.LOCAL.pack(z.LOCAL_SIGNATURE, *fields) + entry.raw_name + extra)
    if isinstance(packed.data, Path):
        with open(packed.data, "rb", buffering=0) as source:
            _copy(source, file, 0, packed.size)
    else:
        file.write(packed.data)
    return _record(entry, packed.size, packed.compressed_size, offset, crc=packed.crc)


def _moved(entry: z.Entry, offset: int) -> bytes:
    """The record of a member that was copied to `offset`."""
    if offset < z.LIMIT32 and z.CENTRAL.unpack_from(entry.record)[16] != z.LIMIT32:
        return entry.record[:42] + offset.to_bytes(4, "little") + entry.record[46:]
    return _record(entry, entry.size, entry.compressed_size, offset)


def _record(entry: z.Entry, size: int, compressed_size: int, offset: int, crc: int | None = None) -> bytes:
    """The directory record with these values; `crc` is given when the content is new.

    A zip64 field that copied members have is kept, needed or not: their local headers have one too.
    """
    fields = list(z.CENTRAL.unpack_from(entry.record))
    names_end = z.CENTRAL.size + len(entry.raw_name)
    extra = entry.record[names_end : names_end + fields[11]]
    comment = entry.record[names_end + fields[11] :]
    stated = (fields[9], fields[8], fields[16])
    zip64 = b""
    narrow = []
    for value, before in zip((size, compressed_size, offset), stated, strict=True):
        wide = value >= z.LIMIT32 or (crc is None and before == z.LIMIT32)
        zip64 += value.to_bytes(8, "little") if wide else b""
        narrow.append(z.LIMIT32 if wide else value)
    extra = _without_zip64(extra)
    if zip64:
        extra = struct.pack("<HH", z.ZIP64_EXTRA, len(zip64)) + zip64 + extra
        fields[2] = max(fields[2], _VERSION_ZIP64)
    if crc is not None:
        fields[3] &= ~z.FLAG_DESCRIPTOR
        fields[7] = crc
    fields[9], fields[8], fields[16], fields[13] = *narrow, 0
    fields[11] = len(extra)
    return z.CENTRAL.pack(*fields) + entry.raw_name + extra + comment


def _without_zip64(extra: bytes) -> bytes:
    return b"".join(field for kind, field in _extra_fields(extra) if kind != z.ZIP64_EXTRA)


def _extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        yield kind, extra[: 4 + length]
        extra = extra[4 + length :]
    # zipalign pads with up to three bytes that are no field.
    if extra:
        yield -1, extra


def _write_directory(file: IO[bytes], directory: z.Directory, records: Mapping[str, bytes]) -> None:
    start = file.tell()
    kept = [records[entry.name] for entry in directory.entries if entry.name in records]
    file.write(b"".join(kept))
    size, offset, end64_offset = file.tell() - start, start - directory.prefix, file.tell() - directory.prefix
    count = len(kept)
    if directory.end64 or count >= z.LIMIT16 or size >= z.LIMIT32 or offset >= z.LIMIT32:
        made, needed = struct.unpack_from("<2H", directory.end64, 12) if directory.end64 else (_VERSION_ZIP64,) * 2
        record_size = z.END64.size - 12
        file.write(z.END64.pack(z.END64_SIGNATURE, record_size, made, needed, 0, 0, count, count, size, offset))
        file.write(z.LOCATOR64.pack(z.LOCATOR64_SIGNATURE, 0, end64_offset, 1))
    _, _, _, _, stated_count, stated_size, stated_offset, comment_length = z.END.unpack_from(directory.end)
    count = _narrow(count, stated_count, z.LIMIT16)
    size, offset = _narrow(size, stated_size, z.LIMIT32), _narrow(offset, stated_offset, z.LIMIT32)
    file.write(z.END.pack(z.END_SIGNATURE, 0, 0, count, count, size, offset, comment_length))
    file.write(directory.end[z.END.size :])


def _narrow(value: int, stated: int, limit: int) -> int:
    """What the short end record says: the limit when the zip64 one has to be read, or had to be before."""
    return limit if stated == limit else min(value, limit)
