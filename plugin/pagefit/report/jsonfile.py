"""The report for programs: JSON, format 1. Its schema is docs/reference/check.schema.json."""

from __future__ import annotations

from typing import Any

from pagefit import __version__
from pagefit.elf import constants as c
from pagefit.report.results import VERDICT_IDS, Checked, Issue, Outcome, Results

FORMAT = 1


def to_json(results: Results, *, deep: bool) -> dict[str, Any]:
    """The whole check as one JSON object."""
    return {
        "format": FORMAT,
        "pagefit": __version__,
        "page_sizes": list(results.page_sizes),
        "deep": deep,
        "files": [_file(file) for file in results.files],
        "stale_exceptions": [
            {"path": known.path, "rules": list(known.rules), "reason": known.reason} for known in results.stale
        ],
        "summary": {
            outcome.name.lower(): results.count(outcome)
            for outcome in Outcome
        },
    }  # fmt: skip


def _file(file: Checked) -> dict[str, Any]:
    report = file.report
    described: dict[str, Any] = {"path": report.path, "outcome": file.outcome.name.lower()}
    if report.image is None:
        return {**described, "error": report.error}
    header = report.image.header
    allocator = report.allocator
    return {
        **described,
        "machine": file.machine,
        "class": header.bits,
        "byte_order": header.byteorder,
        "type": {c.ET_EXEC: "ET_EXEC", c.ET_DYN: "ET_DYN"}.get(header.type, str(header.type)),
        "verdicts": [
            {"loader": loader, "page_size": size, "verdict": VERDICT_IDS[verdict]}
            for (loader, size), verdict in report.judgement.verdicts.items()
        ],
        "issues": [_issue(issue) for issue in file.issues],
        "allocator": allocator and {"name": allocator.name, "page_size": allocator.page_size},
    }


def _issue(issue: Issue) -> dict[str, Any]:
    finding = issue.finding
    return {
        "rule": finding.rule,
        "verdict": VERDICT_IDS[finding.verdict],
        "loaders": list(issue.loaders),
        "page_sizes": list(issue.page_sizes),
        "segments": list(finding.segments),
        "page": finding.page,
        "message": finding.message,
        "excused": issue.excuse is not None,
    }
