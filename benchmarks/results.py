"""RESULTS.md and its plots, from what was measured."""

from __future__ import annotations

import datetime
import platform
import subprocess
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from benchmarks.harness import Row, Table
from benchmarks.padding import Cost
from benchmarks.paging import Paging


@dataclass
class Results:
    """Everything one run has measured."""

    tables: list[Table] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    paging: list[Paging] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write RESULTS.md and one SVG a table into `folder`."""
        parts = [_heading()]
        for table in self.tables:
            name = table.title.split(",")[0].lower().replace(" ", "-") + ".svg"
            (folder / name).write_text(_bars(table))
            parts.append(f"{_markdown(table)}\n![{table.title}]({name})\n")
        if self.costs:
            parts.append(_padding(self.costs))
        if self.paging:
            parts.append(_pages(self.paging))
        (folder / "RESULTS.md").write_text("\n".join(parts))


def _heading() -> str:
    model = next(
        (line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if line[:10] == "model name"),
        "?",
    )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    today = datetime.datetime.now(datetime.timezone.utc).date()
    return (
        f"# Results\n\nWritten by `make bench` on {today}, at commit {commit}: {model.strip()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}. Medians of whole processes, run in turn; the ratio is peer / ours, pair by\n"
        "pair, so more than 1 means that pagefit is faster. The machine is shared: trust ratios more than seconds.\n"
        "Peaks smaller than the benchmark's own memory at the start of a process show as that, about 23 MiB.\n"
    )


def _markdown(table: Table) -> str:
    lines = [f"## {table.title}\n"]
    if table.goal:
        lines.append(f"To reach: {table.goal}.\n")
    lines += ["| what | peer | peer / ours | ours | peer | our peak | its peak |", "|---|---|---|---|---|---|---|"]
    for row in table.rows:
        lines.append(
            f"| {row.subject} | {row.peer} | **{row.ratio:.2f}×** | {row.ours.wall:.3f} s | {row.theirs.wall:.3f} s "
            f"| {row.ours.peak / 2**20:.0f} MiB | {row.theirs.peak / 2**20:.0f} MiB |"
        )
    return "\n".join([*lines, "", *table.remarks, ""])


def _padding(costs: list[Cost]) -> str:
    names = list(costs[0].compressed)
    lines = ["## What padding costs\n", "To reach: at most +0.5 % in xz and zstd, +0.6 % in gzip; dense: 0 raw.\n"]
    lines += ["| tree | layout | raw | " + " | ".join(names) + " |", "|---|---|---|" + "---|" * len(names)]
    for index, cost in enumerate(costs):
        base = costs[index - index % 3]
        cells = [_cell(cost.raw, base.raw)] + [_cell(cost.compressed[name], base.compressed[name]) for name in names]
        lines.append(f"| {cost.tree} | {cost.layout} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _cell(value: int, base: int) -> str:
    return f"{value:,}" if value == base else f"{value:,} ({100 * (value / base - 1):+.2f} %)"


def _pages(forms: list[Paging]) -> str:
    lines = [
        "## Is padding paged in?\n",
        "libcrypto loaded by a fresh process, its file dropped from the page cache first; KiB.\n",
    ]
    lines += [
        "| form | file | on disk | padding | of it cached | cached | RSS | private dirty | read |",
        "|---|" + "---|" * 8,
    ]
    for form in forms:
        values = (form.size, form.on_disk, form.padding, form.padding_cached, form.cached, form.rss)
        values += (form.private_dirty, form.read)
        lines.append(f"| {form.form} | " + " | ".join(f"{value // 1024:,}" for value in values) + " |")
    return "\n".join([*lines, ""])


def _bars(table: Table) -> str:
    """A bar a row on a logarithmic scale from 0.1 to 1000, with a line at 1."""
    import math

    def x(ratio: float) -> float:
        return 330 + 90 * (math.log10(max(0.1, min(ratio, 1000))) + 1)

    height = 24 * len(table.rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" font-family="sans-serif" font-size="12">'
    ]
    parts.append('<rect width="100%" height="100%" fill="white"/>')
    for tick in (0.1, 1, 10, 100, 1000):
        dark = "#444" if tick == 1 else "#ddd"
        parts.append(f'<line x1="{x(tick):.0f}" y1="10" x2="{x(tick):.0f}" y2="{height - 24}" stroke="{dark}"/>')
        parts.append(f'<text x="{x(tick):.0f}" y="{height - 8}" text-anchor="middle" fill="#444">{tick:g}×</text>')
    for index, row in enumerate(table.rows):
        parts.append(_bar(row, 24 * index + 14, x))
    return "\n".join([*parts, "</svg>", ""])


def _bar(row: Row, y: int, x: object) -> str:
    left, right = sorted((x(1), x(row.ratio)))  # type: ignore[operator]
    colour = "#2a7f62" if row.ratio >= 1 else "#b5532a"
    label = escape(f"{row.subject}: {row.peer}"[:52])
    return (
        f'<text x="322" y="{y + 12}" text-anchor="end">{label}</text>'
        f'<rect x="{left:.0f}" y="{y}" width="{max(1, right - left):.0f}" height="16" fill="{colour}"/>'
        f'<text x="{right + 5:.0f}" y="{y + 12}">{row.ratio:.1f}×</text>'
    )
