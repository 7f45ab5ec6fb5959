"""Documentation points at what is there, and names every command and option."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_every_page_is_reached_from_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = [str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")]
    assert [page for page in pages if page != "README.md" and f"({page})" not in index] == []


def test_the_reference_names_every_command_and_option() -> None:
    reference = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    for command in re.findall(r"^    (\w+) ", printed_help(), re.MULTILINE):
        heading = re.search(rf"^## pagefit {command}\b(.*?)(?=^## |\Z)", reference, re.MULTILINE | re.DOTALL)
        assert heading, command
        if command != "meson":  # its actions have a page of their own
            options = set(re.findall(r"^  .*?(--[a-z-]+)", printed_help(command), re.MULTILINE)) - {"--help"}
            assert [option for option in sorted(options) if f"`{option}" not in heading[0]] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_in_the_documentation_compiles(page: Path) -> None:
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    ):
        compile(code, f"{page.name}, block {number}", "exec")


def printed_help(*command: str) -> str:
    words = [sys.executable, "-m", "pagefit", *command, "--help"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout
