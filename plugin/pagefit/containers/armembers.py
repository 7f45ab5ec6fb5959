"""The members of an `ar` archive, as static libraries and Debian packages are (GNU and BSD names).

A thin archive only names files that lie elsewhere: it has no members here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pagefit.containers.member import Member
from pagefit.errors import InputError

_SIGNATURE: Final = b"!<arch>\n"
_HEADER: Final = 60
_HEADER_END: Final = b"`\n"
_LONGEST_NAME: Final = 4096


def members(archive: Member) -> Iterator[Member]:
    """The members in order, without symbol tables. Raises InputError when a header is damaged or cut off."""
    offset, names = len(_SIGNATURE), b""
    while offset < archive.size:
        header = archive.read_at(offset, _HEADER)
        digits = header[48:58].strip()
        if len(header) < _HEADER or header[58:] != _HEADER_END or not digits.isdigit():
            raise _damaged(archive, f"no member header at byte {offset}")
        start, size = offset + _HEADER, int(digits)
        if start + size > archive.size:
            raise _damaged(archive, f"the member at byte {offset} is cut off")
        offset = start + size + size % 2
        label = header[:16].rstrip()
        if label == b"//":
            names = archive.read_at(start, size)
        elif label.startswith(b"#1/"):
            length = _number(archive, label[3:])
            name = archive.read_at(start, min(length, _LONGEST_NAME)).rstrip(b"\0")
            if not name.startswith(b"__.SYMDEF"):
                yield _member(archive, name, start + length, size - length)
        elif label[:1] != b"/":
            yield _member(archive, label.removesuffix(b"/"), start, size)
        elif label[1:].isdigit():
            rest = names[_number(archive, label[1:]) :]
            yield _member(archive, rest.partition(b"\n")[0].removesuffix(b"/"), start, size)


def _member(archive: Member, name: bytes, start: int, size: int) -> Member:
    def read_at(offset: int, length: int) -> bytes:
        return archive.read_at(start + offset, max(0, min(length, size - offset)))

    if size < 0:
        raise _damaged(archive, f"the name of the member at byte {start} is longer than the member")
    return Member((*archive.names, name.decode("utf-8", "backslashreplace")), size, read_at)


def _number(archive: Member, digits: bytes) -> int:
    if not digits.isdigit():
        raise _damaged(archive, f"the name {digits!r} is not a number")
    return int(digits)


def _damaged(archive: Member, what: str) -> InputError:
    return InputError(what, where=archive.path, remedy="Fetch or build the archive again; it is truncated or damaged.")
