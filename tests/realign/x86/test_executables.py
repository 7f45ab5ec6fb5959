"""Executables that are position-independent, and a 64K loader's word on them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pagefit.loaders.verdict import Verdict
from pagefit.realign import realign
from support import lab, x86links

OWN = Path(__file__).parent / "sources"
MAIN = """
#include <stdio.h>
int run(int);
int main(void) { for (int x = 0; x < 32; x++) printf("%d ", run(x)); return 0; }
"""


# gold cannot link Debian's libc.a into a static PIE.
SHAPES = [("-pie", linker) for linker in x86links.LINKERS]
SHAPES += [("-static-pie", linker) for linker in x86links.LINKERS if linker != "gold"]


@pytest.mark.parametrize(("shape", "linker"), SHAPES)
def test_an_executable_runs_as_before(shape: str, linker: str, tmp_path: Path) -> None:
    main = tmp_path / "main.c"
    main.write_text(MAIN)
    objects = x86links.build(x86links.GCC, tmp_path, [OWN / "code.c", main], "-fPIE")
    program = x86links.link(objects, tmp_path / "program", shape, linker=linker)
    realign(program, tmp_path / "realigned", 65536)
    before, after = (
        subprocess.run([path], check=True, capture_output=True).stdout for path in (program, tmp_path / "realigned")
    )
    assert before == after
    assert before.count(b" ") == 32


@pytest.mark.parametrize("linker", x86links.LINKERS)
def test_the_real_loader_maps_the_result_at_64k(linker: str, tmp_path: Path) -> None:
    library = x86links.link(x86links.build(x86links.GCC, tmp_path, [OWN / "code.c"]), tmp_path / "x.so", linker=linker)
    result = tmp_path / "result.so"
    realign(library, result, 65536)
    before = lab.load_all("x86_64", 65536, [library])
    assert not any(outcome.verdict.loads for outcome in before.values())
    for size in (4096, 65536):
        outcomes = lab.load_all("x86_64", size, [result])
        assert {outcome.verdict for outcome in outcomes.values()} == {Verdict.FITS}, outcomes
