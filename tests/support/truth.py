"""What the linker knows: every relocation it resolved in code and read-only data, kept by `--emit-relocs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pagefit.elf.sections import SHT_RELA, ElfFile, open_elf
from pagefit.realign.aarch64 import instructions as a64
from pagefit.realign.engine import draft_for
from pagefit.realign.moves import Moves

_PREL = {260: 8, 261: 4}
_WORDS = "relative table"


def compare(path: Path, page_size: int = 65536) -> tuple[int, set[int], set[int]]:
    """(true references from code to what moves, addresses missed, addresses patched without cause) of a file.

    The file must have been linked with `--emit-relocs`.
    """
    with open_elf(path) as file:
        plan = draft_for(file, page_size, "dense")[1]
        found: set[int] = set()
        for patch in plan.code.patches:
            address = file.address_of(patch.offset)
            found.add(address + 4 if patch.kind == "ADR to ADRP+ADD" else address)
        true = set(_places(file, plan.moves))
        return len(true), true - found, found - true


def _places(file: ElfFile, moves: Moves) -> Iterator[int]:
    for table in file.sections:
        if table.type != SHT_RELA or table.alloc or not table.size:
            continue
        home = file.sections[table.info]
        if not home.alloc or home.writable or home.name in (".eh_frame", ".gcc_except_table"):
            continue
        for place, info, _ in file.struct("QQq").iter_unpack(file.contents(table)):
            if _leads(file, home.executable, place, info & 0xFFFFFFFF, moves):
                yield place
    for section in file.executable:  # the linker's own code has no relocations: there every ADRP is one
        if section.name.startswith((".plt", ".iplt")):
            for place in range(section.addr, section.end, 4):
                if _leads(file, True, place, 0, moves):
                    yield place


def _leads(file: ElfFile, code: bool, place: int, kind: int, moves: Moves) -> bool:
    if kind in _PREL:
        raw = file.read(place, _PREL[kind]) or b""
        return bool(moves.shift(place + int.from_bytes(raw, "little", signed=True)))
    if not code:
        return False
    word = int.from_bytes(file.read(place, 4) or b"", "little")
    if a64.matches(word, a64.ADR):
        return bool(moves.shift(a64.adr_target(word, place)))
    if a64.matches(word, a64.ADRP):
        owner = moves.page_owner(a64.adr_target(word, place))
        return owner is not None and bool(owner.delta)
    return False
