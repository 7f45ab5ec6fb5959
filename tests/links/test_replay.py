"""Replays leave no traces, run side by side, and say why when they cannot."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pagefit import align
from pagefit.align import Request
from pagefit.cli import record as command
from pagefit.errors import InputError, OutputError, Refused
from pagefit.links.journal import Journal
from pagefit.links.replay import relink
from support.links import load_alignments, recorded, shell, write_sources

K64 = 0x10000
LINK = "gcc -shared -fPIC half.c -o lib.so"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_sources(tmp_path / "src")


def test_replays_in_threads_do_not_disturb_each_other(source: Path, tmp_path: Path) -> None:
    # Both links need the same objects back, and both take them away again.
    lines = "gcc -c -fPIC half.c user.c; gcc -shared half.o user.o -o a.so; gcc -shared user.o half.o -o b.so; rm *.o"
    journal = recorded(lines, source, tmp_path / "journal")
    with ThreadPoolExecutor(4) as pool:
        names = ["a", "b"] * 4
        results = pool.map(
            lambda job: relink(source / f"{job[1]}.so", tmp_path / f"{job[0]}.so", journal, K64), enumerate(names)
        )
        assert {result.proof for result in results} == {"bit for bit"}
    assert {path.suffix for path in source.iterdir()} == {".c", ".so"}


def test_padding_takes_no_room_on_the_disk(source: Path, tmp_path: Path) -> None:
    journal = recorded(f"{LINK} -fuse-ld=bfd", source, tmp_path / "journal")
    report = align.path(source / "lib.so", Request(K64, everywhere=True, relink=align.relinker(journal)))
    assert [outcome.engine for outcome in report.mended] == ["relink"]
    status = (source / "lib.so").stat()
    assert status.st_size > K64 >= 2 * status.st_blocks * 512


def test_commands_too_long_for_the_system_are_replayed(source: Path, tmp_path: Path) -> None:
    (source / "list.rsp").write_text("".join(f"-L/nowhere/{'long' * 50}/{number}\n" for number in range(12_000)))
    journal = recorded("clang -shared -fPIC half.c -Wl,@list.rsp -o lib.so", source, tmp_path / "journal")
    (source / "list.rsp").unlink()
    assert relink(source / "lib.so", tmp_path / "out.so", journal, K64).proof == "bit for bit"
    assert load_alignments(tmp_path / "out.so") == {K64}


def test_link_time_optimisation_is_replayed_when_the_objects_are_gone(source: Path, tmp_path: Path) -> None:
    lines = "gcc -flto -g -c -fPIC half.c user.c; gcc-ar rcs libhalf.a half.o"
    link = "gcc -flto=2 -g -O2 -shared user.o libhalf.a -o lib.so"
    journal = recorded(f"{lines}; {link}; rm *.o *.a", source, tmp_path / "journal")
    assert relink(source / "lib.so", tmp_path / "out.so", journal, K64).proof == "bit for bit"
    assert load_alignments(tmp_path / "out.so") == {K64}
    assert sorted(path.name for path in source.iterdir()) == ["half.c", "lib.so", "user.c"]


def test_an_input_that_has_changed_is_refused_and_left_alone(source: Path, tmp_path: Path) -> None:
    journal = recorded("gcc -c -fPIC half.c; gcc -shared half.o -o lib.so", source, tmp_path / "journal")
    (source / "half.o").write_text("someone else's")
    with pytest.raises(Refused, match=r"half\.o: an input of its link has changed since"):
        relink(source / "lib.so", tmp_path / "out.so", journal, K64)
    assert (source / "half.o").read_text() == "someone else's"


def test_nothing_is_written_through_a_link_that_stands_where_an_input_was(source: Path, tmp_path: Path) -> None:
    journal = recorded("gcc -c -fPIC half.c; gcc -shared half.o -o lib.so; rm half.o", source, tmp_path / "journal")
    (source / "half.o").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match=r"half\.o"):
        relink(source / "lib.so", tmp_path / "out.so", journal, K64)
    assert (source / "half.o").is_symlink()
    assert not (tmp_path / "elsewhere").exists()


def test_a_recipe_that_does_not_make_its_file_is_refused(source: Path, tmp_path: Path) -> None:
    journal = recorded(LINK, source, tmp_path / "journal")
    (record,) = (tmp_path / "journal" / "links").glob("*/link.json")
    record.write_text(record.read_text().replace('"-shared",', '"-shared", "-z", "now",'))
    with pytest.raises(Refused, match="replayed unchanged, gives another file"):
        relink(source / "lib.so", source / "lib.so", journal, K64)
    assert load_alignments(source / "lib.so") == {0x1000}


def test_a_library_of_the_system_that_has_changed_since_is_found_by_the_proof(source: Path, tmp_path: Path) -> None:
    own = tmp_path / "usr"
    own.mkdir()
    shell(f"gcc -shared -fPIC user.c -Wl,--unresolved-symbols=ignore-all -o {own}/libown.so", source)
    journal = recorded(f"gcc -shared -fPIC half.c -Wl,--no-as-needed -L{own} -lown -o lib.so", source, tmp_path / "j")
    shell(f"gcc -shared -fPIC user.c -Wl,-soname,libown.so.2 -o {own}/libown.so", source)
    with pytest.raises(Refused, match=r"libown\.so: an input of its link has changed since"):
        relink(source / "lib.so", tmp_path / "out.so", journal, K64)


def test_a_linker_that_writes_its_outputs_name_is_replayed_in_place(source: Path, tmp_path: Path) -> None:
    # gold puts the output's path into .gnu.version_d when there is no soname.
    link = "clang -fuse-ld=gold -shared -fPIC half.c user.c -o ./lib.so"
    journal = recorded(link, source, tmp_path / "journal")
    before = (source / "lib.so").read_bytes()
    assert relink(source / "lib.so", tmp_path / "out.so", journal, K64).proof == "bit for bit"
    assert (source / "lib.so").read_bytes() == before
    (source / "lib.so").rename(tmp_path / "moved.so")
    relink(tmp_path / "moved.so", tmp_path / "again.so", journal, K64)
    assert (tmp_path / "again.so").read_bytes() == (tmp_path / "out.so").read_bytes()
    assert sorted(path.name for path in source.iterdir()) == ["half.c", "user.c"]


def test_a_damaged_record_and_a_folder_without_records_are_input_errors(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recorded links"):
        Journal.load(tmp_path)
    journal = recorded(LINK, source, tmp_path / "journal")
    (record,) = (tmp_path / "journal" / "links").glob("*/link.json")
    for text in ("", "[]", '{"schema": 2}', record.read_text().replace('"linker"', '"other"')):
        record.write_text(text)
        with pytest.raises(InputError, match=r"link\.json"):
            Journal.load(tmp_path / "journal").recipes()
    assert journal.notes() == []


def test_what_cannot_be_read_or_written_is_said(source: Path, tmp_path: Path) -> None:
    journal = recorded(LINK, source, tmp_path / "journal")
    with pytest.raises(OutputError, match="nowhere"):
        relink(source / "lib.so", tmp_path / "nowhere" / "out.so", journal, K64)
    (tmp_path / "text.so").write_text("no ELF")
    with pytest.raises(InputError, match=r"text\.so"):
        relink(tmp_path / "text.so", tmp_path / "out.so", journal, K64)


def test_the_record_command_runs_a_build(source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    (source / "Makefile").write_text("lib.so: half.c\n\tgcc -shared -fPIC half.c -o lib.so\n")
    arguments = ["record", "-o", str(tmp_path / "journal"), "--", "make", "-C", str(source)]
    args = parser.parse_args(arguments)
    assert args.run(args) == 0
    assert "1 link recorded" in capfd.readouterr().err
    assert relink(source / "lib.so", tmp_path / "out.so", Journal.load(tmp_path / "journal"), K64)
    for words, status in ((["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -TERM $$"], 143)):
        args = parser.parse_args([*arguments[:3], "--", *words])
        assert args.run(args) == status
    for words, complaint in (([], "no command to run"), (["/no/such/program"], "cannot be run")):
        args = parser.parse_args([*arguments[:3], "--", *words])
        with pytest.raises(InputError, match=complaint):
            args.run(args)
    assert "COMPILER_PATH" not in os.environ
