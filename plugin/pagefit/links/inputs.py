"""The inputs of a link: which files it has read, and copies of them by content.

Runs in the stand-in too: standard library only, Python 3.8 or newer, and nothing that takes long to import.
"""

from __future__ import annotations

import os
import time

#: Inputs below these stay where they are; a copy is taken of all others.
SYSTEM = ("/usr/", "/lib/", "/lib32/", "/lib64/", "/libx32/")
NOT_SYSTEM = ("/usr/src/",)

_THIN_MAGIC = b"!<thin>\n"
_CHUNK = 1 << 20
#: Files up to this size (bytes) are read once, into memory, to be hashed and copied.
_READ_ONCE = 16 << 20


def is_elf(path: str) -> bool:
    """Whether a file starts as ELF files do."""
    with open(path, "rb") as stream:
        return stream.read(4) == b"\x7fELF"


def is_relocatable(path: str) -> bool:
    """Whether a path is an object file (e_type ET_REL, in either byte order)."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(18)
    except OSError:
        return False
    return start[:4] == b"\x7fELF" and start[16:18] in (b"\1\0", b"\0\1")


def is_system(path: str, directory: str) -> bool:
    """Whether an input belongs to the system, and will be there when the link is replayed."""
    real = os.path.realpath(path)
    inside = os.path.join(os.path.realpath(directory), "")
    return real.startswith(SYSTEM) and not real.startswith((*NOT_SYSTEM, inside))


def dependencies_of(path: str | None, directory: str) -> list[str]:
    """The files a linker has opened. Each is a rule of its own, `name:`, which all four linkers write alike."""
    if path is None or not os.path.isfile(os.path.join(directory, path)):
        return []
    with open(os.path.join(directory, path), "rb") as stream:
        lines = os.fsdecode(stream.read()).splitlines()
    names = [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")]
    candidates = [os.path.join(directory, form) for name in names for form in (name, _unescape_make(name))]
    return [candidate for candidate in candidates if os.path.isfile(candidate)]


def _unescape_make(name: str) -> str:
    """lld writes names as make reads them; GNU ld, gold and mold write them as they are."""
    return name.replace("\\ ", " ").replace("\\#", "#").replace("$$", "$")


def thin_members(archive: str) -> list[str]:
    """The files a thin archive stands for; linkers do not list them. Empty for any other file (binutils/arsup)."""
    with open(archive, "rb") as stream:
        if stream.read(len(_THIN_MAGIC)) != _THIN_MAGIC:
            return []
        names, folder = b"", os.path.dirname(archive)
        members: list[str] = []
        while True:
            header = stream.read(60)
            if len(header) < 60:
                return members
            label, size = header[:16].rstrip(), int(header[48:58])
            if label in (b"/", b"/SYM64/"):
                stream.seek(size + size % 2, 1)
            elif label == b"//":
                names = stream.read(size + size % 2)
            else:
                name = label.rstrip(b"/")
                if label.startswith(b"/"):
                    start = int(label[1:].partition(b":")[0])
                    name = names[start : names.index(b"/\n", start)]
                members.append(os.path.normpath(os.path.join(folder, os.fsdecode(name))))


def pin(pins: str, path: str) -> str:
    """Keep a copy of a file in the folder `pins`, by content; its SHA-256.

    A copy, not a link: `ar r` rewrites archives in place.
    """
    from hashlib import sha256  # imported late: it takes longer than all else that probes import

    if os.stat(path).st_size <= _READ_ONCE:
        with open(path, "rb") as source:
            content = source.read()
        digest = sha256(content).hexdigest()
        if not os.path.exists(os.path.join(pins, digest)):
            write(os.path.join(pins, digest), content)
        return digest
    digest = digest_of(path)
    if not os.path.exists(os.path.join(pins, digest)):
        copy = os.path.join(pins, f".{time.time_ns()}-{os.getpid()}")
        copied = sha256()
        with open(path, "rb") as source, open(copy, "wb") as target:
            for chunk in iter(lambda: source.read(_CHUNK), b""):
                copied.update(chunk)
                target.write(chunk)
        digest = copied.hexdigest()
        os.replace(copy, os.path.join(pins, digest))
    return digest


def digest_of(path: str) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    from hashlib import sha256

    digest = sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def write(path: str, data: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing. Raises OSError."""
    unfinished = f"{path}.{os.getpid()}"
    with open(unfinished, "wb") as stream:
        stream.write(data)
    os.replace(unfinished, path)
