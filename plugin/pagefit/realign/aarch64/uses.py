"""Whether a word that looks like an instruction is one: by the way that its neighbours use what it would form."""

from __future__ import annotations

from bisect import bisect_left

from pagefit.errors import Refused
from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.aarch64.code import Code
from pagefit.realign.aarch64.text import Text
from pagefit.realign.columns import Column, take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

#: How far the user of an ADRP is looked for before its function's branches are followed (instructions).
_NEAR: Final = 16


def data(code: Code, text: Text, indexes: Sequence[int], words: Column, name: str) -> set[int]:
    """Those of ascending indexes whose words look like instructions that lead to moving data, but are data.

    Raises Refused, naming the instruction, in doubt.
    """
    runs = [(run, marked) for run, marked in code.runs(text, indexes) if not marked]
    unused = set(_unused(text, indexes, words & 31)) if runs else set()
    found: set[int] = set()
    for run, marked in runs:
        if marked is None:
            found |= {index for index in sorted(unused.intersection(run)) if not _is_code(code, text, index, name)}
        else:
            _check_data(code, text, sorted(set(run) - unused), name)
            found.update(run)
    return found


def _is_code(code: Code, text: Text, index: int, name: str) -> bool:
    """Whether a word that no mark explains, and nothing near it uses, is an instruction. Raises Refused in doubt."""
    pc = text.pc(index)
    plausible, framed = code.plausible(text, pc), code.functions.around(pc) is not None
    if plausible and framed:
        return True
    if code.function(text, pc).low_bits(pc):
        return True
    if plausible:
        raise _doubt(code, pc, name)
    return False


def _check_data(code: Code, text: Text, indexes: Iterable[int], name: str) -> None:
    """Raise Refused for a word marked as data that is used like an address inside a function: marks are missing."""
    for index in indexes:
        pc = text.pc(index)
        if code.functions.around(pc) is not None and code.plausible(text, pc):
            raise _doubt(code, pc, name)


def _unused(text: Text, indexes: Sequence[int], registers: Column) -> Iterator[int]:
    """Those of some words that form an address in a register which nothing close behind them is seen to use.

    The search ends where control may not go on, and at what is no instruction.
    """
    end = bisect_left(indexes, len(text.words) - _NEAR)
    yield from indexes[end:]
    waiting, registers = indexes[:end], registers.head(end)
    for ahead in range(1, _NEAR + 1):
        if not waiting:
            return
        words = text.at(waiting, ahead)
        uses = _are(words, a64.ADD_IMMEDIATE) | _are(words, a64.UNSIGNED_OFFSET)
        others = ((uses & (words >> 5 & 31).equals(registers)) ^ 1).flagged()
        waiting, words, registers = take(waiting, others), words.take(others), registers.take(others)
        ends = _are(words, a64.BRANCH_REGISTER) & (_are(words, a64.CALL_REGISTER) ^ 1)
        for form in (a64.BRANCH, *a64.UNALLOCATED):
            ends |= _are(words, form)
        if ends:
            yield from take(waiting, ends.flagged())
            on = (ends ^ 1).flagged()
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
