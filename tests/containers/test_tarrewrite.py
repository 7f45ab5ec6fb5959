"""Rewriting tar archives: GNU tar sees the new contents, and everything else as before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pagefit.containers.tarrewrite import rewrite_tar
from pagefit.errors import InputError, OutputError, Refused
from support.limits import no_file_longer_than
from support.zips import ELF, zip_of

LONG = "long" * 24 + "/" + "name" * 24


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / LONG).parent.mkdir(parents=True)
    for name in ("a.so", "b.txt", LONG):
        (folder / name).write_bytes(ELF + name.encode() * 999)
    (folder / "a.so").chmod(0o751)
    (folder / "hard.so").hardlink_to(folder / "a.so")
    (folder / "soft.so").symlink_to("a.so")
    (tmp_path / "new").write_bytes(b"new" * 1234)
    return folder


def listing(path: Path) -> list[list[str]]:
    text = subprocess.check_output(["tar", "--full-time", "-tvf", path], text=True)
    return [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("layout", ["gnu", "posix", "v7"])
@pytest.mark.parametrize("option", ["-v", "-z", "-j", "-J", "--zstd"])
def test_replaced_files_change_and_nothing_else_does(option: str, layout: str, tree: Path, tmp_path: Path) -> None:
    names = ["a.so", LONG] if layout != "v7" else ["a.so"]
    source, target, out = tmp_path / "a.tar.x", tmp_path / "b.tar.x", tmp_path / "out"
    exclude = ["--exclude=long*"] if layout == "v7" else []
    subprocess.run(["tar", f"--format={layout}", option, *exclude, "-cf", source, "-C", tree, "."], check=True)
    rewrite_tar(source, target, dict.fromkeys(names, tmp_path / "new"))
    for before, after in zip(listing(source), listing(target), strict=True):
        changed = before[0].startswith("-") and before[5].removeprefix("./") in names
        assert after == ([*before[:2], "3702", *before[3:]] if changed else before)
    out.mkdir()
    subprocess.run(["tar", "-xf", target, "-C", out], check=True)
    for name in ("a.so", "b.txt", "hard.so", "soft.so", *names):
        expected = b"new" * 1234 if name in ("hard.so", "soft.so", *names) else (tree / name).read_bytes()
        assert (out / name).read_bytes() == expected
    assert target.read_bytes()[:3] == source.read_bytes()[:3]


def test_without_replacements_a_plain_archive_is_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "-cf", tmp_path / "a.tar", "-C", tree, "."], check=True)
    rewrite_tar(tmp_path / "a.tar", tmp_path / "b.tar", {})
    assert (tmp_path / "b.tar").read_bytes() == (tmp_path / "a.tar").read_bytes()


def test_the_same_archive_gives_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "-czf", tmp_path / "a.tar", "-C", tree, "."], check=True)
    results = set()
    for name in ("b.tar", "c.tar"):
        rewrite_tar(tmp_path / "a.tar", tmp_path / name, {"a.so": tmp_path / "new"})
        results.add((tmp_path / name).read_bytes())
    assert len(results) == 1


def test_what_cannot_be_rewritten_is_a_clear_error(tree: Path, tmp_path: Path) -> None:
    new, archive = tmp_path / "new", tmp_path / "a.tar"
    subprocess.run(["tar", "-cf", archive, "-C", tree, "."], check=True)
    with pytest.raises(InputError, match=r"has no file none\.so to replace"):
        rewrite_tar(archive, tmp_path / "b.tar", {"none.so": new})
    with pytest.raises(InputError, match=r"has no file soft\.so"):
        rewrite_tar(archive, tmp_path / "b.tar", {"soft.so": new})
    subprocess.run(["tar", "-rf", archive, "-C", tree, "./b.txt"], check=True)
    with pytest.raises(InputError, match=r"b\.txt is in the archive twice"):
        rewrite_tar(archive, tmp_path / "b.tar", {"b.txt": new})
    with (tree / "sparse").open("wb") as file:
        file.truncate(1 << 20)
    subprocess.run(["tar", "-Scf", archive, "-C", tree, "sparse"], check=True)
    with pytest.raises(Refused, match="sparse"):
        rewrite_tar(archive, tmp_path / "b.tar", {"sparse": new})
    archive.write_bytes(zip_of({"a.so": ELF}))
    with pytest.raises(InputError, match="not a tar archive"):
        rewrite_tar(archive, tmp_path / "b.tar", {"a.so": new})
    assert not (tmp_path / "b.tar").exists()


def test_a_full_disk_leaves_the_archive_as_it_was(tree: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    subprocess.run(["tar", "-cf", archive, "-C", tree, "."], check=True)
    before = archive.read_bytes()
    with no_file_longer_than(5000), pytest.raises(OutputError, match="cannot be written"):
        rewrite_tar(archive, archive, {"a.so": tmp_path / "new"})
    assert archive.read_bytes() == before
