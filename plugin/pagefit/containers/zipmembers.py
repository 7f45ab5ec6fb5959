"""Reading the members of a zip archive: the first bytes of all of them quickly, any bytes of one lazily.

A reader of first bytes does not verify checksums; `chunks` read to its end does.
"""

from __future__ import annotations

import struct
import zlib

from pagefit.containers import zipdirectory as z
from pagefit.containers.member import Member, Spool
from pagefit.elf.constants import PREFIX
from pagefit.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

#: Compressed bytes read at a time, and how much they may give at first: for who wants ELF headers.
_FIRST_BLOCK: Final = 1 << 11
_FIRST_OUTPUT: Final = PREFIX
_BLOCK: Final = 1 << 16
#: Members up to this size (bytes) are decompressed twice as fast in one piece, for the memory that it takes.
_IN_ONE_PIECE: Final = 64 << 20
#: The same for those that stay in memory while they are used.
_KEPT: Final = 32 << 20
#: Compressed bytes that nearly always hold a deflate block's code tables and the first bytes of data.
_DEFLATE_PEEK: Final = 160
#: Of a local header: its signature, the lengths of name and extra.
_LOCAL_FIELDS: Final = struct.Struct("<4s22x2H")
#: What is read at least where many members are read that lie one behind the other (bytes).
_AHEAD: Final = 1 << 14
_REMEDY: Final = "Fetch or build the archive again; it is damaged."


def first_bytes(
    archive: Member, entries: Iterable[z.Entry], length: int
) -> Iterator[tuple[z.Entry, int | None, bytes]]:
    """Each member of at least `length` bytes, where its data begin in the archive (bytes), and its first bytes.

    None and no bytes where a short look does not tell; whoever reads the member learns why.
    """
    # Wheels have thousands of members: here every call is felt.
    unpack, inflater = _LOCAL_FIELDS.unpack_from, zlib.decompressobj
    data, begin, start = b"", 0, 0
    for entry in entries:
        name, flags, method, _, compressed_size, size, offset, _ = entry
        if size < length:
            continue
        raw_name = name.encode() if name.isascii() else entry.raw_name
        header = z.LOCAL.size + len(raw_name)
        most = min(compressed_size, _DEFLATE_PEEK)
        at = offset - begin
        if at < 0 or at + header + most > len(data):
            data, begin, at = _ahead(archive, offset, header + most), offset, 0
        first = b""
        if len(data) >= at + header and method in z.METHODS and not flags & z.FLAG_ENCRYPTED:
            signature, name_length, extra_length = unpack(data, at)
            start = at + z.LOCAL.size + name_length + extra_length
            if start + most > len(data):
                start -= at
                data, begin, at = _ahead(archive, offset, start + most), offset, 0
            named = name_length == len(raw_name) and data.startswith(raw_name, at + z.LOCAL.size)
            if named and signature == z.LOCAL_SIGNATURE:
                first = data[start : start + most]
                if method == z.DEFLATED:
                    try:
                        first = inflater(-15).decompress(first, length)
                    except zlib.error:
                        first = b""
        if len(first) >= length:
            yield entry, begin + start, first[:length]
        else:
            yield entry, None, b""


def _ahead(archive: Member, offset: int, length: int) -> bytes:
    """What is read of an archive at once; nothing where it cannot be read."""
    try:
        return archive.read_at(offset, max(length, _AHEAD))
    except InputError:
        return b""


def data_offset(archive: Member, entry: z.Entry) -> int:
    """Where a member's data begin in the archive (bytes).

    Raises InputError when the local header contradicts the directory.
    """
    raw_name = entry.raw_name
    head = archive.read_at(entry.offset, z.LOCAL.size + len(raw_name))
    if len(head) < z.LOCAL.size or not head.startswith(z.LOCAL_SIGNATURE):
        raise _error(archive, entry, "the local header is missing")
    name_length: int
    extra_length: int
    _, name_length, extra_length = _LOCAL_FIELDS.unpack_from(head)
    if name_length != len(raw_name) or head[z.LOCAL.size :] != raw_name:
        raise _error(archive, entry, "the local header has another name than the directory")
    return entry.offset + z.LOCAL.size + name_length + extra_length


def member(archive: Member, entry: z.Entry, start: int | None = None) -> Member:
    """One entry as a member, decompressed only as far as it is read. Raises InputError for what cannot be read.

    `start` is where its data begin in the archive (bytes), when that is known.
    """
    start = data_offset(archive, entry) if start is None else start
    names = (*archive.names, entry.name)
    if entry.method == z.STORED and not entry.flags & z.FLAG_ENCRYPTED:
        if entry.size != entry.compressed_size:
            raise _error(archive, entry, f"stored in {entry.compressed_size} bytes but {entry.size} bytes long")

        def read_at(offset: int, length: int) -> bytes:
            return archive.read_at(start + offset, max(0, min(length, entry.size - offset)))

        return Member(names, entry.size, read_at, start)
    first = _beginning(archive, entry, start)
    spool = Spool(chunks(archive, entry, start))

    def read_decoded(offset: int, length: int) -> bytes:
        return first[offset : offset + length] if offset + length <= len(first) else spool.read_at(offset, length)

    return Member(names, entry.size, read_decoded)


