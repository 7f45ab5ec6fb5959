"""cargo links through our driver only where rustc would go past us, and never against the user's choice."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from pagefit.links.recorder import record
from pagefit.links.replay import relink
from support.links import load_alignments, recorded, write_sources

VARIABLE = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER"
ON_X86_64 = platform.machine() == "x86_64"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, with no cargo settings of anyone in sight."""
    for name in [name for name in os.environ if name.startswith("CARGO_") or name.endswith("RUSTFLAGS")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def variable_while_recording(folder: Path) -> str | None:
    with record(folder / "journal"):
        return os.environ.get(VARIABLE)


def test_a_linker_is_set_where_rustc_brings_its_own(project: Path) -> None:
    assert (variable_while_recording(project.parent) is not None) == ON_X86_64
    assert VARIABLE not in os.environ


@pytest.mark.parametrize("name", [VARIABLE, "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"])
def test_the_users_linker_in_the_environment_stays(project: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "-Clinker=clang")
    assert variable_while_recording(project.parent) == (None if name != VARIABLE else "-Clinker=clang")


@pytest.mark.parametrize(
    "config",
    ["project/.cargo/config.toml", ".cargo/config", "cargo/config.toml", "project/rust/core/.cargo/config.toml"],
)
def test_the_users_linker_in_a_config_file_stays(project: Path, config: str) -> None:
    path = project.parent / config
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[target.'cfg(unix)']\nlinker = \"clang\"\n")
    assert variable_while_recording(project.parent) is None


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_linker_that_rustc_names_by_b_is_recorded_and_run(
    project: Path, tmp_path: Path, compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sources(project)
    own = tmp_path / "gcc-ld"
    own.mkdir()
    (own / "ld.lld").write_text(f'#!/bin/sh\necho ran >> {own}/ran\nexec ld.lld "$@"\n')
    (own / "ld.lld").chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cc").write_text(f'#!/bin/sh\nexec {compiler} "$@"\n')
    (tmp_path / "bin" / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    driver = f"${VARIABLE}" if ON_X86_64 else "cc"
    link = f"{driver} -fuse-ld=lld -B{own} -shared -fPIC half.c -o lib.so"
    journal = recorded(link, project, tmp_path / "journal")
    assert (own / "ran").exists()
    if ON_X86_64:
        assert journal.recipes()[0].linker == own / "ld.lld"
        relink(project / "lib.so", tmp_path / "out.so", journal, 0x10000)
        assert load_alignments(tmp_path / "out.so") == {0x10000}
