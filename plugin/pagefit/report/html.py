"""One self-contained page: every file that does not fit, with its pages drawn, and a table of the others.

No scripts and nothing from elsewhere, so that it can be kept as a build's artifact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

from pagefit import __version__
from pagefit.atomic import replacing
from pagefit.loaders.rules import RULES
from pagefit.loaders.verdict import Verdict, format_page_size
from pagefit.report.pagemap import Row, page_map
from pagefit.report.results import Checked, Results
from pagefit.report.table import summary

_WIDTH: Final = 640
_HEIGHT: Final = 18
_LEFT: Final = 110
_KINDS: Final = {
    "const": "read-only",
    "code": "code",
    "relro": "read-only after relocation",
    "data": "writable",
    "bss": "zero-filled (bss)",
}
_CLASSES: Final = {
    Verdict.NOT_APPLICABLE: "none",
    Verdict.FITS: "good",
    Verdict.RELRO_WEAKER: "good",
    Verdict.CRASHES: "bad",
    Verdict.CORRUPTS: "bad",
    Verdict.REJECTED: "bad",
}
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2024; --paper: #fff; --line: #d5d9de; --faint: #646b73; --soft: #f4f5f7;
  --good: #17703a; --bad: #b42318; --const: #7aa6d8; --code: #4f9d69; --relro: #e0b64c; --data: #c0679b; --bss:
  #9b8bd0; } @media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --paper: #16181b; --line: #3a3f45; --faint: #9aa2ab; --soft: #1f2226; --good: #5cc88a;
  --bad: #ff8a7d; } } body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
h2, h3, td.path { overflow-wrap: anywhere; } h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; font-weight: 600; }
h4 { font-size: .9rem; margin: 1rem 0 .2rem; } p { margin: .4rem 0; } .faint { color: var(--faint); }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; } .none { color: var(--faint); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; } td, th { border-bottom: 1px solid var(--line); padding: .25rem .8rem .25rem 0;
vertical-align: top; } td:not(.path) { white-space: nowrap; }
section { border: 1px solid var(--line); border-radius: 6px; padding: .2rem 1rem 1rem; margin: 1rem 0; background:
var(--soft); } ul { margin: .4rem 0; padding-left: 1.2rem; } li { overflow-wrap: anywhere; }
svg { display: block; max-width: 100%; height: auto; } svg text { font: 12px ui-monospace, monospace; fill:
var(--faint); } svg text.bad { fill: var(--bad); font-weight: 600; } rect.page { fill: var(--paper); stroke:
var(--line); } rect.shared { fill: none; stroke: var(--bad); stroke-width: 1.5; }
.const { fill: var(--const); } .code { fill: var(--code); } .relro { fill: var(--relro); }
.data { fill: var(--data); } .bss { fill: var(--bss); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; list-style: none; padding: 0; }
.legend svg { display: inline-block; vertical-align: -2px; margin-right: .4rem; }
dt { font-weight: 600; margin-top: .8rem; } dd { margin: 0 0 0 1.2rem; }
"""


def write(results: Results, target: Path) -> None:
    """Write the page, whole or not at all. Raises OutputError when that is not possible."""
    text = "".join(_page(results))
    with replacing(target) as file:
        # File names may hold bytes that are no text.
        file.write(text.encode("utf-8", "replace"))


def _page(results: Results) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>pagefit check</title><style>{_STYLE}</style></head><body>\n<h1>pagefit check</h1>\n"
    yield f"<p>{escape(summary(results))}</p>\n"
    for known in results.stale:
        yield f"<p>The exception for <code>{escape(known.path)}</code> applies to nothing any more: remove it.</p>\n"
    drawn = [file for file in results.files if file.report.image and not file.report.judgement.worst.loads]
    if drawn:
        yield _legend()
    for containers, group in groupby(drawn, key=lambda file: file.report.names[:-1]):
        if containers:
            yield f"<h2>{escape('!'.join(containers))}</h2>\n"
        for file in group:
            yield from _drawing(file, results.page_sizes)
    yield from _table(results)
    yield from _rules(drawn)
    yield f'<p class="faint">Written by pagefit {__version__}.</p></body></html>\n'


def _legend() -> str:
    items = "".join(
        f'<li><svg width="14" height="14"><rect class="{kind}" width="14" height="14"/></svg>{words}</li>'
        for kind, words in _KINDS.items()
    )
    shared = '<svg width="14" height="14"><rect class="shared" x="1" y="1" width="12" height="12"/></svg>'
    return f'<ul class="legend">{items}<li>{shared}page shared by several segments</li></ul>\n'


