"""`pagefit align`: make wheels, archives, folders and files load at a page size."""

from __future__ import annotations

import os
import sys

from pagefit.loaders.verdict import parse_page_size
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pagefit.align.containers import Unresolved
    from pagefit.align.outcome import Engine, Layout, Request
    from pagefit.cli.parser import Subparsers

_DESCRIPTION = """\
Judge every ELF file of the inputs and mend those that would not load: relinked from a recorded link (--journal),
or without objects, exactly or not at all. Inputs are replaced in place unless --output names a folder; when
anything cannot be mended, nothing is written and the exit code is 3.
"""


class Arguments(NamedTuple):
    """The command line, with the defaults of what is left out."""

    inputs: Sequence[str]
    output: str | None = None
    page_size: str | None = None
    exactly: bool = False
    journal: str | None = None
    engine: Engine = "auto"
    layout: Layout = "dense"
    drop_debug: bool = False
    exclude: Sequence[str] | None = None
    unresolved: Unresolved = "error"
    dry_run: bool = False
    json: bool = False


def add_parser(subparsers: Subparsers) -> None:
    """Add the command's arguments."""
    from pagefit.cli.parser import RawFormatter

    parser = subparsers.add_parser(
        "align",
        help="mend wheels, archives, folders and files",
        description=_DESCRIPTION,
        formatter_class=RawFormatter,
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a wheel, archive, folder or ELF file")
    parser.add_argument("-o", "--output", metavar="DIR", help="write there instead of replacing the inputs")
    parser.add_argument(
        "--page-size",
        metavar="SIZE",
        help="power of two from 4K (default: 64K, and files of machines that never have such pages are left alone; "
        "a size given by name applies to every file)",
    )
    parser.add_argument(
        "--exactly",
        action="store_true",
        help="give Guile's object files just this alignment, also those that fit with a larger one",
    )
    parser.add_argument("--journal", metavar="DIR", help="links recorded by `pagefit record -o DIR`")
    parser.add_argument(
        "--engine",
        choices=("auto", "relink", "realign"),
        help="relink: from recorded links only; realign: without objects only (default: auto, in this order)",
    )
    parser.add_argument(
        "--layout",
        choices=("dense", "padded"),
        help="of files realigned without objects; dense (default): they do not grow; padded: file image = memory image",
    )
    parser.add_argument(
        "--drop-debug", action="store_true", help="drop debug information that would be wrong after realigning"
    )
    parser.add_argument(
        "--exclude", action="append", metavar="GLOB", help="leave files with such a path alone (repeatable)"
    )
    parser.add_argument(
        "--unresolved",
        choices=("error", "warn", "ignore"),
        help="what files that cannot be mended mean (default: error, and nothing is written)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, write nothing")
    parser.add_argument("--json", action="store_true", help="report as JSON on standard output")
    parser.set_defaults(run=run, **Arguments._field_defaults)


def run(args: Arguments) -> int:
    """Align every input; 0 when all fit afterwards, 3 when something could not be mended."""
    from pagefit import align
    from pagefit.cli import guile_2_0
    from pagefit.report import summary

    request = _request(args)
    reports = []
    unresolved = False
    for path in args.inputs:
        output = None if args.output is None else _inside(args.output, path)
        report = align.path(path, request, output=output, unresolved=args.unresolved, dry_run=args.dry_run)
        unresolved |= bool(report.refused) and args.unresolved != "ignore"
        reports.append(report)
        if not args.json:
            summary.write(report, sys.stdout, dry_run=args.dry_run)
        guile_2_0.name_it([path])
    if args.json:
        import json

        print(json.dumps({"schema": 1, "reports": [summary.as_json(r) for r in reports]}, indent=2))
    return 3 if unresolved and args.unresolved == "error" else 0


def _inside(folder: str, path: str) -> str:
    name = os.path.basename(os.path.normpath(path))
    return os.path.join(folder, os.path.basename(os.path.abspath(path)) if name == os.pardir else name)


def _request(args: Arguments) -> Request:
    from pagefit import align

    journal = None
    if args.journal is not None:
        from pathlib import Path

        from pagefit.links.journal import Journal

        journal = Journal.load(Path(args.journal))
    return align.Request(
        page_size=parse_page_size(args.page_size or "64K"),
        everywhere=args.page_size is not None,
        exactly=args.exactly,
        engine=args.engine,
        layout=args.layout,
        drop_debug=args.drop_debug,
        exclude=tuple(args.exclude or ()),
        relink=align.relinker(journal),
    )
