"""`pagefit align` over trees of .go files: what needs it is relinked, and Guile goes on using it."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path

import pytest

from pagefit.cli.main import main
from support.guiles import Guile, large_pages, modules

Linked = dict[str, dict[int, Path]]
PROGRAM = "(use-modules (keywords)) (write (run-keywords))"


@pytest.fixture
def tree(guile: Guile, linked: Linked, tmp_path: Path) -> Path:
    """An installed package: sources, and compiled modules linked for 4K and (one of them) for 64K; and other files."""
    site, ccache = tmp_path / "usr/share/guile/site", tmp_path / "usr/lib/guile/site-ccache"
    site.mkdir(parents=True)
    ccache.mkdir(parents=True)
    for source in modules():
        shutil.copy2(source, site)
        size = 65536 if source.stem == "forward" else 4096
        shutil.copy2(linked[source.stem][size], ccache / f"{source.stem}.go")
    (ccache / "of-guile-2.0.go").write_bytes(b"GOOF----LE-8-2.0" + bytes(100))
    (ccache / "main.go").write_text("package main\n")
    return tmp_path / "usr"


def digests(tree: Path) -> dict[str, tuple[str, int]]:
    files = (path for path in tree.rglob("*") if path.is_file())
    return {
        path.relative_to(tree).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in files
    }


def run_installed(guile: Guile, tree: Path, page_size: int, mapped: Path) -> tuple[int, str, str]:
    env = {
        "GUILE_LOAD_PATH": str(tree / "share/guile/site"),
        "GUILE_LOAD_COMPILED_PATH": str(tree / "lib/guile/site-ccache"),
        **large_pages(page_size, mapped),
    }
    done = guile.run("-c", PROGRAM, env=env, check=False)
    return done.returncode, done.stdout, done.stderr


def test_an_installed_tree_is_mended_in_place_and_back(
    guile: Guile, linked: Linked, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digests(tree)
    expected = run_installed(guile, tree, 4096, tmp_path / "mapped")
    assert expected[0] == 0
    assert main(["check", str(tree)]) == 1
    assert run_installed(guile, tree, 65536, tmp_path / "mapped")[0] < 0

    assert main(["align", str(tree)]) == 0
    after = digests(tree)
    for name, (digest, time) in before.items():
        stem = Path(name).stem
        # Guile 2.2 makes no writable segment for 42, so any page size will do there.
        if name.endswith(".go") and stem in ("keywords", "work", *(["forty-two"] if guile.version == "3.0" else [])):
            assert (tree / name).read_bytes() == linked[stem][65536].read_bytes()
            assert after[name][1] == time
        else:
            assert after[name] == (digest, time)
    assert main(["check", str(tree)]) == 0
    for page_size in (4096, 65536):
        mapped = tmp_path / f"mapped-{page_size}"
        assert run_installed(guile, tree, page_size, mapped)[:2] == expected[:2]
        assert str(tree / "lib/guile/site-ccache/keywords.go") in mapped.read_text()

    assert main(["align", "--page-size", "4K", str(tree)]) == 0
    assert digests(tree) == after, "what fits 4K pages is left alone, unless"
    assert main(["align", "--page-size", "4K", "--exactly", str(tree)]) == 0
    assert (tree / "lib/guile/site-ccache/work.go").read_bytes() == linked["work"][4096].read_bytes()
    assert (tree / "lib/guile/site-ccache/forward.go").read_bytes() == linked["forward"][4096].read_bytes()
    capsys.readouterr()


def test_a_single_file_may_have_any_name(linked: Linked, tmp_path: Path) -> None:
    path = tmp_path / "module"
    for old, new in ((4096, 65536), (16384, 65536), (65536, 65536)):
        shutil.copy2(linked["work"][old], path)
        assert main(["align", str(path)]) == 0
        assert path.read_bytes() == linked["work"][new].read_bytes()


def test_what_cannot_be_relinked_is_reported_and_left(
    linked: Linked, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tree / "lib/guile/site-ccache/work.go"
    damaged = bytearray(path.read_bytes())
    damaged[64 + 56 * 3] = 0xFE  # the opcode of the first instruction
    path.write_bytes(damaged)
    before = digests(tree)
    assert main(["align", str(tree)]) == 3
    assert digests(tree) == before
    message = "".join(capsys.readouterr())
    assert "work.go" in message
    assert "opcode 254" in message


@pytest.mark.parametrize("compression", ["", ".gz", ".xz"])
def test_members_of_a_tar_archive_are_mended_and_keep_their_times(
    linked: Linked, tree: Path, tmp_path: Path, compression: str
) -> None:
    archive = tmp_path / f"site.tar{compression}"
    with tarfile.open(archive, f"w:{compression[1:]}") as tar:
        tar.add(tree, "usr")
    with tarfile.open(archive) as tar:
        before = {member.name: (member.mtime, member.mode, member.type) for member in tar}
    assert main(["align", str(archive)]) == 0
    with tarfile.open(archive) as tar:
        assert {member.name: (member.mtime, member.mode, member.type) for member in tar} == before
        tar.extractall(tmp_path / "out", filter="data")
    for stem in ("keywords", "work", "forward"):
        mended = tmp_path / f"out/usr/lib/guile/site-ccache/{stem}.go"
        assert mended.read_bytes() == linked[stem][65536].read_bytes()
        source = tmp_path / f"out/usr/share/guile/site/{stem}.scm"
        assert mended.stat().st_mtime >= source.stat().st_mtime, "Guile would ignore it"
    assert main(["check", str(archive)]) == 0


@pytest.mark.parametrize("command", ["check", "align", "show"])
def test_a_file_of_guile_2_0_is_named_as_such(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "old.go"
    path.write_bytes(b"GOOF----LE-8-2.0" + bytes(100))
    assert main([command, str(path)]) == 0
    assert f"{path}: compiled by Guile 2.0, not ELF" in capsys.readouterr().err
    assert path.read_bytes() == b"GOOF----LE-8-2.0" + bytes(100)
