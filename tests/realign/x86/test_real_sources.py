"""Both oracles again, GNU ld's own link and --emit-relocs, over sources that people use."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagefit.realign import realign
from support import corpus, links64, x86links

ONE_SEGMENT = "-Wl,-z,noseparate-code"


@pytest.mark.network
@pytest.mark.parametrize(("name", "compiled_by"), corpus.cases())
def test_a_library_people_use(name: str, compiled_by: str, tmp_path: Path) -> None:
    built = corpus.objects(name, "x86_64", compiled_by)
    small, ours = tmp_path / "small.so", tmp_path / "ours.so"
    for kind in ((), ("-Wl,-z,now",), (ONE_SEGMENT,)):
        flags = (*built.flags, *kind)
        x86links.link(built.files, small, *flags)
        cls = realign(small, ours, 65536, layout="padded").plan.cls
        if ONE_SEGMENT not in kind:
            linkers = x86links.link_like(ours, built.files, tmp_path / "like.so", *flags)
        elif cls == "c":
            linkers = x86links.link(built.files, tmp_path / "large.so", *flags, page_size=65536)
        else:
            continue  # by chance data had a page of its own, and stays; GNU ld's own link moves it nevertheless
        assert cls == "c"
        assert links64.differences(ours, linkers) == []
    for linker in x86links.LINKERS:
        linked = x86links.link(built.files, tmp_path / "x.so", "-Wl,--emit-relocs", *built.flags, linker=linker)
        for page_size in (65536, 1 << 20):  # some layouts have, by chance, nothing that must move for 64K
            count, missed, spurious = x86links.compare(linked, page_size)
            assert (missed, spurious) == (set(), set())
            if count:
                break
        assert count >= corpus.REFERENCES.get(name, 80)
