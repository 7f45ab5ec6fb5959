"""A wheel with some files replaced, and its RECORD with them (PEP 376, PEP 427, "Recording installed projects").

Lines of RECORD keep their order and line endings; only those of replaced files change. A signature over RECORD is void
then, so RECORD.jws and RECORD.p7s go.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from functools import partial

from pagefit.containers import zipdirectory as z
from pagefit.containers import zipmembers
from pagefit.containers.member import Member, open_file
from pagefit.containers.threads import Jobs
from pagefit.containers.ziprewrite import rewrite
from pagefit.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from typing import Final

_SIGNATURES: Final = (".jws", ".p7s")
_PIECE: Final = 1 << 18
#: How much longer it takes to inflate and hash an old byte, and to hash a new one, than the latter alone.
_HASHING: Final = 5
_REMEDY: Final = "RECORD does not describe this wheel; build it again."


def rewrite_wheel(source: Path, target: Path, replacements: Mapping[str, Path]) -> tuple[str, ...]:
    """Write the wheel `source` to `target` (which may be the same file) with the named members replaced.

    Returns the names of signatures that had to go. Without replacements the copy is identical, byte for byte.
    Raises InputError when RECORD is missing, does not list a replaced file, or has another hash for it than the file
    in the wheel; and what `rewrite_zip` does.
    """
    archive = open_file(source)
    directory = z.read_directory(archive)
    if not replacements:
        rewrite(archive, directory, target, {}, (), Jobs())
        return ()
    entries = {entry.name: entry for entry in directory.entries}
    record_name = find_record(archive, entries)
    record = zipmembers.member(archive, entries[record_name])
    dropped = tuple(record_name + suffix for suffix in _SIGNATURES if record_name + suffix in entries)
    text = record.read_at(0, record.size)
    jobs = Jobs()
    new_record = _updated(archive, text, record_name, entries, replacements, dropped, jobs)
    rewrite(archive, directory, target, {**replacements, record_name: new_record}, dropped, jobs)
    return dropped


def find_record(archive: Member, names: Iterable[str]) -> str:
    """The name of a wheel's RECORD. Raises InputError when there is none, or more than one."""
    found = [name for name in names if name.count("/") == 1 and name.endswith(".dist-info/RECORD")]
    if len(found) != 1:
        what = "has no .dist-info/RECORD" if not found else f"has {len(found)} RECORDs"
        raise InputError(what, where=archive.path, remedy="Only wheels can be rewritten as wheels; build it again.")
    return found[0]


def _updated(
    archive: Member,
    record: bytes,
    record_name: str,
    entries: Mapping[str, z.Entry],
    replacements: Mapping[str, Path],
    dropped: tuple[str, ...],
    jobs: Jobs,
) -> Callable[[], bytes]:
    """The new RECORD, when it is asked for; adds the `jobs` for its lines."""
    where = f"{archive.path}!{record_name}"
    try:
        lines = list(io.StringIO(record.decode("utf-8"), newline=""))
        rows = list(csv.reader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be parsed ({error})", where=where, remedy=_REMEDY) from None
    if len(rows) != len(lines):
        raise InputError("has a line that ends within quotes", where=where, remedy=_REMEDY)
    listed: dict[str, int] = {}
    for index, row in enumerate(rows):
        if not row:
            continue
        if row[0] in dropped:
            lines[index] = ""
        if row[0] in replacements:
            if len(row) != 3 or row[0] in listed:
                raise InputError(f"does not list {row[0]} once in three fields", where=where, remedy=_REMEDY)
            listed[row[0]] = index
    if missing := sorted(set(replacements) - set(listed)):
        raise InputError(f"does not list {', '.join(missing)}", where=where, remedy=_REMEDY)

    def new_line(name: str) -> str:
        _verify(archive, entries[name], rows[listed[name]][1], where)
        return _line(name, replacements[name])

    new = {name: jobs.add(_HASHING * entries[name].size, partial(new_line, name)) for name in listed}

    def updated() -> bytes:
        for name, index in listed.items():
            lines[index] = new[name]() + lines[index][len(lines[index].rstrip("\r\n")) :]
        return "".join(lines).encode()

    return updated


def _verify(archive: Member, entry: z.Entry, stated: str, where: str) -> None:
    algorithm, _, expected = stated.partition("=")
    if algorithm not in ("sha256", "sha384", "sha512"):
        raise InputError(f"{entry.name} has no SHA-2 hash", where=where, remedy=_REMEDY)
    hasher = hashlib.new(algorithm)
    for chunk in zipmembers.whole_chunks(archive, entry):
        hasher.update(chunk)
    if _encoded(hasher.digest()) != expected:
        raise InputError(f"the hash of {entry.name} is not that of the file", where=where, remedy=_REMEDY)


def _line(name: str, path: Path) -> str:
    hasher, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_PIECE))
    with path.open("rb", buffering=0) as file:
        while length := file.readinto(buffer):
            hasher.update(buffer[:length])
            size += length
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow((name, f"sha256={_encoded(hasher.digest())}", size))
    return line.getvalue()


def _encoded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
