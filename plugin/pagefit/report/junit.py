"""JUnit's XML, which every CI system draws: a suite an input, a case an ELF file."""

from __future__ import annotations

from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pagefit.loaders.verdict import format_page_sizes
from pagefit.report.results import Checked, Outcome, Results

_CONTROLS = {code: "\N{REPLACEMENT CHARACTER}" for code in range(32) if chr(code) not in "\t\n"}


def to_junit(results: Results) -> str:
    """The whole check as one document."""
    root = Element("testsuites", _counts(results.files), name="pagefit check")
    for suite, group in groupby(results.files, key=lambda file: file.report.names[0]):
        files = tuple(group)
        element = SubElement(root, "testsuite", _counts(files), name=_text(suite))
        for file in files:
            _case(element, file)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode")


def _counts(files: tuple[Checked, ...]) -> dict[str, str]:
    def count(*outcomes: Outcome) -> str:
        return str(sum(file.outcome in outcomes for file in files))

    return {
        "tests": str(len(files)),
        "failures": count(Outcome.MISFIT),
        "errors": count(Outcome.UNREADABLE),
        "skipped": count(Outcome.NOT_APPLICABLE, Outcome.EXCUSED),
    }


def _case(suite: Element, file: Checked) -> None:
    names = file.report.names
    case = SubElement(suite, "testcase", classname=_text(names[0]), name=_text("!".join(names[1:]) or names[0]))
    lines = "\n".join(
        f"{issue.finding.rule} {', '.join(issue.loaders)} at {format_page_sizes(issue.page_sizes)}: "
        f"{issue.finding.message}"
        for issue in file.issues
        if not issue.finding.verdict.loads
    )
    if file.outcome is Outcome.UNREADABLE:
        SubElement(case, "error", message=_text(file.report.error))
    elif file.outcome is Outcome.MISFIT:
        SubElement(case, "failure", message=file.report.judgement.worst.label).text = _text(lines)
    elif file.outcome is not Outcome.FITS:
        SubElement(case, "skipped", message=file.outcome.value)


def _text(text: str) -> str:
    """XML 1.0 has no control characters and no surrogates; file names may have both."""
    return text.translate(_CONTROLS).encode("utf-8", "replace").decode()
