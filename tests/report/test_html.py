"""The HTML page: well-formed, self-contained, and it shows the page that two segments share."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from pagefit.cli.main import main
from pagefit.report.pagemap import page_map
from support.elfs import Elf, R, W, X, load, relro

K = 1024
SHARED = Elf(
    (
        load(R | X, 0, 0, 0x8000, align=4 * K),
        load(R | W, 0x8000, 0x9000, 0x800, 0x1000, align=4 * K),
        relro(0x8000, 0x9000, 0x400),
    ),
    0x9000,
)


def test_rows_are_pages_and_runs_of_pages() -> None:
    small = page_map(SHARED.image(), 4 * K)
    rows = [(row.address, row.pages, row.segments) for row in small]
    assert rows == [(0, 8, (0,)), (0x8000, 1, ()), (0x9000, 1, (1,))]
    assert [(part.kind, part.start, part.end) for part in small[-1].parts] == [
        ("relro", 0x9000, 0x9400),
        ("data", 0x9400, 0x9800),
        ("bss", 0x9800, 0xA000),
    ]
    (large,) = page_map(SHARED.image(), 64 * K)
    assert (large.pages, large.segments) == (1, (0, 1))


def test_the_page_is_well_formed_and_needs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = Path("<b>&'\".so")
    hostile.write_bytes(SHARED.data())
    Path("good.so").write_bytes(SHARED.replace(machine=62).data())
    Path("cut.so").write_bytes(SHARED.data()[:90])
    assert main(["check", "--html", "report.html", str(hostile), "good.so", "cut.so"]) == 2
    page = Path("report.html").read_text()
    body = ET.fromstring(page[page.index("<body>") : page.index("</html>")])
    assert not re.search(r"<(script|link|img)|url\(|https?:", page)
    assert "<b>&" not in page
    drawings = body.findall(".//svg[@role='img']")
    assert len(drawings) == 3
    shared = [rect for rect in drawings[2].iter("rect") if rect.get("class") == "shared"]
    assert len(shared) == 1
    assert "segments 0, 1" in "".join(drawings[2].itertext())
    text = " ".join(body.itertext())
    assert "C7: shared page lost the right to execute or write" in text
    assert "the program headers reach to byte" in text


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.so").write_bytes(SHARED.data())
    assert main(["check", str(tmp_path / "x.so"), "--html", str(tmp_path / "missing" / "r.html")]) in (2, 3)
    assert "cannot be written" in capsys.readouterr().err