def _drawing(file: Checked, page_sizes: tuple[int, ...]) -> Iterator[str]:
    report = file.report
    assert report.image is not None
    yield f"<section><h3>{escape(report.names[-1])}</h3>\n<p>{escape(file.machine)}: "
    yield ", ".join(_verdict(size, report.judgement.at(size)) for size in page_sizes)
    yield "</p>\n<ul>"
    for line in file.lines(notes=False):
        yield f"<li><b>{line.rule}</b> {escape(line.text)}</li>"
    yield "</ul>\n"
    for size in page_sizes:
        if report.judgement.at(size) is not Verdict.NOT_APPLICABLE:
            yield f"<h4>{_verdict(size, report.judgement.at(size))}</h4>\n"
            yield _svg(page_map(report.image, size), size)
    yield "</section>\n"


def _verdict(page_size: int, verdict: Verdict) -> str:
    return f'{format_page_size(page_size)} <span class="{_CLASSES[verdict]}">{verdict.label}</span>'


def _svg(rows: list[Row], page_size: int) -> str:
    width = _LEFT + _WIDTH + 190
    parts = [f'<svg viewBox="0 0 {width} {len(rows) * (_HEIGHT + 4)}" width="{width}" role="img">']
    for number, row in enumerate(rows):
        parts.append(_svg_row(row, number * (_HEIGHT + 4), page_size))
    return "".join(parts) + "</svg>\n"


def _svg_row(row: Row, y: int, page_size: int) -> str:
    scale = _WIDTH / (row.pages * page_size)
    text_y = y + _HEIGHT - 5
    shapes = [
        f'<text x="{_LEFT - 10}" y="{text_y}" text-anchor="end">{row.address:#x}</text>',
        f'<rect class="page" x="{_LEFT}" y="{y + 0.5}" width="{_WIDTH}" height="{_HEIGHT - 1}"/>',
    ]
    # The smallest last and never thinner than can be seen: one byte is enough to share a page.
    for part in sorted(row.parts, key=lambda part: part.start - part.end):
        x = _LEFT + min((part.start - row.address) * scale, _WIDTH - 2)
        wide = max((part.end - part.start) * scale, 2)
        shapes.append(
            f'<rect class="{part.kind}" x="{x:.1f}" y="{y + 1}" width="{wide:.1f}" height="{_HEIGHT - 2}">'
            f"<title>segment {part.segment}: {part.start:#x}-{part.end:#x}, {_KINDS[part.kind]}</title></rect>"
        )
    shared = len(row.segments) > 1
    if shared:
        shapes.append(f'<rect class="shared" x="{_LEFT}" y="{y + 0.5}" width="{_WIDTH}" height="{_HEIGHT - 1}"/>')
    words = f"segment{'s' if shared else ''} {', '.join(map(str, row.segments))}" if row.parts else "nothing"
    if row.pages > 1:
        words += f" × {row.pages} pages"
    mark = ' class="bad"' if shared else ""
    return "".join(shapes) + f'<text{mark} x="{_LEFT + _WIDTH + 10}" y="{text_y}">{words}</text>'


def _table(results: Results) -> Iterator[str]:
    if not results.files:
        return
    sizes = "".join(f"<th>{format_page_size(size)}</th>" for size in results.page_sizes)
    yield f"<h2>All files</h2>\n<table><tr><th>file</th><th>machine</th>{sizes}</tr>\n"
    for file in results.files:
        yield f'<tr><td class="path">{escape(file.report.path)}</td>'
        if file.report.error:
            columns = len(results.page_sizes) + 1
            yield f'<td class="path bad" colspan="{columns}">{escape(file.report.error)}</td></tr>\n'
            continue
        verdicts = (file.report.judgement.at(size) for size in results.page_sizes)
        cells = "".join(f'<td class="{_CLASSES[verdict]}">{verdict.label}</td>' for verdict in verdicts)
        yield f"<td>{escape(file.machine)}</td>{cells}</tr>\n"
    yield "</table>\n"


def _rules(drawn: list[Checked]) -> Iterator[str]:
    used = {issue.finding.rule for file in drawn for issue in file.issues if not issue.finding.verdict.loads}
    if used:
        yield "<h2>What the rules mean</h2>\n<dl>"
        for rule in RULES.values():
            if rule.id in used:
                yield f"<dt>{rule.id}: {escape(rule.title)}</dt>"
                yield f"<dd>{_prose(rule.condition)} {_prose(rule.consequence)}<br/>{_prose(rule.remedy)}</dd>"
        yield "</dl>\n"


def _prose(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))
