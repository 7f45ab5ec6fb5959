"""Relative lookup tables: 32-bit distances in read-only data that only the code which reads them explains.

LLVM makes them of `switch` statements that return addresses: LDRSW Xt, [Xn, Xm, LSL #2], ADD Xd, Xn, Xt, with Xn the
table. Their length is proved by the comparison that guards the index, or by the symbol's size; every entry is checked.
"""

from __future__ import annotations

from pagefit.elf import symbols
from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.aarch64.bounds import index_bound
from pagefit.realign.aarch64.code import Code
from pagefit.realign.aarch64.text import Text
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_KIND: Final = "relative table"
#: How far behind the load the addition is looked for (instructions).
_NEAR: Final = 11


def tables(code: Code, moves: Moves) -> Iterator[Patch]:
    """The entries of relative tables that move.

    Raises Refused when a table's length is not proved, or an entry leads nowhere.
    """
    for text in code.texts:
        for index in sorted([*text.of(a64.LDRSW), *text.of(a64.LDRSW_INDEXED)]):
            yield from _read(code, text, index, moves)


def _read(code: Code, text: Text, index: int, moves: Moves) -> Iterator[Patch]:
    word, pc = text.words[index], text.pc(index)
    base, loaded = a64.base(word), word & 31
    if not _added(text, index, base, loaded):
        return
    function = code.function(text, pc)
    starts = function.constants(pc, base)
    if starts is None:
        raise _unproved(code.file, pc, None)
    indexed = a64.matches(word, a64.LDRSW_INDEXED)
    for start in sorted(starts):
        if not indexed:
            first, count = start + (a64.immediate_offset(word) or 0), 1
            if not any(moves.shift(target) for target in _targets(code.file, moves, start, first, 1)):
                continue
        else:
            first = start
            if not any(moves.shift(target) for target in _targets(code.file, moves, start, start, 1 << 16)):
                continue
            bound = index_bound(function, pc, word >> 16 & 31)
            count = _symbol_size(code.file, start) // 4 if bound is None else bound
            if not count:
                raise _unproved(code.file, pc, start)
        yield from _entries(code.file, moves, start, first, count)


def _added(text: Text, index: int, base: int, loaded: int) -> bool:
    """Whether the loaded distance is added to the base, and the sum is not branched to (a jump table leads to code)."""
    near = text.words[index + 1 : index + 1 + _NEAR]
    sums = a64.additions(base, loaded)
    found = next((at for at, word in enumerate(near) if word & -32 in sums), None)
    if found is None or any(a64.writes(word, loaded) or a64.writes(word, base) for word in near[:found]):
        return False
    following = text.words[index + 2 + found : index + 5 + found]
    return not any(word & 0xFE1F0000 == 0xD61F0000 and a64.base(word) == near[found] & 31 for word in following)


def _targets(file: ElfFile, moves: Moves, start: int, first: int, limit: int) -> Iterator[int]:
    """What the words from `first` on lead to, as long as they lead anywhere: at least as many as the table has."""
    for number in range(limit):
        raw = file.read(first + 4 * number, 4)
        if raw is None:
            return
        target = start + int.from_bytes(raw, file.header.byteorder, signed=True)
        if moves.piece(target) is None:
            return
        yield target


def _entries(file: ElfFile, moves: Moves, start: int, first: int, count: int) -> Iterator[Patch]:
    for number in range(count):
        place = first + 4 * number
        raw, offset = file.read(place, 4), file.offset_of(place)
        value = int.from_bytes(raw or b"", file.header.byteorder, signed=True)
        if raw is None or offset is None or moves.piece(start + value) is None:
            raise Refused(f"entry {number} of the relative table at {start:#x} leads nowhere", where=file.where)
        delta = moves.shift(start + value) - moves.shift(start)
        if delta:
            new = (value + delta).to_bytes(4, file.header.byteorder, signed=True)
            yield Patch(offset, raw, new, _KIND, start + value)


def _symbol_size(file: ElfFile, address: int) -> int:
    for table in symbols.tables(file):
        for symbol in symbols.symbols(file, table):
            if symbol.value == address and symbol.type == symbols.STT_OBJECT and symbol.section:
                return symbol.size
    return 0


def _unproved(file: ElfFile, pc: int, table: int | None) -> Refused:
    which = "a table" if table is None else f"the relative table at {table:#x}"
    return Refused(
        f"the code at {pc:#x} reads {which} whose length is not proved",
        where=file.where,
        remedy="Link the file again for the larger page size, or compile it with -fno-jump-tables.",
    )
