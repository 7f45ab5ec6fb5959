"""What relinking without objects says it will do, or did."""

from __future__ import annotations

from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    Layout: TypeAlias = Literal["dense", "padded"]

    #: `fits`: nothing to do. `a0`, `a1`: no address changes. `b`: a tail segment moves. `c`: data moves, code is
    #: patched.
    Class: TypeAlias = Literal["fits", "a0", "a1", "b", "c"]


class Plan(NamedTuple):
    """What would be done to one file. Sizes in bytes, addresses those of the original file."""

    page_size: int
    cls: Class
    layout: Layout
    moved: tuple[tuple[int, int, int], ...]  # (start, end, delta)
    patched: dict[str, int]
    old_size: int
    new_size: int
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line for people."""
        from pagefit.loaders.verdict import format_page_size

        if self.cls == "fits":
            return f"fits at {format_page_size(self.page_size)}"
        parts = [f"class {self.cls} for {format_page_size(self.page_size)}"]
        if self.moved:
            parts.append(f"{len(self.moved)} pieces moved, {sum(self.patched.values())} references patched")
        parts.append(f"{self.new_size - self.old_size:+d} bytes")
        return ", ".join(parts)


class Realigned(NamedTuple):
    """What was done to one file; the file has been written and proved."""

    plan: Plan

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"realigned: {self.plan.summary}"

    @property
    def provenance(self) -> dict[str, object]:
        """What a manifest should say about the file: plain values for JSON."""
        return {
            "method": "realign",
            "class": self.plan.cls,
            "layout": self.plan.layout,
            "page_size": self.plan.page_size,
            "patched": dict(sorted(self.plan.patched.items())),
            "notes": list(self.plan.notes),
        }
