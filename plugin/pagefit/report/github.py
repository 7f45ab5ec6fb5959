"""Annotations for GitHub Actions: workflow commands on stdout."""

from __future__ import annotations

from collections.abc import Iterator

from pagefit.loaders.rules import RULES
from pagefit.loaders.verdict import format_page_sizes
from pagefit.report.results import Results
from pagefit.report.table import summary


def to_commands(results: Results) -> Iterator[str]:
    """One command a finding that fails, one a file that cannot be judged, and one for exceptions without use."""
    for file in results.files:
        if file.report.error:
            level = "notice" if file.excuse else "error"
            yield _command(level, file.report.path, "cannot be judged", file.report.error)
        for issue in file.issues:
            if issue.finding.verdict.loads:
                continue
            rule = RULES[issue.finding.rule]
            where = f"{', '.join(issue.loaders)} at {format_page_sizes(issue.page_sizes)}"
            message = f"{file.report.path}: {issue.finding.message} ({where}). {rule.remedy}"
            yield _command("error" if issue.fails else "notice", file.report.path, f"{rule.id}: {rule.title}", message)
    for known in results.stale:
        yield _command("warning", "", "exception without use", f"the exception for {known.path!r} applies to nothing")
    yield f"::notice::{_data(summary(results))}"


def _command(level: str, path: str, title: str, message: str) -> str:
    # Members of an archive are no files of the repository: the annotation goes to the archive.
    place = f"file={_property(path.partition('!')[0])}," if path else ""
    return f"::{level} {place}title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
