"""Relinking finished ELF files without their objects, exactly or not at all."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import StrPath

    from pagefit.realign.report import Layout, Plan, Realigned

__all__ = ["plan", "realign"]


def realign(
    source: StrPath, target: StrPath, page_size: int, *, layout: Layout = "dense", drop_debug: bool = False
) -> Realigned:
    """Write to `target` what `source` would be had it been linked for pages of `page_size` bytes.

    `layout` is `dense` (the file keeps its size; addresses move to where the bytes are) or `padded` (file image equals
    memory image). `drop_debug` leaves out DWARF that would have to be changed. `target` may be `source`. Nothing is
    written unless the result is proved: every reference decoded afresh, and judged to load at every page size.
    Raises Refused with the reason; InputError when `source` is damaged.
    """
    from pagefit.realign.engine import realign as run

    return run(source, target, page_size, layout=layout, drop_debug=drop_debug)


def plan(source: StrPath, page_size: int, *, layout: Layout = "dense", drop_debug: bool = False) -> Plan:
    """What `realign` would do, without writing. Raises as it does."""
    from pagefit.realign.engine import plan as run

    return run(source, page_size, layout=layout, drop_debug=drop_debug)
