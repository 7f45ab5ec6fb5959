"""Both oracles again, GNU ld's own link and --emit-relocs, over sources that people use."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagefit.realign import realign
from support import debsource, links64, x86links

#: Debian's source package: the files of its library, the files left out, and compiler flags.
SOURCES = {
    "zlib": (("*.c",), ("example.c", "minigzip.c"), ("-DHAVE_UNISTD_H",)),
    "lua5.4": (("src/*.c",), ("lua.c", "luac.c"), ("-DLUA_USE_LINUX",)),
    "libzstd": (tuple(f"lib/{part}/*.[cS]" for part in ("common", "compress", "decompress")), (), ()),
}
COMPILERS = {"gcc": x86links.GCC, "clang": x86links.CLANG}


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("package", SOURCES)
def test_a_library_people_use(package: str, compiler: str, tmp_path: Path) -> None:
    patterns, left_out, flags = SOURCES[package]
    folder = debsource.source(package)
    files = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.name not in left_out)
    objects = x86links.build([*COMPILERS[compiler], "-w", *flags], tmp_path, files)
    small = x86links.link(objects, tmp_path / "small.so", "-lm")
    ours = tmp_path / "ours.so"
    assert realign(small, ours, 65536, layout="padded").plan.cls == "c"
    assert links64.differences(ours, x86links.link_like(ours, objects, tmp_path / "like.so", "-lm")) == []
    for linker in x86links.LINKERS:
        linked = x86links.link(objects, tmp_path / "x.so", "-Wl,--emit-relocs", "-lm", linker=linker)
        count, missed, spurious = x86links.compare(linked)
        # By chance, gold's layout of one of them has nothing that must move.
        assert count > 80 or linker == "gold"
        assert (missed, spurious) == (set(), set())
