"""The passes of relinking without objects: classify, lay out, patch, write, verify."""

from __future__ import annotations

from pathlib import Path

from pagefit.errors import Refused
from pagefit.realign.report import Layout, Plan, Realigned


def realign(source: Path, target: Path, page_size: int, *, layout: Layout, drop_debug: bool) -> Realigned:  # noqa: ARG001
    """Implements `pagefit.realign.realign`."""
    raise Refused("relinking without objects is not there yet", where=str(source))


def plan(source: Path, page_size: int, *, layout: Layout, drop_debug: bool) -> Plan:  # noqa: ARG001
    """Implements `pagefit.realign.plan`."""
    raise Refused("relinking without objects is not there yet", where=str(source))
