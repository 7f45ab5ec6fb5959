"""The two oracles again, the linker's own 64K link and --emit-relocs, over sources that people use."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagefit.realign import realign
from support import debsource, links64, truth

#: Debian's source package: the files of its library, the files left out, and compiler flags.
SOURCES = {
    "zlib": (("*.c",), ("example.c", "minigzip.c"), ("-DHAVE_UNISTD_H",)),
    "lua5.4": (("src/*.c",), ("lua.c", "luac.c"), ("-DLUA_USE_LINUX",)),
    "libzstd": (tuple(f"lib/{part}/*.c" for part in ("common", "compress", "decompress")), (), ("-DZSTD_DISABLE_ASM",)),
}
COMPILERS = {"gcc": links64.GCC, "clang": links64.CLANG}


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("package", SOURCES)
def test_a_library_people_use(package: str, compiler: str, tmp_path: Path) -> None:
    patterns, left_out, flags = SOURCES[package]
    folder = debsource.source(package)
    files = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.name not in left_out)
    objects = links64.build([*COMPILERS[compiler], "-w", *flags], tmp_path, files)
    pair = links64.link_pair(objects, tmp_path, "-lm")
    assert realign(pair.small, tmp_path / "padded.so", 65536, layout="padded").plan.cls == "c"
    assert links64.differences(tmp_path / "padded.so", pair.large) == []
    for linker in links64.LINKERS:
        linked = links64.link(objects, tmp_path / "x.so", 4096, "-Wl,--emit-relocs", "-lm", linker=linker)
        count, missed, spurious = truth.compare(linked)
        assert count > 80
        assert (missed, spurious) == (set(), set())
