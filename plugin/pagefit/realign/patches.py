"""A change of a few bytes, and what it stands for."""

from __future__ import annotations

from array import array

from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

#: Kinds of patches that replace a whole table which has several encodings.
PACKED: Final = frozenset({"relr", "aps2-rel", "aps2-rela"})


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


class WordPatches:
    """Patches of 32-bit words, all of one kind, ascending: columns, since a file can have a million of them.

    `offsets` and `targets` are those of `Patch`; the bytes of a word, read as a little-endian number, are in `old` and
    `new`.
    """

    __slots__ = ("kind", "new", "offsets", "old", "targets")

    def __init__(self, kind: str = "") -> None:
        self.kind = kind
        self.offsets = array("Q")
        self.old = array("I")
        self.new = array("I")
        self.targets = array("Q")

    def __len__(self) -> int:
        return len(self.offsets)

    def extend(self, others: WordPatches) -> None:
        """Add patches of the same kind, whose places lie behind."""
        self.offsets.extend(others.offsets)
        self.old.extend(others.old)
        self.new.extend(others.new)
        self.targets.extend(others.targets)

    def __iter__(self) -> Iterator[Patch]:
        for offset, old, new, target in zip(self.offsets, self.old, self.new, self.targets, strict=True):
            yield Patch(offset, old.to_bytes(4, "little"), new.to_bytes(4, "little"), self.kind, target)
