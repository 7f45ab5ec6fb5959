"""Recording changes nothing about a build, whatever becomes of the recorder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pagefit.errors import Refused
from pagefit.links.journal import Journal
from pagefit.links.recorder import record
from pagefit.links.replay import relink
from support.links import load_alignments, recorded, shell, write_sources

K64 = 0x10000
LINK = "gcc -shared -fPIC half.c -o lib.so"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_sources(tmp_path / "src")


def relinks(journal: Journal, shipped: Path) -> bool:
    target = shipped.with_name("relinked")
    proof = relink(shipped, target, journal, K64).proof
    return proof == "bit for bit" and load_alignments(target) == {K64}


def test_the_environment_is_restored_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "", "/some/where", "relative:"):
        if value is None:
            monkeypatch.delenv("COMPILER_PATH", raising=False)
        else:
            monkeypatch.setenv("COMPILER_PATH", value)
        before = dict(os.environ)
        with record(tmp_path / "journal"):
            assert os.environ["COMPILER_PATH"].endswith("stand-ins" if value is None else f":{value}")
        assert dict(os.environ) == before


def test_an_unwritable_journal_records_nothing_and_says_so(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with record(tmp_path / "file" / "journal") as journal:
        shell(LINK, source)
    assert journal.recipes() == []
    assert "could not be recorded" in journal.notes()[0]


@pytest.mark.parametrize("folder", ["links", "pins", "tools", "notes"])
def test_a_journal_that_breaks_midway_does_not_break_the_build(source: Path, tmp_path: Path, folder: str) -> None:
    with record(tmp_path / "journal") as journal:
        shutil.rmtree(tmp_path / "journal" / folder)
        (tmp_path / "journal" / folder).write_text("in the way")
        shell(LINK, source)
    expected = (source / "lib.so").read_bytes()
    shell(LINK, source)
    assert (source / "lib.so").read_bytes() == expected
    if folder in ("links", "pins"):
        assert any("not recorded" in note for note in journal.notes())


def test_a_damaged_shim_is_passed_by(source: Path, tmp_path: Path) -> None:
    with record(tmp_path / "journal") as journal:
        for module in (tmp_path / "journal").rglob("*.pyc"):
            module.write_bytes(b"damaged")
        shell(LINK, source)
    assert (source / "lib.so").exists()
    assert journal.recipes() == []


@pytest.mark.parametrize("compiler", ["gcc", "aarch64-linux-gnu-gcc"])
def test_without_python_the_real_linker_runs(source: Path, tmp_path: Path, compiler: str) -> None:
    with record(tmp_path / "journal") as journal:
        start = tmp_path / "journal" / "record"
        start.write_text(start.read_text().replace(os.path.realpath(sys.executable), "/gone/python"))
        shell(f"{compiler} -shared -fPIC half.c -o lib.so", source)
    assert journal.recipes() == []


def test_a_failing_link_keeps_its_status_and_messages(source: Path, tmp_path: Path) -> None:
    command = ["gcc", "-shared", "-fPIC", "half.c", "-lnowhere", "-o", "lib.so"]
    plain = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    with record(tmp_path / "journal") as journal:
        seen = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert (seen.returncode, seen.stdout) == (plain.returncode, plain.stdout)
    assert seen.stderr.splitlines()[-2:] == plain.stderr.splitlines()[-2:]
    assert journal.recipes() == []
    assert journal.notes() == []
    assert list((tmp_path / "journal" / "links").iterdir()) == []


def linker_first_on_path(folder: Path, script: str) -> str:
    """A PATH on which the first linker is this script."""
    linker = folder / "bin" / "ld"
    linker.parent.mkdir()
    linker.write_text(script)
    linker.chmod(0o755)
    return f"{linker.parent}:{os.environ['PATH']}"


def stand_in() -> list[str | Path]:
    """A link by the linker that compiler drivers find while a build is recorded."""
    return [Path(os.environ["COMPILER_PATH"].partition(":")[0]) / "ld", "-o", "x", "a.o"]


def test_a_linker_that_dies_by_a_signal_is_reported_as_such(source: Path, tmp_path: Path) -> None:
    path = linker_first_on_path(tmp_path, "#!/bin/sh\nkill -SEGV $$\n")
    with record(tmp_path / "journal"):
        done = subprocess.run(stand_in(), cwd=source, env={**os.environ, "PATH": path}, check=False)
    assert done.returncode == -signal.SIGSEGV


def test_a_signal_that_ends_the_stand_in_reaches_the_linker(source: Path, tmp_path: Path) -> None:
    path = linker_first_on_path(
        tmp_path, '#!/bin/sh\n[ "$1" = --help ] && exit\ntrap "exit 9" TERM\n: > started\nsleep 60 & wait\n'
    )
    with record(tmp_path / "journal"):
        process = subprocess.Popen(stand_in(), cwd=source, env={**os.environ, "PATH": path})
        while not (source / "started").exists():
            time.sleep(0.01)
        process.terminate()
        assert process.wait(30) == 9


def test_the_stand_ins_stay_where_they_are_and_pass_on_when_nothing_is_recorded(source: Path, tmp_path: Path) -> None:
    # ccache hashes COMPILER_PATH, and libtool writes down the `ld` that gcc has named.
    with record(tmp_path / "one"):
        first = os.environ["COMPILER_PATH"]
        noted = shell("gcc -print-prog-name=ld", source).strip()
    with record(tmp_path / "two"):
        assert os.environ["COMPILER_PATH"] == first
    shutil.rmtree(tmp_path / "one")
    shell(f"gcc -c -fPIC half.c && {noted} -shared half.o -o lib.so", source)
    assert (source / "lib.so").exists()


@pytest.mark.parametrize("cache", ["a:colon", "file"])
def test_without_a_usable_cache_the_stand_ins_are_in_the_journal(
    source: Path, tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / cache))
    with record(tmp_path / "journal") as journal:
        assert os.environ["COMPILER_PATH"] == str(tmp_path / "journal" / "stand-ins")
        shell(LINK, source)
    assert relinks(journal, source / "lib.so")


def test_probes_pass_through_and_leave_no_record(source: Path, tmp_path: Path) -> None:
    probes = ["gcc -Wl,--version", "gcc -Wl,--help", "gcc -Wl,-v", "gcc -r half.c -o half.o", "gcc -print-prog-name=ld"]
    with record(tmp_path / "journal") as journal:
        for probe in probes:
            subprocess.run(["sh", "-c", probe], cwd=source, capture_output=True, check=False)
        version = shell("gcc -Wl,--version", source)
    assert version == shell("gcc -Wl,--version", source)
    assert journal.recipes() == []
    assert journal.notes() == []


@pytest.mark.parametrize("compiler", ["gcc", "clang -fuse-ld=lld", "gcc -fuse-ld=mold", "gcc -fuse-ld=gold"])
def test_spaces_long_paths_response_files_and_archives(tmp_path: Path, compiler: str) -> None:
    folder = tmp_path.joinpath("a b", *["long" * 20] * 5, "quote'd")
    source = write_sources(folder)
    for name in ("half", "user"):
        shell(f"{compiler.split(maxsplit=1)[0]} -c -fPIC {name}.c -o '{name} part.o'", source)
    shell(
        "ar rcs libnormal.a 'half part.o'; ar rcsT libthin.a 'half part.o'; ar rcsT 'sub dir.a' 'half part.o'", source
    )
    (source / "list.rsp").write_text(
        "-shared 'user part.o' -L. -o  \"lib one.so\"\n-Wl,--whole-archive -lthin -Wl,--no-whole-archive"
    )
    lines = f"{compiler} @list.rsp; {compiler} -shared user\\ part.o libnormal.a -o 'lib two.so' -Wl,-Map=out.map"
    journal = recorded(lines, source, tmp_path / "the journal")
    assert len(journal.recipes()) == 2
    with_recorder = {path.name: path.read_bytes() for path in source.iterdir()}
    shell(lines, source)
    assert {path.name: path.read_bytes() for path in source.iterdir()} == with_recorder
    for path in source.iterdir():
        if path.suffix in (".o", ".a", ".rsp"):
            path.unlink()
    (source / "out.map").write_text("someone else's now")
    before = sorted(source.iterdir())
    for name in ("lib one.so", "lib two.so"):
        assert relink(source / name, tmp_path / name, journal, K64).proof == "bit for bit"
        assert load_alignments(tmp_path / name) == {K64}
    assert sorted(source.iterdir()) == before
    assert (source / "out.map").read_text() == "someone else's now"


def test_links_in_parallel_are_all_recorded(source: Path, tmp_path: Path) -> None:
    links = " & ".join(f"gcc -shared -fPIC -DN={n} half.c user.c -o lib{n}.so -Wl,-soname,lib{n}.so" for n in range(12))
    journal = recorded(f"{links} & wait", source, tmp_path / "journal")
    assert {recipe.output.name for recipe in journal.recipes()} == {f"lib{n}.so" for n in range(12)}
    assert relinks(journal, source / "lib7.so")


def test_a_read_only_source_tree_and_a_build_folder_that_is_gone(source: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    build.mkdir()
    source.chmod(0o555)
    journal = recorded(f"gcc -shared -fPIC {source}/half.c -o lib.so", build, tmp_path / "journal")
    shipped = tmp_path / "shipped.so"
    shutil.move(build / "lib.so", shipped)
    build.rmdir()
    assert relinks(journal, shipped)
    assert not build.exists()
    source.chmod(0o755)


def test_an_archive_that_is_rewritten_in_place_later_is_still_known(source: Path, tmp_path: Path) -> None:
    lines = "gcc -c -fPIC half.c user.c; ar rc lib.a half.o; gcc -shared -Wl,--whole-archive lib.a -nolibc -o one.so"
    journal = recorded(f"{lines} -nostdlib; ar r lib.a user.o", source, tmp_path / "journal")
    with pytest.raises(Refused, match=r"lib\.a: an input of its link has changed since"):
        relinks(journal, source / "one.so")
    (source / "lib.a").unlink()
    assert relinks(journal, source / "one.so")


def test_a_recording_inside_a_recording_records_inside(source: Path, tmp_path: Path) -> None:
    with record(tmp_path / "outer") as outer, record(tmp_path / "inner") as inner:
        shell(LINK, source)
    assert [len(outer.recipes()), len(inner.recipes())] == [0, 1]
    assert outer.notes() == inner.notes() == []


def test_the_users_own_dependency_file_is_read_and_kept(source: Path, tmp_path: Path) -> None:
    journal = recorded(f"{LINK} -Wl,--dependency-file=own.d", source, tmp_path / "journal")
    own = (source / "own.d").read_text()
    assert any(path.endswith("libc.so.6") for path in journal.recipes()[0].inputs)
    assert relinks(journal, source / "lib.so")
    assert (source / "own.d").read_text() == own
