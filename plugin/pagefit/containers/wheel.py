"""A wheel with some files replaced, and its RECORD with them (PEP 376, PEP 427, "Recording installed projects").

Lines of RECORD keep their order and line endings (LF or CRLF); only those of replaced files change. A signature over
RECORD is void then, so RECORD.jws and RECORD.p7s go.
"""

from __future__ import annotations

import binascii
import hashlib
import io
from functools import partial

from pagefit.containers import zipdirectory as z
from pagefit.containers import zipmembers
from pagefit.containers.member import Member, open_file
from pagefit.containers.threads import HASHING, INFLATING, Jobs
from pagefit.containers.ziprewrite import check_replaced, rewrite
from pagefit.errors import InputError
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from typing import Final

    from _typeshed import StrPath

_SIGNATURES: Final = (".jws", ".p7s")
_PIECE: Final = 1 << 18
#: What has to stand in quotes in a CSV file (RFC 4180).
_QUOTED: Final = frozenset(',"\r\n')
#: From the alphabet of base64 to the one for URLs (RFC 4648, 5).
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_REMEDY: Final = "RECORD does not describe this wheel; build it again."


def rewrite_wheel(source: StrPath, target: StrPath, replacements: Mapping[str, StrPath]) -> tuple[str, ...]:
    """Write the wheel `source` to `target` (which may be the same file) with the named members replaced.

    Returns the names of signatures that had to go. Without replacements the copy is identical, byte for byte.
    Raises InputError when RECORD is missing, does not list a replaced file, or has another hash for it than the file
    in the wheel; and what `rewrite_zip` does.
    """
    archive = open_file(source)
    directory = z.read_directory(archive)
    check_replaced(archive, directory, replacements.keys())
    if not replacements:
        rewrite(archive, directory, target, {}, {}, (), Jobs())
        return ()
    entries = directory.by_name
    record = entries[find_record(archive, entries)]
    dropped = tuple(record.name + suffix for suffix in _SIGNATURES if record.name + suffix in entries)
    jobs = Jobs()
    changes = {}
    for name, path in replacements.items():
        weight = (INFLATING + 2 * HASHING) * entries[name].size
        changes[name] = jobs.add(weight, partial(_change, archive, entries[name], path))
    last = {record.name: partial(_updated, archive, entries, record, changes, dropped)}
    rewrite(archive, directory, target, replacements, last, dropped, jobs)
    return dropped


def find_record(archive: Member, names: Iterable[str]) -> str:
    """The name of a wheel's RECORD. Raises InputError when there is none, or more than one."""
    found = [name for name in names if name.endswith(".dist-info/RECORD") and name.count("/") == 1]
    if len(found) != 1:
        what = "has no .dist-info/RECORD" if not found else f"has {len(found)} RECORDs"
        raise InputError(what, where=archive.path, remedy="Only wheels can be rewritten as wheels; build it again.")
    return found[0]


def _updated(
    archive: Member,
    entries: Mapping[str, z.Entry],
    entry: z.Entry,
    changes: Mapping[str, Callable[[], _Change]],
    dropped: Collection[str],
) -> bytes:
    """The new RECORD. Raises InputError when the old one does not describe the wheel."""
    where = f"{archive.path}!{entry.name}"
    record = b"".join(zipmembers.whole_chunks(archive, entry))
    try:
        if not record.isascii():
            record.decode()
        rows = list(_rows(record, {*changes, *dropped}))
    except ValueError as error:
        raise InputError(f"cannot be parsed ({error})", where=where, remedy=_REMEDY) from None
    missing = set(changes)
    old = memoryview(record)
    pieces: list[bytes | memoryview] = []
    copied = 0
    for row in rows:
        name = row.fields[0]
        pieces.append(old[copied : row.start])
        copied = row.start + len(row.line)
        if name in dropped:
            continue
        if len(row.fields) != 3 or name not in missing:
            raise InputError(f"does not list {name} once in three fields", where=where, remedy=_REMEDY)
        missing.remove(name)
        change = changes[name]()
        algorithm, _, stated = row.fields[1].partition("=")
        if algorithm not in ("sha256", "sha384", "sha512"):
            raise InputError(f"{name} has no SHA-2 hash", where=where, remedy=_REMEDY)
        if stated != (change.sha256 if algorithm == "sha256" else _digest(archive, entries[name], algorithm)):
            raise InputError(f"the hash of {name} is not that of the file", where=where, remedy=_REMEDY)
        pieces += (change.line, row.line[len(row.line.rstrip(b"\r\n")) :])
    if missing:
        raise InputError(f"does not list {', '.join(sorted(missing))}", where=where, remedy=_REMEDY)
    return b"".join([*pieces, old[copied:]])


class _Row(NamedTuple):
    """A line of RECORD, where it begins (bytes), and its fields."""

    start: int
    line: bytes
    fields: list[str]


def _rows(record: bytes, names: Collection[str]) -> Iterator[_Row]:
    """The rows that these names come first in. Raises ValueError where the lines are not the rows of a CSV file."""
    if b'"' not in record:
        wanted = {name.encode() for name in names}
        start = 0
        for line in io.BytesIO(record):
            if line.partition(b",")[0] in wanted:
                yield _Row(start, line, line.decode().rstrip("\r\n").split(","))
            start += len(line)
        return
    # Imported late: few names need quotes.
    import csv

    start = 0
    for line in io.BytesIO(record):
        try:
            fields = next(csv.reader([line.decode()], strict=True))
        except csv.Error as error:
            raise ValueError(f"{line[:80]!r}: {error}") from None
        if fields and fields[0] in names:
            yield _Row(start, line, fields)
        start += len(line)


class _Change(NamedTuple):
    """The hash of a member that is replaced, and its new line in RECORD, without the line's end."""

    sha256: str
    line: bytes


def _change(archive: Member, entry: z.Entry, path: StrPath) -> _Change:
    return _Change(_digest(archive, entry, "sha256"), _line(entry.name, path))


def _digest(archive: Member, entry: z.Entry, algorithm: str) -> str:
    """The hash of a member, as RECORD writes it."""
    hasher = hashlib.new(algorithm)
    for chunk in zipmembers.whole_chunks(archive, entry):
        hasher.update(chunk)
    return _encoded(hasher.digest())


def _line(name: str, path: StrPath) -> bytes:
    hasher, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_PIECE))
    with open(path, "rb", buffering=0) as file:
        while length := file.readinto(buffer):
            hasher.update(buffer[:length])
            size += length
    if not _QUOTED.isdisjoint(name):
        name = '"' + name.replace('"', '""') + '"'
    return f"{name},sha256={_encoded(hasher.digest())},{size}".encode()


def _encoded(digest: bytes) -> str:
    # `base64` imports `re` for its other alphabets, which takes as long as to copy a wheel of average size.
    return binascii.b2a_base64(digest, newline=False).translate(_URL_SAFE, b"=").decode()
