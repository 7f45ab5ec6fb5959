"""RESULTS.md and its plots, part by part: parts that a run did not measure stay as the run before left them."""

from __future__ import annotations

import datetime
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import plots
from benchmarks.harness import Row

#: A bar that ends no cell of a table.
_BAR = r"\|"
_HEADING = """\
# Results

Written by `make bench`. Medians of whole processes, run in turn; the ratio is peer / ours, pair by pair, so more than 1
means that pagefit is faster. The machine is shared: trust ratios more than seconds. Repacked wheels and
relinked files are written where none is: to replace one takes longer, for whoever does it.
"""


@dataclass
class Comparison:
    """One part of the results: ours against peers."""

    title: str
    goal: str
    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The rows as a table."""
        lines = ["| what | peer | peer / ours | ours | peer | our CPU | its CPU | our peak | its peak |"]
        lines.append("|---" * 9 + "|")
        for row in self.rows:
            mine, theirs = row.ours, row.theirs
            lines.append(
                f"| {row.subject} | {row.peer.replace('|', _BAR)} | **{row.ratio:.2f}×** | {mine.wall:.3f} s | {theirs.wall:.3f} s "
                f"| {mine.cpu:.2f} s | {theirs.cpu:.2f} s | {mine.peak / 2**20:.0f} MiB | {theirs.peak / 2**20:.0f} MiB |"
            )
        return "\n".join(lines)

    def plot(self) -> str | None:
        """A bar a row."""
        return plots.bars([(f"{row.subject}: {row.peer}", row.ratio) for row in self.rows])


@dataclass
class Grid:
    """One part of the results with columns of its own. `curves`: by name, points (x, y) to draw."""

    title: str
    goal: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    axes: tuple[str, str] = ("", "")

    def markdown(self) -> str:
        """The rows as a table."""
        lines = ["| " + " | ".join(self.columns) + " |", "|---" * len(self.columns) + "|"]
        return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in self.rows])

    def plot(self) -> str | None:
        """The curves, where there are any."""
        return plots.lines(self.curves, *self.axes) if self.curves else None


Part = Comparison | Grid


def write(parts: Sequence[Part], folder: Path) -> None:
    """Put the parts into RESULTS.md in `folder`, each with its plot beside it, in place of those of the same title."""
    path = folder / "RESULTS.md"
    sections: dict[str, str] = {}
    if path.exists():
        for text in path.read_text().split("\n## ")[1:]:
            sections[text.partition("\n")[0]] = text.partition("\n")[2]
    for part in parts:
        sections[part.title] = _section(part, folder)
    texts = [_HEADING] + [f"## {title}\n{text.rstrip()}\n" for title, text in sections.items()]
    path.write_text("\n".join(texts))


def _section(part: Part, folder: Path) -> str:
    paragraphs = [_machine(), f"To reach: {part.goal}.", part.markdown(), *part.remarks]
    drawing = part.plot()
    if drawing:
        name = re.sub(r"[^a-z0-9]+", "-", part.title.lower()).strip("-") + ".svg"
        (folder / name).write_text(drawing)
        paragraphs.append(f"![{part.title}]({name})")
    return "\n" + "\n\n".join(paragraphs) + "\n"


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2].strip() for line in lines if line.startswith("model name")]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return (
        f"*{today}, commit {commit}, {models[0] if models else platform.machine()} ({len(models)} processors), "
        f"Linux {platform.release()}, Python {platform.python_version()}.*"
    )
