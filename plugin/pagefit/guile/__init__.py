"""Guile's object files (.go): recognising and relinking them, from Python and without Guile.

`link` gives what Guile's own linker would have made for another page size; `shift` serves bytecode that is newer than
this program. How Guile's loader judges a file is `pagefit.loaders.guile`'s business.
"""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pagefit.atomic import replacing, write_with_holes
from pagefit.elf.headers import Image, ReadAt
from pagefit.errors import ConfigError, Refused
from pagefit.guile.format import Version, bytecode_version, is_guile_2_0, variant

if TYPE_CHECKING:
    from _typeshed import StrPath

__all__ = ["Realigned", "Version", "bytecode_version", "is_guile", "is_guile_2_0", "realign", "relink", "variant"]

Strategy = Literal["link", "shift"]

#: No kernel has pages this large; addresses in the format are 32 bits wide (bytes).
_MAX_PAGE_SIZE = 1 << 30


@dataclass(frozen=True, slots=True)
class Realigned:
    """What was done to one file; it has been written and proved. Sizes in bytes."""

    strategy: Strategy
    version: Version
    page_size: int
    old_size: int
    new_size: int

    @property
    def summary(self) -> str:
        """One line for people."""
        from pagefit.loaders.verdict import format_page_size

        how = "as Guile's linker would" if self.strategy == "link" else "with its bytecode left as it is"
        size = format_page_size(self.page_size)
        return f"relinked for {size} {how}, {self.new_size - self.old_size:+d} bytes"

    @property
    def provenance(self) -> dict[str, object]:
        """What a manifest should say about the file: plain values for JSON."""
        return {
            "method": "guile",
            "strategy": self.strategy,
            "bytecode": str(self.version),
            "page_size": self.page_size,
        }


def is_guile(image: Image, read: ReadAt) -> bool:
    """Whether an ELF file is a Guile object file, by its content. Reads its `.dynamic`."""
    return bytecode_version(image, read) is not None


def relink(data: bytes, page_size: int, *, where: str = "") -> tuple[bytes, Realigned]:
    """The .go file `data` as linked for pages of `page_size` bytes, larger or smaller, and what was done.

    `page_size` is a power of two from 8 up (8 is what Guile calls not page-aligned). Raises Refused, naming `where`,
    with the reason; InputError when the ELF headers are broken; ConfigError for an impossible page size.
    """
    from pagefit.guile import bytecode, link, shift
    from pagefit.guile.format import read_object

    if page_size & (page_size - 1) or not 8 <= page_size <= _MAX_PAGE_SIZE:
        raise ConfigError(f"{page_size} is not a page size", remedy="Give a power of two such as 65536.")
    if is_guile_2_0(data):
        raise Refused(
            "compiled by Guile 2.0, whose files are not ELF and have no segments",
            where=where,
            remedy="Leave it as it is: it loads at every page size.",
        )
    obj = read_object(data, where=where)
    isa = bytecode.isa_of(obj.version)
    strategy: Strategy = "shift" if isa is None else "link"
    if isa is not None:
        result = link.link(obj, isa, page_size)
    elif bytecode.is_newer(obj.version):
        result = shift.shift(obj, page_size)
    else:
        raise Refused(
            f"bytecode {obj.version} is not one that pagefit knows",
            where=where,
            remedy="Compile the module again with Guile 2.2 or 3.0.",
        )
    return result, Realigned(strategy, obj.version, page_size, len(data), len(result))


def realign(source: StrPath, target: StrPath, page_size: int) -> Realigned:
    """Write to `target` the file `source` relinked to exactly `page_size` (bytes), whether it needs it or not.

    `target` may be `source`. It is written whole or not at all, with the mode and the modification time of `source`:
    Guile uses a .go file only when it is not older than its source (libguile/load.c). Raises as `relink` does, and
    OSError when `source` cannot be read; OutputError when `target` cannot be written.
    """
    with open(source, "rb") as old:
        data, realigned = relink(old.read(), page_size, where=os.fspath(source))
        status = os.fstat(old.fileno())
    with replacing(target, mode=stat.S_IMODE(status.st_mode)) as file:
        # As in files of Guile 3.0.10, padding is a hole.
        write_with_holes(io.BytesIO(data), file)
        os.utime(file.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
    return realigned
