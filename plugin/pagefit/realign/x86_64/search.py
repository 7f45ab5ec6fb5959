"""All RIP-relative operands of a program that lead into the window: found, and each possible one explained."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, Final

from pagefit.errors import Refused
from pagefit.realign.x86_64.operands import (
    Operand,
    Window,
    candidates,
    consistent,
    could_be_operand,
    explain,
    lea_sites,
    near_target,
)
from pagefit.realign.x86_64.program import Code, Program, Runs
from pagefit.realign.x86_64.unframed import Reached, follow

#: A direct branch with a 32-bit displacement: call, jmp, or the second byte of a jcc.
_BRANCH: Final = re.compile(rb"(?:[\xe8\xe9]|\x0f[\x80-\x8f])(?=(.{4}))", re.DOTALL)
_REMEDY: Final = "Link the file again for the larger page size."


def operands(iced: Any, program: Program, wanted: Window) -> list[Operand]:
    """Every operand that leads into the window, by address.

    Raises Refused when bytes could be such an operand, and nothing tells whether they are one.
    """
    fields = [field for code in program.sections.runs for field in candidates(code.data, code.start, wanted)]
    found: list[Operand] = []
    loose: list[int] = []
    for code, inside in _grouped(program, fields, loose):
        explained = explain(iced, code, inside, wanted)
        if explained.unknown or (explained.others and not consistent(iced, code)):
            # Constants between the instructions: what follows them may have been read out of step.
            loose += inside
        else:
            found += explained.operands
    if loose:
        found += _settle_loose(iced, program, sorted(loose), wanted)
    return sorted(found)


def _grouped(program: Program, fields: list[int], loose: list[int]) -> Iterator[tuple[Code, list[int]]]:
    """The functions with candidates, and their candidates; those in no function are added to `loose`."""
    place = 0
    while place < len(fields):
        code = program.functions.at(fields[place])
        if code is None:
            loose.append(fields[place])
            place += 1
            continue
        end = bisect_left(fields, code.end, place)
        yield code, fields[place:end]
        place = end


def _settle_loose(iced: Any, program: Program, fields: list[int], wanted: Window) -> list[Operand]:
    """Settle candidates in no function, or in one that holds constants, by following the code that is called."""
    suspects = [f for f in fields if (code := program.sections.at(f)) and could_be_operand(iced, code, f, wanted)]
    if not suspects:
        return []
    doubtful = {code.start: code for f in suspects if (code := program.functions.at(f))}
    runs = Runs(tuple(sorted((*program.gaps.runs, *doubtful.values()), key=lambda code: code.start)))
    # What is called is code; what is only pointed at is code when it reads like code to the end of every path.
    reached = Reached()
    certain = {*doubtful, *program.entries, *_branches(iced, program, runs, doubtful)}
    pointed_at = {*program.pointed_at, *_addresses_formed(program, runs)} - certain
    constants = []
    for entry in (*sorted(certain), *sorted(pointed_at)):
        path = follow(iced, runs, entry, wanted, reached)
        if path is not None:
            reached.merge(path)
        elif entry in pointed_at:
            constants.append(entry)
    unreached = [field for field in suspects if field not in reached.operands and not reached.covers(field)]
    found = [reached.operands[field] for field in suspects if field in reached.operands]
    named = _in_named(iced, program, unreached, wanted)
    unreached = [field for field in unreached if field not in named]
    left = _through_got(iced, program, runs, _without_constants(runs, unreached, constants, reached), wanted)
    return found + list(named.values()) + left


def _in_named(iced: Any, program: Program, fields: list[int], wanted: Window) -> dict[int, Operand]:
    """The operands that no path leads to, for only computed jumps do, in functions whose size a symbol tells.

    The symbol's word, that this is code, counts when the function decodes from its first byte to its last, every branch
    in it lands where an instruction starts, and every candidate is an operand.
    """
    found: dict[int, Operand] = {}
    for code in {code.start: code for field in fields if (code := program.named.at(field))}.values():
        explained = explain(iced, code, [f for f in fields if code.start <= f < code.end], wanted)
        if not explained.others and not explained.unknown and consistent(iced, code):
            found.update((operand.field, operand) for operand in explained.operands)
    return found


def _without_constants(runs: Runs, fields: list[int], constants: list[int], reached: Reached) -> list[int]:
    """The fields but for those in a zone that no path of code reaches, and where code names constants."""
    starts = sorted(reached.instructions)

    def zone(address: int) -> tuple[int, int]:
        run = runs.at(address)
        return run.start if run else -1, bisect_right(starts, address)

    zones = {zone(address) for address in constants}
    return [field for field in fields if zone(field) not in zones]


def _through_got(iced: Any, program: Program, runs: Runs, fields: list[int], wanted: Window) -> list[Operand]:
    """Operands that no path leads to, but that load pointers which the loader writes, amid bytes that read as code.

    Such are stubs that are found by counting (OpenGL has such), or by nobody any more. Raises Refused for others.
    """
    found: dict[int, Operand] = {}
    for run in {run.start: run for field in fields if (run := runs.at(field))}.values():
        inside = [field for field in fields if run.start <= field < run.end]
        loads = (o for o in explain(iced, run, inside, wanted).operands if not o.lea and o.target in program.relocated)
        found.update((operand.field, operand) for operand in loads)
    for field in fields:
        if field not in found:
            raise Refused(
                f"the bytes at {field:#x} may be an operand or data: no unwind table, symbol or branch tells",
                where=program.file.where,
                remedy=_REMEDY,
            )
    return list(found.values())


def _branches(iced: Any, program: Program, runs: Runs, doubtful: Iterable[int]) -> set[int]:
    """Where functions call or jump into some runs of code."""
    callers: dict[int, Code] = {}
    for code in program.sections.runs:
        for match in _BRANCH.finditer(code.data):
            place = code.start + match.end()
            target = place + 4 + int.from_bytes(match[1], "little", signed=True)
            if runs.at(target) and (caller := program.functions.at(place)):
                callers[caller.start] = caller
    targets: set[int] = set()
    for start, caller in callers.items():
        if start not in doubtful:
            leads_to = (near_target(instruction) for instruction in iced.Decoder(64, caller.data, ip=start))
            targets.update(to for to in leads_to if to and runs.at(to))
    return targets


def _addresses_formed(program: Program, runs: Runs) -> set[int]:
    """Addresses in some runs of code that a `lea` forms: of functions, or of constants."""
    return {target for _, target in lea_sites(program) if runs.at(target)}