def _beginning(archive: Member, entry: z.Entry, start: int) -> bytes:
    """The first bytes of a deflated member, as many as hold an ELF file's headers; nothing where that fails."""
    if entry.method != z.DEFLATED or entry.flags & z.FLAG_ENCRYPTED or entry.size <= _FIRST_OUTPUT:
        return b""
    block = archive.read_at(start, min(_FIRST_BLOCK, entry.compressed_size))
    try:
        first = zlib.decompressobj(-15).decompress(block, _FIRST_OUTPUT)
    except zlib.error:
        return b""
    return first if len(first) == _FIRST_OUTPUT else b""


def chunks(archive: Member, entry: z.Entry, start: int | None = None) -> Iterator[bytes]:
    """Decompress a member piece by piece; never more than the directory says it holds. `start` as for `member`.

    Raises InputError when it is encrypted, compressed by another method than deflate, damaged, or of another size.
    """
    if entry.flags & z.FLAG_ENCRYPTED:
        raise _error(archive, entry, "encrypted", "Decrypt the archive first.")
    if entry.method not in z.METHODS:
        raise _error(archive, entry, f"compressed by method {entry.method}", "Pack it again with deflate.")
    length, crc = 0, 0
    for chunk in _decompressed(archive, entry, data_offset(archive, entry) if start is None else start):
        length += len(chunk)
        if length > entry.size:
            raise _error(archive, entry, f"holds more than the {entry.size} bytes it declares")
        crc = zlib.crc32(chunk, crc)
        yield chunk
    if length != entry.size or crc != entry.crc:
        raise _error(archive, entry, "the data do not match their checksum")


def whole(archive: Member, entry: z.Entry) -> Member:
    """What `member` gives, for who reads all of it: unpacked at once and kept in memory, where that is faster."""
    content = _at_once(archive, entry, _KEPT)
    if content is None:
        return member(archive, entry)
    view = memoryview(content)
    return Member(
        (*archive.names, entry.name), entry.size, lambda offset, length: bytes(view[offset : offset + length])
    )


def whole_chunks(archive: Member, entry: z.Entry) -> Iterator[bytes | bytearray]:
    """What `chunks` gives, for who reads all of it: in one piece, where that is faster."""
    content = _at_once(archive, entry, _IN_ONE_PIECE)
    if content is None:
        yield from chunks(archive, entry)
    else:
        yield content


def _at_once(archive: Member, entry: z.Entry, most: int) -> bytearray | None:
    """The content of a whole deflated member of at most so many bytes; None when damaged, or without libdeflate."""
    short = max(entry.size, entry.compressed_size) <= most
    if not short or entry.method != z.DEFLATED or entry.flags & z.FLAG_ENCRYPTED:
        return None
    # Imported late: checks read first bytes only.
    from pagefit.containers import deflating

    start = data_offset(archive, entry)
    content = deflating.inflated(archive.read_at(start, entry.compressed_size), entry.size)
    good = content is not None and len(content) == entry.size and deflating.crc32(content) == entry.crc
    return content if good else None


def _decompressed(archive: Member, entry: z.Entry, at: int) -> Iterator[bytes]:
    end = at + entry.compressed_size
    decoder = zlib.decompressobj(-15) if entry.method == z.DEFLATED else None
    wanted, most = _FIRST_BLOCK, _FIRST_OUTPUT
    while at < end:
        block = archive.read_at(at, min(wanted, end - at))
        if not block:
            raise _error(archive, entry, "the data are cut off")
        at += len(block)
        wanted = min(2 * wanted, _BLOCK)
        if decoder is None:
            yield block
            continue
        while block and not decoder.eof:
            try:
                chunk = decoder.decompress(block, most)
            except zlib.error as error:
                raise _error(archive, entry, f"the data are damaged ({error})") from None
            block, most = decoder.unconsumed_tail, 4 * wanted
            if chunk:
                yield chunk
    if decoder is None:
        return
    # A match may still be half written when the input ends at the same moment as the output limit is reached.
    if not decoder.eof and (rest := decoder.flush()):
        yield rest
    if not decoder.eof or decoder.unused_data:
        raise _error(archive, entry, "the data do not end where the directory says")


def _error(archive: Member, entry: z.Entry, what: str, remedy: str = _REMEDY) -> InputError:
    return InputError(what, where=f"{archive.path}!{entry.name}", remedy=remedy)
