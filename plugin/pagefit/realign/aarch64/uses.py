"""Whether a word that looks like an instruction is one: by the way that its neighbours use what it would form."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pagefit.errors import Refused
from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.aarch64.code import Code
from pagefit.realign.aarch64.text import Text
from pagefit.realign.columns import Column, take

#: How far the user of an ADRP is looked for before its function's branches are followed (instructions).
_NEAR: Final = 16


def data(code: Code, text: Text, indexes: Sequence[int], name: str) -> set[int]:
    """Those of ascending indexes whose words look like instructions that lead to moving data, but are data.

    Raises Refused, naming the instruction, in doubt.
    """
    found: set[int] = set()
    for run, marked in code.runs(text, indexes):
        if marked:
            continue
        unused = set(_unused(text, run))
        if marked is None:
            found |= {index for index in unused if not _is_code(code, text, index, name)}
        else:
            _check_data(code, text, unused.symmetric_difference(run), name)
            found.update(run)
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


def _check_data(code: Code, text: Text, indexes: Iterable[int], name: str) -> None:
    """Raise Refused for a word marked as data that is used like an address inside a function: marks are missing."""
    for index in indexes:
        pc = text.pc(index)
        if code.functions.around(pc) is not None and code.plausible(text, pc):
            raise _doubt(code, pc, name)


def _unused(text: Text, indexes: Sequence[int]) -> Iterator[int]:
    """Those of some words that form an address in a register which nothing close behind them is seen to use.

    The search ends where control may not go on, and at what is no instruction.
    """
    end = bisect_left(indexes, len(text.words) - _NEAR)
    yield from indexes[end:]
    waiting = indexes[:end]
    registers = text.at(waiting) & 31
    for ahead in range(1, _NEAR + 1):
        here = text.at(waiting, ahead)
        uses = _are(here, a64.ADD_IMMEDIATE) | _are(here, a64.UNSIGNED_OFFSET)
        uses &= (here >> 5 & 31).equals(registers)
        ends = _are(here, a64.BRANCH_REGISTER) & (_are(here, a64.CALL_REGISTER) ^ 1)
        for form in (a64.BRANCH, *a64.UNALLOCATED):
            ends |= _are(here, form)
        yield from take(waiting, (ends & (uses ^ 1)).flagged())
        on = ((ends | uses) ^ 1).flagged()
        waiting, registers = take(waiting, on), registers.take(on)
    yield from waiting


def _are(words: Column, form: a64.Form) -> Column:
    return (words & form[0]).equals(form[1])


def _doubt(code: Code, pc: int, name: str) -> Refused:
    return Refused(
        f"the word at {pc:#x} may be {name} or data",
        where=code.file.where,
        remedy="Keep the mapping symbols ($x, $d), or link the file again for the larger page size.",
    )
