"""The words of code are one number each, also on hosts that keep numbers the other way round."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pagefit.elf.sections import open_elf
from pagefit.realign.aarch64 import text
from support import lab


@pytest.mark.parametrize("host", ["little", "big"])
def test_every_word_of_a_section_is_one_number(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = lab.build("aarch64", tmp_path / "x.so", "int add(int a, int b) { return a + b; }", flags=["-shared"])
    monkeypatch.setattr(text, "sys", SimpleNamespace(byteorder=host))
    # A host that only passes for another one still reads numbers its own way: a swap shows as the other order.
    order = "<I" if host == sys.byteorder else ">I"
    with open_elf(library) as file:
        words = {one.section.name: list(one.words) for one in text.texts(file, {})}
        expected = {s.name: [word for (word,) in struct.iter_unpack(order, file.contents(s))] for s in file.executable}
    assert words == expected
    assert words[".text"]
