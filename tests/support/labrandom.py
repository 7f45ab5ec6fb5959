"""Random layouts for the page lab, as linkers and tools might leave files."""

from __future__ import annotations

import random
from pathlib import Path

from pagefit.elf import constants as c
from support import labcorpus

#: Room for each LOAD (bytes), so that none overlaps the next in memory; the addresses between are drawn.
_ROOM = (0xC00, 0x400, 0x4000, 0)
_PAGES = (4096, 16384, 65536)
_RIGHTS = (c.PF_R, c.PF_R | c.PF_W, c.PF_R | c.PF_X)


def files(arch: str, count: int, seed: str, folder: Path) -> list[Path]:
    """Make `count` shared objects; the same ones for the same seed."""
    chance = random.Random(seed)
    return [labcorpus.craft(arch, _draw(chance, number), folder) for number in range(count)]


def _draw(chance: random.Random, number: int) -> labcorpus.Case:
    # LOADs in ascending order, each congruent to some page size.
    vaddrs, deltas, address, offset = [], [], 0, 0
    for place, room in enumerate(_ROOM):
        page = chance.choice(_PAGES)
        if place:
            address += -address % chance.choice((0x400, 0x1000, page)) + chance.choice((0, 0, page, 3 * page))
            # As dense as the page size drawn allows, or at the same distance as in memory.
            offset = max(offset, address) if chance.random() < 0.3 else offset + (address - offset) % page
        vaddrs.append(address)
        deltas.append(address - offset)
        address, offset = address + room, offset + room
    aligns = tuple(chance.choice(_PAGES) for _ in _ROOM) if chance.random() < 0.3 else (chance.choice(_PAGES),) * 4
    return labcorpus.Case(
        f"random-{number}",
        vaddrs=tuple(vaddrs),
        deltas=tuple(deltas),
        aligns=aligns,
        data_first=chance.random() < 0.2,
        relro_size=chance.choice((0x800, 0x1000)),
        fill=chance.choice((0, 0xCC)),
        edits=(labcorpus.change(3, flags=chance.choice(_RIGHTS)),),
    )
