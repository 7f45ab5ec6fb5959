"""The two oracles again, the linker's own 64K link and --emit-relocs, over sources that people use."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagefit.realign import realign
from support import corpus, links64, truth


@pytest.mark.network
@pytest.mark.parametrize(("name", "compiled_by"), corpus.cases())
def test_a_library_people_use(name: str, compiled_by: str, tmp_path: Path) -> None:
    built = corpus.objects(name, "aarch64", compiled_by)
    for flags in (built.flags, (*built.flags, "-Wl,-z,now")):
        pair = links64.link_pair(built.files, tmp_path, *flags)
        assert realign(pair.small, tmp_path / "padded.so", 65536, layout="padded").plan.cls == "c"
        assert links64.differences(tmp_path / "padded.so", pair.large) == []
    for linker in links64.LINKERS:
        linked = links64.link(built.files, tmp_path / "x.so", 4096, "-Wl,--emit-relocs", *built.flags, linker=linker)
        for page_size in (65536, 1 << 20):  # some layouts have, by chance, nothing that must move for 64K
            count, missed, spurious = truth.compare(linked, page_size)
            assert (missed, spurious) == (set(), set())
            if count:
                break
        assert count >= corpus.REFERENCES.get(name, 80)
