"""Linker command lines are read as the linkers read them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pagefit.links import edit, options

WORD = st.text(st.sampled_from(list("ab/-=.,@$%é\"'\\ \t")), max_size=6)


def as_binutils_read(response: Path) -> list[str]:
    """The words of a response file by libiberty's own reading: `size` complains about each that is no file."""
    done = subprocess.run(["size", f"@{response}"], capture_output=True, text=True, check=False)
    return re.findall(r"^size: '((?:.|\n)*?)': No such file$", done.stderr, re.MULTILINE)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from(list("ab\"'\\ \t\n")), max_size=16))
def test_response_files_are_split_as_libiberty_splits_them(tmp_path: Path, text: str) -> None:
    # Each word gets a prefix that makes it a missing file and no option, without changing how it is split.
    response = tmp_path / "words.rsp"
    response.write_text(f"zz{text}")
    words = options.expand([f"@{response}"])
    assert words == as_binutils_read(response)


@given(arguments=st.lists(WORD, max_size=6))
def test_what_we_write_into_a_response_file_is_read_back(arguments: list[str]) -> None:
    assert options.split_response(edit.response(arguments)) == arguments


def test_response_files_nest_and_missing_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "outer").write_text(f"one @{tmp_path}/inner four")
    (tmp_path / "inner").write_text("'two  words' three")
    assert options.expand(["-x", f"@{tmp_path}/outer", "@missing"]) == [
        "-x", "one", "two  words", "three", "four", "@missing",
    ]  # fmt: skip


def test_a_response_file_that_names_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "again").write_text(f"@{tmp_path}/again")
    assert len(options.expand([f"@{tmp_path}/again"])) == 1


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["-o", "x.so"], "x.so"),
        (["-ox.so"], "x.so"),
        (["--output=x.so"], "x.so"),
        (["--output", "x.so"], "x.so"),
        (["-o", "first", "-o", "last"], "last"),
        (["a.o"], None),
        (["-o"], None),
    ],
)
def test_outputs_are_found_in_every_spelling_and_redirected(arguments: list[str], output: str | None) -> None:
    assert options.option_value(arguments, "-o", "--output") == output
    if output is not None:
        changed = edit.redirect(arguments, Path("/new/place"), Path("/side"))
        assert options.option_value(changed, "-o", "--output") == "/new/place"


def test_files_that_are_written_are_redirected_and_no_inputs(tmp_path: Path) -> None:
    for name in ("out.map", "dep.d", "a.o", "script", "soname.so"):
        (tmp_path / name).touch()
    written = ["-Map", "out.map", "-Map=out.map", "--dependency-file=dep.d", "-plugin-opt=-fresolution=/tmp/x.res"]
    arguments = [*written, "a.o", "--version-script=script", "-soname", "soname.so"]
    assert options.files_of(arguments, str(tmp_path)) == [str(tmp_path / "a.o"), str(tmp_path / "script")]
    changed = edit.redirect(arguments, None, Path("/side"))
    assert changed == [
        "-Map", "/side/1-out.map", "-Map=/side/2-out.map", "--dependency-file=/side/3-dep.d",
        "-plugin-opt=-fresolution=/side/4-x.res", *arguments[5:],
    ]  # fmt: skip
