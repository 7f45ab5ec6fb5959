"""What hooks say on stderr, where front ends show it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pagefit.errors import PagefitError


def say(text: str) -> None:
    """Write one line."""
    sys.stderr.write(f"pagefit: {text}\n")
    sys.stderr.flush()


def warn(text: str) -> None:
    """Say what went wrong without stopping the build."""
    say(f"warning: {text}")


@contextmanager
def errors_as_sentences() -> Iterator[None]:
    """Say an error of ours and end the process with its exit code.

    Front ends show the end of a hook's output; the sentence has to be there, without a traceback around it.
    """
    try:
        yield
    except PagefitError as error:
        say(f"error: {error}")
        raise SystemExit(error.exit_code) from None
