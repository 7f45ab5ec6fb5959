"""Whether a word that looks like an instruction is one: by the way that its neighbours use what it would form."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import Final

from pagefit.errors import Refused
from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.aarch64.code import Code
from pagefit.realign.aarch64.text import Text
from pagefit.realign.columns import Column

#: How far the user of an ADRP is looked for before its function's branches are followed (instructions).
_NEAR: Final = 16


def instructions(code: Code, text: Text, indexes: Sequence[int], name: str) -> list[int]:
    """Those of some words that look like ADRP or ADR to moving data which are instructions, by index, ascending.

    Raises Refused in doubt.
    """
    found: list[int] = []
    for first, last, marked in code.runs(text):
        run = indexes[bisect_left(indexes, first) : bisect_left(indexes, last)]
        if run and not marked:
            unused = frozenset(_unused(text, run))
            if marked is None:
                run = [index for index in run if index not in unused or _is_code(code, text, index, name)]
            else:
                _all_data(code, text, [index for index in run if index not in unused], name)
                continue
        found += run
    return found


def _is_code(code: Code, text: Text, index: int, name: str) -> bool:
    """Whether a word that no mark explains, and nothing near it uses, is an instruction. Raises Refused in doubt."""
    pc = text.pc(index)
    if code.function(text, pc).low_bits(pc):
        return True
    if not code.plausible(text, pc):
        return False
    if code.functions.around(pc) is None:
        raise _doubt(code, pc, name)
    return True


def _all_data(code: Code, text: Text, indexes: Iterable[int], name: str) -> None:
    """Raise Refused for a word marked as data that is used like an address inside a function: marks are missing."""
    for index in indexes:
        pc = text.pc(index)
        if code.functions.around(pc) is not None and code.plausible(text, pc):
            raise _doubt(code, pc, name)


def _unused(text: Text, indexes: Sequence[int]) -> Iterator[int]:
    """Those of some words that form an address in a register which nothing close behind them is seen to use.

    The search ends where control may not go on, and at what is no instruction.
    """
    waiting = indexes
    for ahead in range(1, _NEAR + 1):
        inside = bisect_left(waiting, len(text.words) - ahead)
        yield from waiting[inside:]
        waiting = waiting[:inside]
        if not waiting:
            return
        here = text.at(waiting, ahead)
        uses = _are(here, a64.ADD_IMMEDIATE) | _are(here, a64.UNSIGNED_OFFSET)
        uses &= (here >> 5 & 31).equals(text.at(waiting) & 31)
        ends = _are(here, a64.BRANCH_REGISTER) & (_are(here, a64.CALL_REGISTER) ^ 1)
        for form in (a64.BRANCH, *a64.UNALLOCATED):
            ends |= _are(here, form)
        yield from compress(waiting, (ends & (uses ^ 1)).flags())
        waiting = list(compress(waiting, ((ends | uses) ^ 1).flags()))
    yield from waiting


def _are(words: Column, form: a64.Form) -> Column:
    return (words & form[0]).equals(form[1])


def _doubt(code: Code, pc: int, name: str) -> Refused:
    return Refused(
        f"the word at {pc:#x} may be {name} or data",
        where=code.file.where,
        remedy="Keep the mapping symbols ($x, $d), or link the file again for the larger page size.",
    )
