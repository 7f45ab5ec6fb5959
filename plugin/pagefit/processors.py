"""How many processors there are to work with."""

from __future__ import annotations

import os
import sys


def processors() -> int:
    """How many processors this process may use: on Linux its affinity, elsewhere all there are."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
