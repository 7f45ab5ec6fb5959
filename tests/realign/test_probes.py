"""SystemTap's probes after their semaphores have moved, as readelf reads the notes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pagefit.realign import realign
from support import links64, x86links

SOURCE = Path(__file__).parent / "sources/probes.c"


def notes(path: Path) -> list[tuple[int, int, int]]:
    """(location, base, semaphore) of each probe."""
    shown = subprocess.run(["readelf", "-nW", path], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"Location: (0x\w+), Base: (0x\w+), Semaphore: (0x\w+)", shown)
    return [(int(location, 16), int(base, 16), int(semaphore, 16)) for location, base, semaphore in found]


@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
def test_semaphores_are_where_the_notes_say(machine: str, tmp_path: Path) -> None:
    # The header is for all machines, but lies where one compiler looks.
    (tmp_path / "sys").mkdir()
    for header in Path("/usr/include").glob("*/sys/sdt*.h"):
        (tmp_path / "sys" / header.name).symlink_to(header)
    include = f"-I{tmp_path}"
    ours = tmp_path / "ours.so"
    if machine == "aarch64":
        pair = links64.link_pair(links64.build([*links64.GCC, include], tmp_path, [SOURCE]), tmp_path)
        small, large = pair.small, pair.large
        realign(small, ours, 65536, layout="padded")
    else:
        objects = x86links.build([*x86links.GCC, include], tmp_path, [SOURCE])
        small = x86links.link(objects, tmp_path / "small.so")
        realign(small, ours, 65536, layout="padded")
        large = x86links.link_like(ours, objects, tmp_path / "like.so")
    assert links64.differences(ours, large) == []
    assert notes(ours) == notes(large)
    names = ("pagefit_enter_semaphore", "pagefit_leave_semaphore")
    for path in (small, ours):
        assert [semaphore for _, _, semaphore in notes(path)] == [x86links.address(path, name) for name in names]
    # The probes themselves lie in code, which stays.
    assert [note[:2] for note in notes(small)] == [note[:2] for note in notes(ours)]
    assert [note[2] for note in notes(small)] != [note[2] for note in notes(ours)]
