"""What a check found, sorted out: the one value that every output format is made from."""

from __future__ import annotations

import enum

from pagefit.loaders.machines import machine_name
from pagefit.loaders.verdict import COMMON_PAGE_SIZES, Finding, Verdict, format_page_sizes
from pagefit.report.baseline import UNREADABLE, Known
from pagefit.survey import Report
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Outcome(enum.Enum):
    """How one file came out of the check."""

    FITS = "fits"
    NOT_APPLICABLE = "not applicable"
    EXCUSED = "excused"
    MISFIT = "does not fit"
    UNREADABLE = "unreadable"


#: Verdicts as programs read them.
VERDICT_IDS = {
    Verdict.NOT_APPLICABLE: "not-applicable",
    Verdict.FITS: "fits",
    Verdict.RELRO_WEAKER: "relro-weaker",
    Verdict.CRASHES: "crashes",
    Verdict.CORRUPTS: "corrupts",
    Verdict.REJECTED: "rejected",
}


class Issue(NamedTuple):
    """Findings about one file that say the same of several loaders or page sizes: `finding` is the first of them."""

    finding: Finding
    loaders: tuple[str, ...]
    page_sizes: tuple[int, ...]
    excuse: Known | None

    @property
    def fails(self) -> bool:
        """Whether the file must not pass because of it."""
        return not self.finding.verdict.loads and self.excuse is None


class Line(NamedTuple):
    """Issues of one rule about one file, as people read them."""

    rule: str
    fails: bool
    text: str


class Checked(NamedTuple):
    """One file, its issues (the worst first), and what that makes of it: whether it passes.

    `excuse` is the known exception for a file that cannot be read.
    """

    report: Report
    issues: tuple[Issue, ...]
    outcome: Outcome
    excuse: Known | None = None

    @property
    def machine(self) -> str:
        """The machine's name; nothing for what could not be read."""
        return machine_name(self.report.image.header.machine) if self.report.image else ""

    def lines(self, *, notes: bool) -> list[Line]:
        """A line for each rule, set of loaders and of page sizes; with `notes` also what fails nothing."""
        groups: dict[tuple[object, ...], list[Issue]] = {}
        for issue in self.issues:
            if notes or not issue.finding.verdict.loads:
                key = (issue.finding.rule, issue.finding.verdict, issue.loaders, issue.page_sizes, issue.excuse)
                groups.setdefault(key, []).append(issue)
        return [_line(group[0], len(group) - 1) for group in groups.values()]


def _line(issue: Issue, more: int) -> Line:
    others = f" (and {more} more)" if more else ""
    excuse = f" [excused: {issue.excuse.reason or 'known exception'}]" if issue.excuse else ""
    where = f"{', '.join(issue.loaders)} at {format_page_sizes(issue.page_sizes)}"
    return Line(issue.finding.rule, issue.fails, f"{where}: {issue.finding.message}{others}{excuse}")


class Results(NamedTuple):
    """All files of a check, in order; `stale` are exceptions that excuse nothing any more."""

    files: tuple[Checked, ...]
    stale: tuple[Known, ...]
    asked: tuple[int, ...] | None = None

    @property
    def page_sizes(self) -> tuple[int, ...]:
        """The page sizes of the check, ascending (bytes)."""
        return tuple(sorted(self.asked or COMMON_PAGE_SIZES))

    def count(self, outcome: Outcome) -> int:
        """How many files came out so."""
        return [file.outcome for file in self.files].count(outcome)

    @property
    def exit_code(self) -> int:
        """0 when all fit, 1 when some do not, 2 when some could not be read."""
        if self.count(Outcome.UNREADABLE):
            return 2
        return 1 if self.count(Outcome.MISFIT) else 0


def sort_out(reports: Iterable[Report], known: tuple[Known, ...], asked: tuple[int, ...] | None) -> Results:
    """Group the findings of every file, and set the known exceptions against them."""
    used: set[Known] = set()
    files: list[Checked] = []
    for report in reports:
        issues = tuple(_issues(report, known)) if report.judgement.findings else ()
        excuse = _excuse(report, UNREADABLE, known) if report.error else None
        if known:
            used.update(one for one in (excuse, *(issue.excuse for issue in issues)) if one)
        files.append(Checked(report, issues, _outcome(report, issues, excuse), excuse))
    return Results(tuple(files), tuple(one for one in known if one not in used), asked)


def _outcome(report: Report, issues: tuple[Issue, ...], excuse: Known | None) -> Outcome:
    if report.error:
        return Outcome.EXCUSED if excuse else Outcome.UNREADABLE
    if any(issue.fails for issue in issues):
        return Outcome.MISFIT
    worst = report.judgement.worst
    if not worst.loads:
        return Outcome.EXCUSED
    return Outcome.FITS if worst is not Verdict.NOT_APPLICABLE else Outcome.NOT_APPLICABLE


def _issues(report: Report, known: tuple[Known, ...]) -> Iterator[Issue]:
    groups: dict[tuple[str, Verdict, tuple[int, ...]], list[Finding]] = {}
    for finding in report.judgement.findings:
        groups.setdefault((finding.rule, finding.verdict, finding.segments), []).append(finding)
    for same in sorted(groups.values(), key=lambda group: -group[0].verdict):
        first = same[0]
        failing = not first.verdict.loads
        yield Issue(
            first,
            tuple(dict.fromkeys(finding.loader for finding in same)),
            tuple(sorted({finding.page_size for finding in same})),
            _excuse(report, first.rule, known) if failing else None,
        )


def _excuse(report: Report, rule: str, known: tuple[Known, ...]) -> Known | None:
    return next((one for one in known if one.matches(report.path, rule)), None)
