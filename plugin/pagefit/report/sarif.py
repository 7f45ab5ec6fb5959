"""SARIF 2.1.0 (OASIS), for code scanning dashboards."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from pagefit import __version__
from pagefit.loaders.rules import RULES
from pagefit.loaders.verdict import format_page_sizes
from pagefit.report.results import Checked, Issue, Outcome, Results

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def to_sarif(results: Results) -> dict[str, Any]:
    """The whole check as one run: what fails nothing as notes, what is excused as suppressed results."""
    used = sorted({issue.finding.rule for file in results.files for issue in file.issues})
    errors = [file for file in results.files if file.outcome is Outcome.UNREADABLE]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "pagefit", "version": __version__, "rules": [_rule(rule) for rule in used]}
                },
                "results": [
                    _result(file, issue, used.index(issue.finding.rule))
                    for file in results.files
                    for issue in file.issues
                ],
                "invocations": [
                    {
                        "executionSuccessful": not errors,
                        "toolExecutionNotifications": [
                            {"level": "error", "message": {"text": file.report.error}, "locations": [_location(file)]}
                            for file in errors
                        ],
                    }
                ],
            }
        ],
    }


def _rule(rule_id: str) -> dict[str, Any]:
    rule = RULES[rule_id]
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": f"{rule.condition} {rule.consequence}"},
        "help": {"text": rule.remedy},
    }


def _result(file: Checked, issue: Issue, rule_index: int) -> dict[str, Any]:
    finding = issue.finding
    where = f"{', '.join(issue.loaders)} at {format_page_sizes(issue.page_sizes)}"
    segments = ",".join(map(str, finding.segments))
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": "note" if finding.verdict.loads else "error",
        "message": {"text": f"{file.report.path}: {finding.message} ({where})"},
        "locations": [_location(file)],
        # Stays the same when the file is built again with other addresses.
        "partialFingerprints": {"pagefit/v1": f"{'!'.join(file.report.names[1:])}:{finding.rule}:{segments}"},
    }
    if issue.excuse:
        result["suppressions"] = [{"kind": "external", "justification": issue.excuse.reason}]
    return result


def _location(file: Checked) -> dict[str, Any]:
    path = PurePath(file.report.names[0])
    uri = path.as_uri() if path.is_absolute() else quote(path.as_posix())
    return {
        "physicalLocation": {"artifactLocation": {"uri": uri}},
        "logicalLocations": [{"fullyQualifiedName": file.report.path, "kind": "module"}],
    }
