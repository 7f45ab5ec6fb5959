"""The linker that runs is the one that would have run without the recorder. Another one is the worst of all faults."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pagefit.errors import Refused
from pagefit.links.recipe import Unrecorded
from pagefit.links.recorder import record
from pagefit.links.replay import relink
from support.links import load_alignments, readelf, recorded, shell, write_sources

K64 = 0x10000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_sources(tmp_path / "src")


def own_linker(folder: Path, name: str, real: str) -> Path:
    """A linker of one's own: notes that it ran in `ran`, beside it, and passes on to a real one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f'#!/bin/sh\necho "$0" >> {folder}/ran\nexec {real} "$@"\n')
    (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    "compiler",
    [
        "gcc",
        "gcc -m32 -fuse-ld=lld",
        "i686-linux-gnu-gcc",
        "aarch64-linux-gnu-gcc",
        "aarch64-linux-gnu-gcc -fuse-ld=bfd",
        "aarch64-linux-gnu-gcc -fuse-ld=gold",
        "aarch64-linux-gnu-gcc -flto",
        "riscv64-linux-gnu-gcc",
        "powerpc64le-linux-gnu-gcc",
        "s390x-linux-gnu-gcc",
        "arm-linux-gnueabihf-gcc",
        "clang",
        "clang --target=aarch64-linux-gnu",
        "clang --target=aarch64-linux-gnu -fuse-ld=bfd",
        "clang --target=aarch64-linux-gnu -fuse-ld=gold",
        "clang --target=aarch64-linux-gnu -fuse-ld=lld",
        "clang -target powerpc64le-linux-gnu",
        "musl-gcc",
    ],
)
def test_native_and_cross_drivers_get_their_own_linker(source: Path, tmp_path: Path, compiler: str) -> None:
    link = f"{compiler} -nostdlib -shared -fPIC half.c user.c -o lib.so"
    journal = recorded(link, source, tmp_path / "journal")
    with_recorder = (source / "lib.so").read_bytes()
    shell(link, source)
    assert (source / "lib.so").read_bytes() == with_recorder
    assert relink(source / "lib.so", tmp_path / "out.so", journal, K64).proof == "bit for bit"
    assert load_alignments(tmp_path / "out.so") == {K64}


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_linker_on_the_users_compiler_path_goes_first(
    source: Path, tmp_path: Path, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_linker(tmp_path / "mine", "ld", "/usr/bin/ld")
    monkeypatch.setenv("COMPILER_PATH", os.path.relpath(tmp_path / "mine", source))
    journal = recorded(f"{compiler} -shared -fPIC half.c -o lib.so", source, tmp_path / "journal")
    assert (tmp_path / "mine" / "ran").exists()
    assert journal.recipes()[0].linker == tmp_path / "mine" / "ld"


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_linker_that_appears_on_path_during_the_build_is_found(
    source: Path, tmp_path: Path, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    monkeypatch.setenv("PATH", f"{mine}:{os.environ['PATH']}")
    link = f"{compiler} -fuse-ld=lld -shared -fPIC half.c -o lib.so"
    with record(tmp_path / "journal") as journal:
        shell(link, source)
        own_linker(mine, "ld.lld", "/usr/bin/ld.lld")
        shell(link, source)
    (mine / "ran").unlink(missing_ok=True)
    shell(link, source)
    before, afterwards = (recipe.linker for recipe in journal.recipes())
    assert before != mine / "ld.lld"
    # clang looks beside itself first and never sees ours; recording has to agree with the plain link.
    assert (afterwards == mine / "ld.lld") == (mine / "ran").exists()
    assert (mine / "ran").exists() or compiler == "clang"


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_an_explicit_b_folder_wins_and_goes_unrecorded(source: Path, tmp_path: Path, compiler: str) -> None:
    mine = own_linker(tmp_path / "mine", "ld", "/usr/bin/ld")
    journal = recorded(f"{compiler} -B{mine} -shared -fPIC half.c -o lib.so", source, tmp_path / "journal")
    assert (mine / "ran").read_text().count("\n") == 1
    assert journal.recipes() == []
    with pytest.raises(Unrecorded, match="no recorded link made this file"):
        relink(source / "lib.so", tmp_path / "out.so", journal, K64)


def test_a_b_folder_without_a_linker_is_recorded(source: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    journal = recorded(f"gcc -B{tmp_path}/empty -shared -fPIC half.c -o lib.so", source, tmp_path / "journal")
    assert len(journal.recipes()) == 1


@pytest.mark.parametrize("link", ["gcc -fuse-ld=mold", "clang -fuse-ld=mold", "aarch64-linux-gnu-gcc -fuse-ld=lld"])
def test_a_linker_that_is_not_found_is_not_found(
    source: Path, tmp_path: Path, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "as", "ld", "gcc", "clang", "aarch64-linux-gnu-gcc", "ld.lld"):
        (folder / tool).symlink_to(os.path.realpath(shell(f"command -v {tool}", tmp_path).strip()))
    monkeypatch.setenv("PATH", str(folder))
    shell(f"{link} -shared -fPIC half.c -o lib.so", source, status=1)
    with record(tmp_path / "journal") as journal:
        shell(f"{link} -shared -fPIC half.c -o lib.so", source, status=1)
    assert not (source / "lib.so").exists()
    assert journal.recipes() == journal.notes() == []


@pytest.mark.parametrize("compiler", ["gcc", "aarch64-linux-gnu-gcc"])
def test_libtools_way_of_asking_for_ld_and_starting_it_itself(source: Path, tmp_path: Path, compiler: str) -> None:
    lines = f"{compiler} -c -fPIC half.c user.c; LD=$({compiler} -print-prog-name=ld); $LD -r half.o user.o -o all.o"
    journal = recorded(f"{lines}; $LD -shared all.o -o lib.so", source, tmp_path / "journal")
    machine = "AArch64" if compiler.startswith("aarch64") else "X86-64"
    assert machine in readelf("--file-header", source / "all.o")
    assert machine in readelf("--file-header", source / "lib.so")
    assert relink(source / "lib.so", tmp_path / "out.so", journal, K64).proof == "bit for bit"


def test_a_linker_that_is_gone_is_a_reason(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = own_linker(tmp_path / "mine", "ld", "/usr/bin/ld")
    monkeypatch.setenv("COMPILER_PATH", str(mine))
    journal = recorded("gcc -shared -fPIC half.c -o lib.so", source, tmp_path / "journal")
    (mine / "ld").unlink()
    with pytest.raises(Refused, match="its linker does not run"):
        relink(source / "lib.so", tmp_path / "out.so", journal, K64)
