"""Damaged and hostile files: a sentence, never a traceback, and nothing is written."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pagefit.errors import PagefitError
from pagefit.realign import realign
from support import links64

SOURCES = Path(__file__).parent / "sources"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("good")
    objects = links64.build(links64.GXX, folder, [SOURCES / "exceptions.cc"])
    flags = ("-Wl,--pack-dyn-relocs=relr",)
    return links64.link(objects, folder / "x.so", 4096, *flags, linker="lld").read_bytes()


def test_the_undamaged_file_is_relinked(good: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.so").write_bytes(good)
    assert realign(tmp_path / "x.so", tmp_path / "y.so", 65536).plan.cls == "c"


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_relinked_or_refused(good: bytes, seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    data = bytearray(good)
    places = (range(64 + 56 * 9), range(len(data) - 64 * 40, len(data)), range(len(data)))[seed % 3]
    for _ in range(chance.randrange(1, 6)):
        data[chance.choice(places)] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
    if seed % 5 == 0:
        del data[chance.randrange(len(data)) :]
    (tmp_path / "x.so").write_bytes(data)
    try:
        realign(tmp_path / "x.so", tmp_path / "y.so", 65536)
    except PagefitError:
        assert [path.name for path in tmp_path.iterdir()] == ["x.so"]


def test_appended_data_is_kept_and_reported(good: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.so").write_bytes(good + b"signature" + b"~Module signature appended~\n")
    result = realign(tmp_path / "x.so", tmp_path / "y.so", 65536)
    assert (tmp_path / "y.so").read_bytes().endswith(b"signature~Module signature appended~\n")
    assert any("signature" in note for note in result.plan.notes)
    assert result.provenance["notes"] == list(result.plan.notes)
