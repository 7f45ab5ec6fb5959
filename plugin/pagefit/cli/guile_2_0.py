"""Saying what a file is that looks like one of Guile's and is none that a page size matters to."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import StrPath

#: More than any cookie of Guile's is long (bytes).
_PREFIX = 64


def name_it(inputs: Iterable[StrPath]) -> None:
    """Say on standard error which of the files named were compiled by Guile 2.0; folders and archives are not read."""
    for path in inputs:
        if os.path.isfile(path):
            with open(path, "rb") as file:
                prefix = file.read(_PREFIX)
            # Reading Guile's formats takes as long to import as a wheel takes to check, and few files need it.
            if prefix.startswith(b"GOOF"):
                from pagefit.guile.format import is_guile_2_0

                if is_guile_2_0(prefix):
                    message = "compiled by Guile 2.0, not ELF: it loads at every page size and is left alone"
                    print(f"pagefit: {os.fspath(path)}: {message}", file=sys.stderr)
