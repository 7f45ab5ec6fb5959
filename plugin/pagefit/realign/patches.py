"""A change of a few bytes, and what it stands for."""

from __future__ import annotations

from typing import NamedTuple


class Patch(NamedTuple):
    """Bytes to replace: found in the original file, written to where its layout puts them in the result.

    `offset` is the file offset in the *original*; `old` must be there, `new` has the same length. `kind` names the
    reference as people know it (`ADRP`, `RELATIVE`, `PC32`, `.symtab`); `target` is the address it leads to in the
    original file. `count` is how many references it changes: a relocation table is patched as a whole.
    """

    offset: int
    old: bytes
    new: bytes
    kind: str
    target: int
    references: int = 1


class Reference(NamedTuple):
    """A word whose value moves as `target` moves, and against `base` when it is the distance from there.

    `offset` (in the file) and `size` in bytes say where the word is; `target` and `base` are addresses; `base` is None
    for an absolute value. The value itself need not be `target`: a symbol's is some distance from its section.
    """

    offset: int
    size: int
    base: int | None
    target: int
    kind: str
