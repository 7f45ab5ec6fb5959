"""A change of a few bytes, and what it stands for."""

from __future__ import annotations

from typing import NamedTuple


class Patch(NamedTuple):
    """Bytes to replace: found in the original file, written to where its layout puts them in the result.

    `offset` is the file offset in the *original*; `old` must be there, `new` has the same length. `kind` names the
    reference as people know it (`ADRP`, `R_AARCH64_RELATIVE`, `PC32`, `.symtab`); `target` is the address
    it leads to in the original file.
    """

    offset: int
    old: bytes
    new: bytes
    kind: str
    target: int


class Reference(NamedTuple):
    """A word that leads to an address: `target` itself, or its distance from `base`.

    `offset` (in the file) and `size` in bytes say where the word is; `base` is the address that the value is relative
    to, or None when it is absolute. The value moves by delta(target) - delta(base).
    """

    offset: int
    size: int
    base: int | None
    target: int
    kind: str
