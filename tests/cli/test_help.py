"""Help fits the terminal, in whatever way its width is known."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import pytest

from pagefit.cli.parser import Formatter

COMMAND = [sys.executable, "-m", "pagefit", "align", "--help"]


def shown(command: list[str], **environment: str) -> list[str]:
    known = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(command, capture_output=True, text=True, env={**known, **environment}, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("columns", [0, 60, 132])
def test_the_width_is_that_of_the_terminal_or_80(columns: int) -> None:
    lines = shown(["script", "-qec", f"stty cols {columns}; {' '.join(COMMAND)}", "/dev/null"])
    assert lines == shown(COMMAND, COLUMNS=str(columns or 80))


@pytest.mark.parametrize("columns", ["", "0", "x", "40", "100"])
def test_the_width_is_what_argparse_takes_it_for(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    parsers = [argparse.ArgumentParser("x", formatter_class=made) for made in (argparse.HelpFormatter, Formatter)]
    texts = []
    for parser in parsers:
        parser.add_argument("--option", help="many words " * 40)
        texts.append(parser.format_help())
    assert texts[0] == texts[1]
