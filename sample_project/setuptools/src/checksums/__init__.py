"""Fast checksums, and the files that list them.

The sums are in C (`_sums`), the reader of the listings in C++ (`_listing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from checksums._listing import parse as _parse
from checksums._sums import BITS, adler32, crc32c, xxh64

__all__ = ["ALGORITHMS", "Entry", "adler32", "check", "crc32c", "file_digest", "parse", "xxh64"]

#: Every algorithm by its name in listings.
ALGORITHMS: dict[str, Callable[[bytes], int]] = {"crc32c": crc32c, "adler32": adler32, "xxh64": xxh64}


class Entry(NamedTuple):
    """One line of a listing; `algorithm` is None where the line does not name it, `digest` lower-case hexadecimal."""

    algorithm: str | None
    digest: str
    name: str


def parse(text: str) -> list[Entry]:
    """Read a listing in GNU or BSD style. ValueError names the first line that is neither."""
    return [Entry(algorithm or None, digest, name) for algorithm, digest, name in _parse(text)]


def file_digest(path: Path, algorithm: str) -> str:
    """Sum a file; the digest in hexadecimal, as listings have it."""
    return f"{ALGORITHMS[algorithm](path.read_bytes()):0{BITS[algorithm] // 4}x}"


def check(listing: Path, algorithm: str = "crc32c") -> Iterator[tuple[Entry, bool]]:
    """Sum each file of a listing, relative to it, and tell whether the digest is right.

    `algorithm` is for the lines that do not name theirs.
    """
    for entry in parse(listing.read_text(encoding="utf-8")):
        digest = file_digest(listing.parent / entry.name, entry.algorithm or algorithm)
        yield entry, digest == entry.digest
