"""Rust under Meson: rustc runs once more for the proof, and what it links is relinked like anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagefit.links import ninja
from pagefit.links.recipe import Unrecorded
from support.mesons import alignments, run
from support.projects import write_project

PROJECT = {
    "meson.build": """
        project('mixed', 'rust', 'c', version: '1')
        SUBPROJECT
        inner = static_library('inner', 'inner.rs')
        executable('plain', 'plain.rs', link_with: inner)
        foreign = shared_library('foreign', 'foreign.rs', rust_crate_type: 'cdylib')
        executable('calls', 'calls.c', link_with: foreign)
        embedded = static_library('embedded', 'embedded.rs', rust_crate_type: 'staticlib')
        executable('embeds', 'embeds.c', link_with: embedded)
        pair = shared_library('pair', 'pair.rs', rust_crate_type: 'dylib')
        executable('dynamic', 'dynamic.rs', link_with: pair)
    """,
    "inner.rs": "pub fn one() -> i32 { 41 }",
    "plain.rs": 'fn main() { println!("{}", inner::one() + 1); }',
    "foreign.rs": '#[no_mangle] pub extern "C" fn foreign() { println!("foreign"); }',
    "calls.c": "void foreign(void); int main(void) { foreign(); return 0; }",
    "embedded.rs": '#[no_mangle] pub extern "C" fn embedded() { println!("embedded"); }',
    "embeds.c": "void embedded(void); int main(void) { embedded(); return 0; }",
    "pair.rs": "pub fn two() -> i32 { 2 }",
    "dynamic.rs": 'fn main() { println!("{}", pair::two()); }',
}
#: What each executable prints.
PRINTS = {"plain": "42\n", "calls": "foreign\n", "embeds": "embedded\n", "dynamic": "2\n"}


def configured(folder: Path, line: str = "") -> Path:
    """A build folder of the project, with `line` behind `project(...)`."""
    files = {**PROJECT, "meson.build": PROJECT["meson.build"].replace("SUBPROJECT", line)}
    source = write_project(folder / "a b", files)
    run("pagefit", "meson", "add", source)
    run("meson", "setup", source / "build", source)
    return source / "build"


def test_every_kind_of_crate_is_relinked_with_proof(tmp_path: Path) -> None:
    build = configured(tmp_path, "subproject('pagefit')")
    printed = run("ninja", "-C", build)
    assert printed.count("from its recorded link, proved bit for bit") == 6, printed
    names = [*PRINTS, "libforeign.so", "libpair.so"]
    assert {name: alignments(build / name) for name in names} == {name: {65536} for name in names}
    assert {name: run(build / name) for name in PRINTS} == PRINTS
    assert "no work to do" in run("ninja", "-C", build)
    # A crate compiles against a relinked library as it did against the one before.
    source = build.parent / "dynamic.rs"
    source.write_text(source.read_text().replace("two()", "two() + 1"))
    assert "proved bit for bit" in (printed := run("ninja", "-C", build))
    assert "6 ELF files: 1 mended, 5 left" in printed
    assert run(build / "dynamic") == "3\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, built without pagefit."""
    build = configured(tmp_path_factory.mktemp("mixed"))
    run("ninja", "-C", build)
    return build


def link_of(build: Path, name: str) -> ninja.Link:
    return next(link for link in ninja.links(build) if link.output.name == name)


def test_running_rustc_again_changes_nothing_in_the_build_folder(built: Path, tmp_path: Path) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        # Asking ninja opens its log, and the folder's own time tells of that.
        files = [path for path in built.rglob("*") if path.is_file() and not path.name.startswith(".ninja")]
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}

    before = state()
    link = link_of(built, "plain")
    link.relink(link.output, tmp_path / "plain", 65536)
    assert state() == before
    assert run(tmp_path / "plain") == "42\n"


def test_a_crate_that_comes_out_differently_is_not_taken_for_the_shipped_one(built: Path, tmp_path: Path) -> None:
    link = link_of(built, "libforeign.so")
    source = built.parent / "foreign.rs"
    text = source.read_text()
    source.write_text(text.replace("println", "eprintln"))
    try:
        with pytest.raises(Unrecorded, match="gives another file"):
            link.relink(link.output, tmp_path / "new", 65536)
    finally:
        source.write_text(text)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (lambda words: [*words, "-Cincremental=cache"], "incremental"),
        (lambda words: [*words, "--no-such-option"], "rustc, run again, failed"),
        (lambda words: [word.replace("link=libforeign.so", "link=libother.so") for word in words], "failed"),
    ],
)
def test_a_command_that_does_not_make_the_file_again_is_left_to_other_engines(
    built: Path, tmp_path: Path, changed, reason: str
) -> None:
    link = link_of(built, "libforeign.so")
    other = ninja.Link(link.output, tuple(changed(link.command)), link.folder)
    with pytest.raises(Unrecorded, match=reason):
        other.relink(link.output, tmp_path / "new", 65536)
    assert not (built / "cache").exists()
    assert not (built / "libother.so").exists()


def test_the_words_of_rustc_are_read_however_they_are_written(built: Path, tmp_path: Path) -> None:
    link = link_of(built, "libforeign.so")
    words = [word for word in link.command if not word.startswith("dep-info=")]
    words[words.index("--emit")] = "--emit=dep-info=x.d,link=libforeign.so"
    joined = []
    for before, word in zip(["", *words], words, strict=False):
        if before == "-C":
            joined[-1] += word
        elif word not in ("--emit", "link=libforeign.so"):
            joined.append(word)
    relinked = ninja.Link(link.output, tuple(joined), link.folder).relink(link.output, tmp_path / "new", 65536)
    assert relinked.proof == "bit for bit"
    assert not (built / "x.d").exists()


def test_a_file_that_is_only_called_like_rustc_is_no_command_of_it(tmp_path: Path) -> None:
    from pagefit.links import rust

    assert rust.is_rustc(["ccache", "/usr/bin/rustc-1.75", "-C", "linker=cc"])
    assert not rust.is_rustc(["cc", "-o", "rustc", "rustc.p/main.o"])
    assert not rust.is_rustc(["cc", "rustc.p/main.o", "-o", "rustc"])
    assert not rust.is_rustc(["cd", "folder", "&&", "rustc"])
