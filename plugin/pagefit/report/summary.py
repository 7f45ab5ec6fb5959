"""The short report of an alignment: a line per ELF file, what it was, what was done, sizes; a last line with totals.

Plain text in columns: a build environment has nothing that draws tables, and logs keep no colours.
"""

from __future__ import annotations

import os

from pagefit.align.outcome import Action
from pagefit.loaders.verdict import format_page_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from pagefit.align.outcome import Outcome, Report


def write(report: Report, stream: TextIO, *, dry_run: bool = False) -> None:
    """Write the report of one container."""
    would = " (dry run: nothing was written)" if dry_run else ""
    name = os.path.basename(os.path.realpath(report.container))
    print(f"pagefit: {name} for pages of up to {format_page_size(report.page_size)}{would}", file=stream)
    rows = [_row(outcome, report) for outcome in report.outcomes]
    for line in _columns(rows):
        print(f"  {line}", file=stream)
    for note in report.notes:
        print(f"  note: {note}", file=stream)
    print(f"  {_totals(report)}", file=stream)


def size(count: int) -> str:
    """Write a number of bytes as people read it: `812 B`, `16.4 KiB`, `1.2 MiB`."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024 or unit == "GiB":
            break
    return f"{value:.1f} {unit}"


def change(before: int, after: int) -> str:
    """Write how a size in bytes changed: `16.4 KiB → 71.0 KiB`, or the one size where it did not."""
    return size(before) if before == after else f"{size(before)} → {size(after)}"


def _row(outcome: Outcome, report: Report) -> tuple[str, ...]:
    after = outcome.after or outcome.before
    packed = report.compressed.get(outcome.path)
    return (
        outcome.path,
        _was(outcome, report.page_size),
        _done(outcome),
        change(outcome.before.size, after.size),
        f"packed {change(*packed)}" if packed else "",
    )


def _was(outcome: Outcome, page_size: int) -> str:
    verdict = outcome.judged_before.at(page_size)
    rules = sorted(
        {f.rule for f in outcome.judged_before.findings if f.page_size == page_size and f.verdict is verdict}
    )
    return f"{verdict.label} ({', '.join(rules)})" if rules and not verdict.loads else verdict.label


def _done(outcome: Outcome) -> str:
    if outcome.action is Action.LEFT:
        return "left as it is"
    if outcome.action is Action.EXCLUDED:
        return "left: excluded by its path"
    if outcome.action is Action.MENDED:
        return outcome.detail
    return f"NOT MENDED: {outcome.detail}"


def _totals(report: Report) -> str:
    counts = {action: sum(outcome.action is action for outcome in report.outcomes) for action in Action}
    if not report.outcomes:
        return "no ELF files: nothing to do"
    files = ", ".join(
        f"{count} {label}"
        for label, count in (
            ("mended", counts[Action.MENDED]),
            ("left", counts[Action.LEFT] + counts[Action.EXCLUDED]),
            ("not mended", counts[Action.REFUSED]),
        )
        if count or label == "mended"
    )
    raw_before = sum(outcome.before.size for outcome in report.outcomes)
    raw_after = sum((outcome.after or outcome.before).size for outcome in report.outcomes)
    whole = ""
    if report.compressed:
        whole = f"; {os.path.splitext(report.container)[1].lstrip('.')} {change(report.size_before, report.size_after)}"
    if report.compressed and report.size_before != report.size_after:
        whole += f" ({100 * (report.size_after / report.size_before - 1):+.2f} %)"
    noun = "ELF file" if len(report.outcomes) == 1 else "ELF files"
    return f"{len(report.outcomes)} {noun}: {files}; raw {change(raw_before, raw_after)}{whole}"


def _columns(rows: Iterable[tuple[str, ...]]) -> list[str]:
    table = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)] if table else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def as_json(report: Report) -> dict[str, object]:
    """The same report as plain values. Sizes in bytes."""
    return {
        "container": report.container,
        "page_size": report.page_size,
        "size": {"before": report.size_before, "after": report.size_after},
        "files": [
            {
                "path": outcome.path,
                "was": outcome.judged_before.at(report.page_size).label,
                "action": outcome.action.value,
                "engine": outcome.engine,
                "detail": outcome.detail,
                "size": {"before": outcome.before.size, "after": (outcome.after or outcome.before).size},
                "packed": dict(zip(("before", "after"), report.compressed[outcome.path], strict=True))
                if outcome.path in report.compressed
                else None,
                "provenance": dict(outcome.provenance),
            }
            for outcome in report.outcomes
        ],
        "notes": list(report.notes),
    }
