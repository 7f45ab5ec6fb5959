"""`pagefit check`: does every ELF file load on every page size?"""

from __future__ import annotations

import sys
import time

from pagefit.loaders.verdict import parse_page_size
from pagefit.report import baseline
from pagefit.report.results import Results, sort_out
from pagefit.survey import Options, Report, survey
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pagefit.cli.parser import Subparsers

_FORMATS = ("table", "json", "sarif", "github", "junit")


class Arguments(NamedTuple):
    """The command line, with the defaults of what is left out."""

    inputs: Sequence[str]
    page_size: Sequence[str] | None = None
    deep: bool = False
    format: str = "table"
    html: str | None = None
    baseline: str | None = None
    verbose: bool = False


def add_parser(subparsers: Subparsers) -> None:
    """Add the `check` subcommand."""
    parser = subparsers.add_parser(
        "check",
        help="judge every ELF file in wheels, archives, folders and files",
        description="Judge every ELF file as the loaders that will meet it do: glibc before and since 2.35, musl, "
        "Android's, the kernel, Guile. Looks into wheels, zip, apk, tar, deb, conda and ar archives, also nested.",
        epilog="Exit code 0: all fit; 1: some do not; 2: something could not be read.",
    )
    parser.add_argument("inputs", nargs="+", metavar="PATH", help="file, folder or archive; - reads a list from stdin")
    parser.add_argument(
        "--page-size",
        action="append",
        metavar="SIZE",
        help="judge at this page size (64K, 16384, ...) on every machine; may be given again. "
        "Without it: 4K, 16K and 64K, each where the machine's kernels have it",
    )
    parser.add_argument(
        "--deep", action="store_true", help="read files whole: verify checksums, look for allocators (C18)"
    )
    parser.add_argument("--format", choices=_FORMATS, help="what to print (default: table)")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="short for --format json")
    parser.add_argument("--html", metavar="FILE", help="also write a page with drawings of the pages")
    parser.add_argument("--baseline", metavar="FILE", help=f"known exceptions (default: {baseline.FILE_NAME})")
    parser.add_argument("-v", "--verbose", action="store_true", help="list the files that fit, and notes, too")
    parser.set_defaults(run=run, **Arguments._field_defaults)


def run(args: Arguments) -> int:
    """Check, report, and say by the exit code how it went."""
    asked = tuple(dict.fromkeys(map(parse_page_size, args.page_size or ()))) or None
    known = baseline.load(args.baseline)
    reports = _with_progress(survey(_paths(args.inputs), Options(asked, args.deep)))
    results = sort_out(reports, known, asked)
    _print(results, args)
    looked_into = {file.report.names[0] for file in results.files}
    if silent := [path for path in args.inputs if path not in looked_into]:
        # Imported late: nearly everything that is checked holds an ELF file.
        from pagefit.cli import guile_2_0

        guile_2_0.name_it(silent)
    if args.html:
        from pathlib import Path

        from pagefit.report import html

        html.write(results, Path(args.html))
    return results.exit_code


def _paths(inputs: Iterable[str]) -> Iterator[str]:
    for name in inputs:
        if name == "-":
            data = sys.stdin.read()
            yield from filter(None, data.split("\0" if "\0" in data else "\n"))
        else:
            yield name


def _with_progress(reports: Iterable[Report]) -> Iterator[Report]:
    if not sys.stderr.isatty():
        yield from reports
        return
    shown = started = time.monotonic()
    for number, report in enumerate(reports, 1):
        yield report
        now = time.monotonic()
        if now - started > 0.5 and now - shown > 0.1:
            shown = now
            print(f"\r\x1b[K{number} files judged", end="", file=sys.stderr, flush=True)
    if shown > started:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _print(results: Results, args: Arguments) -> None:
    # Each format is imported when asked for: a check of a wheel takes less time than all of their imports.
    if args.format == "table":
        from pagefit.report import table

        table.write(results, sys.stdout, verbose=args.verbose)
    elif args.format == "json":
        import json

        from pagefit.report.jsonfile import to_json

        print(json.dumps(to_json(results, deep=args.deep), indent=1))
    elif args.format == "sarif":
        import json

        from pagefit.report.sarif import to_sarif

        print(json.dumps(to_sarif(results), indent=1))
    elif args.format == "github":
        from pagefit.report.github import to_commands

        for line in to_commands(results):
            print(line)
    else:
        from pagefit.report.junit import to_junit

        print(to_junit(results))
