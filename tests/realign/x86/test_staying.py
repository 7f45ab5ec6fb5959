"""References to RELRO's data that cannot all be found: it stays, and only what follows it moves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pagefit.elf import constants as c
from pagefit.elf.sections import open_elf
from pagefit.errors import Refused
from pagefit.loaders.verdict import Verdict
from pagefit.realign import realign
from support import lab, x86links

OWN = Path(__file__).parent / "sources"
#: Maps the library as the loader left it: rights of the page that holds a symbol, and all rights.
MAPS = """
import ctypes, re, sys
library = ctypes.CDLL(sys.argv[1])
place = ctypes.addressof(ctypes.c_char.in_dll(library, "constants"))
for line in open("/proc/self/maps"):
    start, end, rights = re.match("(\\\\w+)-(\\\\w+) (....)", line).groups()
    if sys.argv[1] in line:
        print(rights, end=" ")
        if int(start, 16) <= place < int(end, 16):
            print("constants", rights, end=" ")
"""


@pytest.mark.parametrize("binding", ["lazy", "now"])
@pytest.mark.parametrize("linker", ["bfd", "gold"])
def test_an_unguarded_table_is_no_obstacle(linker: str, binding: str, tmp_path: Path) -> None:
    library = _link(tmp_path, linker, binding)
    result = tmp_path / "result.so"
    plan = realign(library, result, 65536).plan
    assert plan.cls == "c"
    assert x86links.address(result, "counter") > x86links.address(library, "counter")
    assert "relative table" not in plan.patched
    assert x86links.run(result) == x86links.run(library)
    for size in (4096, 65536):
        outcomes = lab.load_all("x86_64", size, [result])
        assert {outcome.verdict for outcome in outcomes.values()} == {Verdict.FITS}, outcomes


@pytest.mark.parametrize("linker", ["bfd", "gold"])
def test_relro_protects_the_constants_that_share_its_page(linker: str, tmp_path: Path) -> None:
    result = tmp_path / "result.so"
    realign(_link(tmp_path, linker, "now"), result, 65536)
    with open_elf(result) as file:
        relro = file.image.first(c.PT_GNU_RELRO)
        assert relro is not None
        assert relro.vaddr <= x86links.address(result, "constants") < relro.vend
    listing = subprocess.run([sys.executable, "-c", MAPS, result], check=True, capture_output=True, text=True).stdout
    assert "constants r" in listing
    assert "constants rw" not in listing
    assert "rwx" not in listing


def test_code_never_becomes_writable(tmp_path: Path) -> None:
    library = _link(tmp_path, "lld", "now")  # code lies next to RELRO
    with pytest.raises(Refused, match=r"length is not proved|nothing bounds the index"):
        realign(library, tmp_path / "result.so", 65536)
    assert not (tmp_path / "result.so").exists()


def _link(folder: Path, linker: str, binding: str) -> Path:
    objects = x86links.build(x86links.CLANG, folder, [OWN / "enums.c"])
    return x86links.link(objects, folder / "x.so", f"-Wl,-z,{binding}", linker=linker)
