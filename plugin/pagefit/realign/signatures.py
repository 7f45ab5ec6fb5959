"""What a change of bytes invalidates elsewhere: signatures, and data that somebody appended to the file."""

from __future__ import annotations

import os
from contextlib import suppress

from pagefit.elf.sections import ElfFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import StrPath

_MODULE = b"~Module signature appended~\n"
_ATTRIBUTES = {"security.ima": "IMA signature or hash", "security.evm": "EVM signature"}


def notes(file: ElfFile, source: StrPath) -> Iterator[str]:
    """Sentences about signatures of a file and data behind its end; nothing is removed."""
    header = file.header
    ends = [header.phoff + header.phnum * header.phentsize, header.shoff + len(file.sections) * header.shentsize]
    ends += [segment.file_end for segment in file.image.segments]
    ends += [section.file_end for section in file.sections]
    behind = file.image.size - max(ends)
    if file.data[-len(_MODULE) :] == _MODULE:
        yield "the signature appended to the file no longer holds"
    elif behind > 0:
        yield f"{behind} bytes appended behind the ELF image were kept; a signature among them no longer holds"
    for section in file.sections:
        if section.name in (".sig", ".signature", ".note.signature", ".sha256_sig", ".sha512_sig"):
            yield f"the signature in section {section.name} no longer holds"
    with suppress(OSError, AttributeError):
        for name in os.listxattr(source):
            if name in _ATTRIBUTES:
                yield f"the {_ATTRIBUTES[name]} ({name}) no longer holds; lists of digests (.rpm, .deb) neither"
