"""The x86-64 decoder, from the extra `x86`: imported when code has to be analysed, never before."""

from __future__ import annotations

from types import ModuleType

from pagefit.errors import Refused


def iced(where: str) -> ModuleType:
    """The module `iced_x86`. Raises Refused, naming the extra, when it isn't installed."""
    try:
        import iced_x86
    except ImportError as error:
        raise Refused(
            "data would have to move, and x86-64 code cannot be analysed without a decoder",
            where=where,
            remedy='Install it: pip install "pagefit[x86]".',
        ) from error
    module: ModuleType = iced_x86
    return module
