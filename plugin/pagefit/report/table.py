"""The report for people: which files do not fit, why, and what to do.

With rich on a terminal, without it everywhere else; both say the same.
"""

from __future__ import annotations

from itertools import groupby

from pagefit.loaders.verdict import Verdict, format_page_size, format_page_sizes
from pagefit.report.results import Checked, Outcome, Results

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from rich.console import Console

#: Verdicts in a column's width.
SHORT = {
    Verdict.NOT_APPLICABLE: "n/a",
    Verdict.FITS: "fits",
    Verdict.RELRO_WEAKER: "fits*",
    Verdict.CRASHES: "crashes",
    Verdict.CORRUPTS: "corrupts",
    Verdict.REJECTED: "rejected",
}
_STYLES = {
    Verdict.NOT_APPLICABLE: "dim",
    Verdict.FITS: "green",
    Verdict.RELRO_WEAKER: "green",
    Verdict.CRASHES: "bold red",
    Verdict.CORRUPTS: "bold red",
    Verdict.REJECTED: "bold red",
}


def write(results: Results, stream: TextIO, *, verbose: bool) -> None:
    """Write the report. `verbose` lists the files that fit, and notes that fail nothing, too."""
    if stream.isatty() and (console := _console(stream)):
        _write_rich(results, console, verbose=verbose)
    else:
        for line in _plain(results, verbose=verbose):
            print(line, file=stream)


def _console(stream: TextIO) -> Console | None:
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream, highlight=False, markup=False)


def _listed(results: Results, *, verbose: bool) -> list[Checked]:
    return [file for file in results.files if verbose or file.outcome not in (Outcome.FITS, Outcome.NOT_APPLICABLE)]


def _plain(results: Results, *, verbose: bool) -> Iterator[str]:
    listed = _listed(results, verbose=verbose)
    for file in listed:
        yield file.report.path
        if file.report.error:
            yield f"    cannot be judged: {file.report.error}"
            continue
        yield (
            f"    {file.machine:<10}"
            + "".join(
                f"  {format_page_size(size):>4} {SHORT[file.report.judgement.at(size)]:<9}"
                for size in results.page_sizes
            ).rstrip()
        )
        for line in file.lines(notes=verbose):
            yield f"    {line.rule:<4} {line.text}"
    if listed:
        yield ""
    yield from _closing(results, verbose=verbose)


def _closing(results: Results, *, verbose: bool) -> Iterator[str]:
    if rules := {issue.finding.rule for file in results.files for issue in file.issues if issue.fails}:
        yield from _remedies(sorted(rules, key=_order))
        yield ""
    for known in results.stale:
        rules_of = ", ".join(known.rules) or "all rules"
        yield f"exception for {known.path!r} ({rules_of}) applies to nothing any more: remove it"
    yield summary(results)
    if verbose and any(verdict is Verdict.RELRO_WEAKER for file in results.files for verdict in _verdicts(file)):
        yield "* fits, but the last page of RELRO stays writable (C12)"


def _remedies(rules: list[str]) -> Iterator[str]:
    # Imported late: most checks find nothing to explain.
    from pagefit.loaders.rules import RULES

    for remedy in dict.fromkeys(RULES[rule].remedy for rule in rules):
        same = [rule for rule in rules if RULES[rule].remedy == remedy]
        yield f"{', '.join(same)} ({'; '.join(RULES[rule].title for rule in same)}): {remedy}"


def _verdicts(file: Checked) -> Iterator[Verdict]:
    yield from file.report.judgement.verdicts.values()


def _order(rule: str) -> tuple[str, int]:
    return rule[0], int(rule[1:])


def summary(results: Results) -> str:
    """One sentence on all files."""
    total = len(results.files)
    if total == 0:
        return "No ELF files: there is nothing that a page size could matter to."
    sizes = format_page_sizes(results.page_sizes)
    parts = [f"{total} ELF file{'s' if total > 1 else ''}, page sizes {sizes}: {results.count(Outcome.FITS)} fit"]
    parts += [
        f"{results.count(outcome)} {words}"
        for outcome, words in (
            (Outcome.MISFIT, "does not fit" if results.count(Outcome.MISFIT) == 1 else "do not fit"),
            (Outcome.EXCUSED, "excused by the baseline"),
            (Outcome.NOT_APPLICABLE, "not applicable"),
            (Outcome.UNREADABLE, "could not be judged"),
        )
        if results.count(outcome)
    ]
    return ", ".join(parts) + "."


def _write_rich(results: Results, console: Console, *, verbose: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    listed = _listed(results, verbose=verbose)
    for containers, group in groupby(listed, key=lambda file: file.report.names[:-1]):
        table = Table(title="!".join(containers) or None, title_justify="left", show_edge=False, pad_edge=False)
        table.add_column("file", overflow="fold")
        table.add_column("machine", no_wrap=True)
        for size in results.page_sizes:
            table.add_column(format_page_size(size), no_wrap=True)
        table.add_column("rules", overflow="fold")
        for file in group:
            verdicts = [file.report.judgement.at(size) for size in results.page_sizes]
            rules = dict.fromkeys(line.rule for line in file.lines(notes=verbose))
            table.add_row(
                Text(file.report.names[-1]),
                file.machine,
                *(Text("?" if file.report.error else SHORT[one], _STYLES[one]) for one in verdicts),
                Text(file.report.error or " ".join(rules)),
            )
        console.print(table)
        console.print()
    for file in listed:
        if lines := file.lines(notes=verbose):
            console.print(Text(file.report.path, "bold"))
        for line in lines:
            style = "red" if line.fails else "dim"
            console.print(Text.assemble("  ", (f"{line.rule:<4}", style), " ", line.text))
    for sentence in _closing(results, verbose=verbose):
        console.print(Text(sentence, "bold" if sentence == summary(results) else ""))
