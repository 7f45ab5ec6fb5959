"""What happened to a file after it was linked is part of what a relink reproduces."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagefit.errors import Refused
from pagefit.links.replay import relink
from support.links import dynamic, load_alignments, readelf, recorded, sections, shell, write_sources

K64 = 0x10000
LINKERS = ["bfd", "gold", "lld", "mold"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_sources(tmp_path / "src")


def after(source: Path, change: str, link: str = "gcc -g -shared -fPIC half.c user.c -o lib.so") -> tuple[Path, Path]:
    """The shipped file, changed after its recorded link, and what a relink makes of it."""
    journal = recorded(link, source, source.parent / "journal")
    shell(change, source)
    target = source.parent / "relinked.so"
    assert relink(source / "lib.so", target, journal, K64).proof == "bit for bit"
    assert load_alignments(target) == {K64}
    return source / "lib.so", target


RPATHS = ["", "-Wl,-rpath,/build/lib:/other -Wl,--enable-new-dtags", "-Wl,-rpath=/a,-R,/b"]


@pytest.mark.parametrize(
    ("linker", "before", "rpath"),
    [
        *((linker, before, "$ORIGIN/../pkg.libs") for linker in LINKERS for before in RPATHS),
        *((linker, RPATHS[1], "") for linker in LINKERS),
    ],
)
def test_a_runpath_that_patchelf_has_set_is_linked_in(source: Path, linker: str, before: str, rpath: str) -> None:
    link = f"gcc -fuse-ld={linker} -shared -fPIC {before} half.c user.c -o lib.so"
    shipped, relinked = after(source, f"patchelf --set-rpath '{rpath}' lib.so", link)
    assert dynamic(relinked, "RUNPATH") == ([rpath] if rpath else [])
    assert dynamic(relinked, "RPATH") == []
    assert dynamic(shipped, "NEEDED") == dynamic(relinked, "NEEDED")


def test_an_rpath_stays_an_rpath(source: Path) -> None:
    _, relinked = after(source, "patchelf --force-rpath --set-rpath /opt/lib lib.so")
    assert dynamic(relinked, "RPATH") == ["/opt/lib"]
    assert dynamic(relinked, "RUNPATH") == []


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("strip", ["strip", "strip --strip-unneeded", "strip --strip-debug"])
def test_the_strip_state_is_linked_in(source: Path, linker: str, strip: str) -> None:
    link = f"gcc -fuse-ld={linker} -g -shared -fPIC half.c user.c -o lib.so"
    if (linker, strip) == ("mold", "strip --strip-debug") and drops_symbols_with_debug(source):
        with pytest.raises(Refused, match="the symbol table"):
            after(source, f"{strip} lib.so", link)
        return
    shipped, relinked = after(source, f"{strip} lib.so", link)
    assert sorted(sections(shipped)) == sorted(sections(relinked))
    assert not [name for name in sections(relinked) if name.startswith(".debug")]


def drops_symbols_with_debug(source: Path) -> bool:
    """Whether this mold takes `-S` for `-s`, as mold 1.x does."""
    shell("gcc -fuse-ld=mold -g -shared -fPIC -Wl,-S half.c -o trial.so", source)
    return ".symtab" not in sections(source / "trial.so")


def test_a_runpath_from_the_environment_is_kept_or_left_out(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_RUN_PATH", "/from/environment")
    _, relinked = after(source, "true")
    assert dynamic(relinked, "RUNPATH") == ["/from/environment"]
    _, relinked = after(source, "patchelf --remove-rpath lib.so")
    assert dynamic(relinked, "RUNPATH") == []


def test_strip_and_patchelf_together(source: Path) -> None:
    _, relinked = after(source, "strip lib.so && patchelf --set-rpath '$ORIGIN' lib.so")
    assert dynamic(relinked, "RUNPATH") == ["$ORIGIN"]
    assert ".symtab" not in sections(relinked)


def test_strip_without_a_build_id_is_matched_by_its_sections(source: Path) -> None:
    link = "gcc -g -shared -fPIC -Wl,--build-id=none half.c user.c -o lib.so; gcc -g -shared -fPIC half.c -o other.so"
    _, relinked = after(source, "strip lib.so", link)
    assert "twice" in readelf("--dyn-syms", relinked)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("patchelf --add-needed libz.so.1 lib.so", "DT_NEEDED"),
        ("patchelf --set-soname libother.so lib.so", "DT_SONAME"),
        ("strip -x lib.so", "the symbol table"),
        ("objcopy --remove-section .comment lib.so", "sections"),
        ("objcopy --add-section .own=half.c lib.so", "sections"),
        (r"printf '\x90' | dd of=lib.so bs=1 seek=$((0x$(nm lib.so | sed -n 's/ T half//p'))) conv=notrunc", r"\.text"),
    ],
)
def test_a_change_that_a_link_cannot_reproduce_is_refused(source: Path, change: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        after(source, change)
    assert not (source.parent / "relinked.so").exists()


def test_a_random_build_id_is_proved_section_for_section(source: Path, tmp_path: Path) -> None:
    journal = recorded("gcc -shared -fPIC -Wl,--build-id=uuid half.c -o lib.so", source, tmp_path / "journal")
    result = relink(source / "lib.so", source / "lib.so", journal, K64)
    assert result.proof == "section for section"
    assert load_alignments(source / "lib.so") == {K64}


def test_the_last_of_equal_links_is_taken_and_modes_are_kept(source: Path, tmp_path: Path) -> None:
    link = "gcc -shared -fPIC half.c -o lib.so"
    journal = recorded(f"{link}; {link}", source, tmp_path / "journal")
    (source / "lib.so").chmod(0o640)
    result = relink(source / "lib.so", source / "lib.so", journal, K64)
    assert result.recipe.name == max(recipe.name for recipe in journal.recipes())
    assert (source / "lib.so").stat().st_mode & 0o777 == 0o640


def test_libraries_that_differ_only_in_their_name_are_told_apart(source: Path) -> None:
    link = "gcc -shared -fPIC -Wl,--build-id=none half.c -o lib{0}.so -Wl,-soname,lib{0}.so"
    lines = "; ".join(link.format(number) for number in range(3))
    journal = recorded(lines, source, source.parent / "journal")
    shell("for number in 0 1 2; do strip lib$number.so; done", source)
    for number in range(3):
        relinked = source / "relinked.so"
        relink(source / f"lib{number}.so", relinked, journal, K64)
        assert dynamic(relinked, "SONAME") == [f"lib{number}.so"]
