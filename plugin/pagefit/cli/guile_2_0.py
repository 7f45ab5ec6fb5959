"""Saying what a file is that looks like one of Guile's and is none that a page size matters to."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from pagefit.guile.format import GUILE_2_0_COOKIE, is_guile_2_0


def name_it(inputs: Iterable[Path]) -> None:
    """Say on standard error which of the files named were compiled by Guile 2.0; folders and archives are not read."""
    for path in inputs:
        if path.is_file():
            with path.open("rb") as file:
                if is_guile_2_0(file.read(len(GUILE_2_0_COOKIE))):
                    message = "compiled by Guile 2.0, not ELF: it loads at every page size and is left alone"
                    print(f"pagefit: {path}: {message}", file=sys.stderr)
