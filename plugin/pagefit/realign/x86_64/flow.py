"""Data flow through one function: which relative tables it reads, with which bound on the index.

A classic forward analysis over the control flow graph (values in `values`), to its fixed point. It errs on the side of
knowing less: a number it loses track of is unknown, and a base that may also be something else stays a base.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

from pagefit.realign.x86_64.operands import LONGEST, near_target
from pagefit.realign.x86_64.program import Code
from pagefit.realign.x86_64.transfer import Read, Transfer
from pagefit.realign.x86_64.values import State, join

#: rbx, rbp, r12–r15 survive a call (System V x86-64 ABI 3.2.1).
_SAVED: Final = frozenset((3, 5, 12, 13, 14, 15))
#: A block visited more often than this (a huge function with many joins) is given up.
_VISITS: Final = 200
#: A jump through a table follows the `lea` of the table within so many instructions, nearly always.
_JUMP_REACH: Final = 40


class _Hub(enum.IntEnum):
    """Where many edges meet: from every call to every landing pad, from every indirect jump to every case or block.

    A node of the graph like the blocks, which are known by their (positive) addresses.
    """

    EXCEPTION = -1
    JUMP = -2
    ANYWHERE = -3


#: Where the jump table at an address could lead.
JumpTargets: TypeAlias = Callable[[int], Iterable[int]]


class _Graph(NamedTuple):
    """Basic blocks by address.

    `landings` are those that no direct branch leads to: landing pads of exceptions, cases of a switch; `cases` are
    all places that tables lead to, and the landings.
    """

    blocks: dict[int, list[Any]]
    landings: frozenset[int]
    cases: frozenset[int]


def table_reads(iced: Any, code: Code, tables: Container[int], jump_targets: JumpTargets) -> frozenset[Read] | None:
    """All reads of some tables in a function, but for jumps through them; None when the analysis gives up."""
    graph = _graph(iced, code, jump_targets)
    transfer = Transfer(iced, tables)
    states: dict[int, State] = {code.start: State()}
    visits: dict[int, int] = {}
    pending: list[tuple[bool, int]] = [(False, code.start)]
    while pending:
        # Code runs upwards, mostly; and a hub is best left until all edges into it have been seen.
        _, node = heapq.heappop(pending)
        visits[node] = visits.get(node, 0) + 1
        if visits[node] > _VISITS:
            return None
        for target, state in _run(iced, transfer, graph, node, states[node].copy()):
            known = states.get(target)
            merged = state if known is None else join(known, state)
            if merged != known:
                states[target] = merged
                entry = (target < 0, target)
                if entry not in pending:
                    heapq.heappush(pending, entry)
    # A block's first visits left traces that no path explains; from the fixed point, one more round leaves them out.
    settled: dict[int, State] = {code.start: State()}
    for node, before in states.items():
        for target, state in _run(iced, transfer, graph, node, before.copy()):
            settled[target] = join(settled[target], state) if target in settled else state
    transfer.reads.clear()
    for node, before in settled.items():
        for _ in _run(iced, transfer, graph, node, before.copy()):
            pass
    return frozenset(read for read in transfer.reads if read.adder not in transfer.jumps)


def jumps_through(iced: Any, code: Code, site: int, base: int) -> bool:
    """Whether the code from `site` on, as it falls through, jumps to a place that the table at `base` gives."""
    transfer = Transfer(iced, (base,))
    state = State()
    kinds = iced.FlowControl
    place = site - code.start
    instructions = iced.Decoder(64, code.data[place : place + _JUMP_REACH * LONGEST], ip=site)
    for instruction in islice(instructions, _JUMP_REACH):
        flow = instruction.flow_control
        if flow == kinds.INDIRECT_BRANCH:
            return transfer.jump(instruction, state)
        if flow == kinds.NEXT:
            transfer.step(instruction, state)
        elif flow != kinds.CONDITIONAL_BRANCH:
            break
    return False


def only_jumps(iced: Any, code: Code) -> bool:
    """Whether every word that a function loads with `movslq` is added and jumped to at once: all are jump tables."""
    m, kinds = iced.Mnemonic, iced.OpKind
    word: int | None = None
    total: int | None = None
    for instruction in iced.Decoder(64, code.data, ip=code.start):
        if total is not None:
            if instruction.flow_control != iced.FlowControl.INDIRECT_BRANCH or instruction.op0_register != total:
                return False
            total = None
        elif word is not None:
            if instruction.mnemonic != m.ADD or instruction.op0_register != word:
                return False
            word, total = None, word
        elif instruction.mnemonic == m.MOVSXD and instruction.op1_kind == kinds.MEMORY:
            word = instruction.op0_register
    return word is None and total is None


def _graph(iced: Any, code: Code, jump_targets: JumpTargets) -> _Graph:
    instructions = list(iced.Decoder(64, code.data, ip=code.start))
    kinds = iced.FlowControl
    direct: set[int] = {code.start}
    leaders: set[int] = {code.start}
    cases: set[int] = set()
    for instruction in instructions:
        target = near_target(instruction)
        if target is not None and instruction.flow_control != kinds.CALL:
            direct.add(target)
        if instruction.flow_control in (kinds.CONDITIONAL_BRANCH, kinds.XBEGIN_XABORT_XEND):
            direct.add(instruction.next_ip)
        if instruction.flow_control not in (kinds.NEXT, kinds.CALL, kinds.INDIRECT_CALL):
            leaders.add(instruction.next_ip)
        if instruction.mnemonic == iced.Mnemonic.LEA and instruction.is_ip_rel_memory_operand:
            cases.update(jump_targets(instruction.ip_rel_memory_address))
    leaders |= direct | cases
    blocks: dict[int, list[Any]] = {}
    block: list[Any] = []
    for instruction in instructions:
        if instruction.ip in leaders:
            block = blocks[instruction.ip] = []
        block.append(instruction)
    landings = frozenset(blocks) - direct
    # A jump that no table explains may lead anywhere.
    return _Graph(blocks, landings, landings | (cases & blocks.keys()) if cases else frozenset(blocks))


def _run(iced: Any, transfer: Transfer, graph: _Graph, node: int, state: State) -> Iterator[tuple[int, State]]:
    """Run one block; yield the nodes that may come next, each with its state."""
    if node < 0:
        places = {_Hub.EXCEPTION: graph.landings, _Hub.JUMP: graph.cases, _Hub.ANYWHERE: graph.blocks}[_Hub(node)]
        yield from ((place, state.copy()) for place in places)
        return
    kinds = iced.FlowControl
    for instruction in graph.blocks[node]:
        flow = instruction.flow_control
        after = instruction.next_ip
        target = near_target(instruction)
        if flow in (kinds.CALL, kinds.INDIRECT_CALL):
            state.clobber(index for index in range(16) if index not in _SAVED)
            state.flags = None
            if graph.landings:
                yield _Hub.EXCEPTION, state.copy()
        elif flow == kinds.CONDITIONAL_BRANCH:
            taken, state = transfer.branch(instruction, state)
            if target in graph.blocks:
                yield target, taken
        elif flow == kinds.UNCONDITIONAL_BRANCH:
            if target in graph.blocks:
                yield target, state
            return
        elif flow == kinds.INDIRECT_BRANCH:
            transfer.jump(instruction, state)
            # A table of addresses (a computed goto) has no place among the cases that are known.
            yield _Hub.JUMP if transfer.register(instruction, 0) is not None else _Hub.ANYWHERE, state
            return
        elif flow in (kinds.RETURN, kinds.EXCEPTION):
            return
        else:
            transfer.step(instruction, state)
            if target in graph.blocks:
                yield target, state.copy()
    if after in graph.blocks:
        yield after, state
