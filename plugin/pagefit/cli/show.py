"""`pagefit show`: draw how a file's segments lie on pages of 4K, 16K and 64K."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pagefit.cli import guile_2_0
from pagefit.errors import InputError
from pagefit.loaders.verdict import COMMON_PAGE_SIZES, format_page_size, parse_page_size
from pagefit.report.pagemap import Row, page_map
from pagefit.survey import Options, Report, survey

if TYPE_CHECKING:
    from pagefit.cli.parser import Subparsers

_WIDTH = 48
#: A letter and an SGR colour for each kind of part.
_KINDS = {"const": ("r", "36"), "code": ("x", "32"), "relro": ("o", "33"), "data": ("w", "35"), "bss": ("b", "34")}
_LEGEND = "r read-only, x code, o read-only after relocation, w writable, b zero-filled (bss), . nothing"


def add_parser(subparsers: Subparsers) -> None:
    """Add the `show` subcommand."""
    parser = subparsers.add_parser(
        "show",
        help="draw how a file's segments lie on pages",
        description="Draw how the segments of an ELF file, or of each one in an archive, lie on pages, so that one "
        "sees which pages are shared. A row is a page, or a run of pages that look alike.",
    )
    parser.add_argument("input", type=Path, metavar="FILE", help="an ELF file, or an archive or folder of some")
    parser.add_argument("--page-size", action="append", metavar="SIZE", help="draw this page size; may be given again")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Draw every ELF file in the input."""
    sizes = tuple(map(parse_page_size, args.page_size)) if args.page_size else COMMON_PAGE_SIZES
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    drawn = 0
    for report in survey([args.input], Options(sizes)):
        if report.error:
            raise InputError(report.error, where=report.path)
        _draw(report, sizes, colour=colour)
        drawn += 1
    print(_LEGEND if drawn else "No ELF files: there is nothing to draw.")
    guile_2_0.name_it([args.input])
    return 0


def _draw(report: Report, sizes: tuple[int, ...], *, colour: bool) -> None:
    assert report.image is not None
    print(report.path)
    for size in sizes:
        print(f"\n{format_page_size(size)}: {report.judgement.at(size).label}")
        for row in page_map(report.image, size):
            print(f"  {row.address:#12x}  {_bar(row, size, colour=colour)}  {_words(row)}".rstrip())
        for finding in report.judgement.findings:
            if finding.page_size == size:
                print(f"  {finding.rule:<4} {finding.loader}: {finding.message}")
    print()


def _bar(row: Row, page_size: int, *, colour: bool) -> str:
    cells = ["."] * _WIDTH
    # The smallest last: even one byte is worth a letter, for it is what makes a page shared.
    for part in sorted(row.parts, key=lambda part: part.start - part.end):
        letter, sgr = _KINDS[part.kind]
        span = row.pages * page_size
        first = (part.start - row.address) * _WIDTH // span
        last = max(first + 1, -(-(part.end - row.address) * _WIDTH // span))
        cells[first:last] = [f"\x1b[{sgr}m{letter}\x1b[0m" if colour else letter] * (last - first)
    return "|" + "".join(cells[:_WIDTH]) + "|"


def _words(row: Row) -> str:
    if not row.parts:
        return f"nothing ({row.pages} pages)" if row.pages > 1 else "nothing"
    of = f"segment{'s' if len(row.segments) > 1 else ''} {', '.join(map(str, row.segments))}"
    if len(row.segments) > 1:
        return f"shared by {of}"
    return f"{row.pages} pages of {of}" if row.pages > 1 else of
