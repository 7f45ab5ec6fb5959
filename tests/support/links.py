"""Small builds to record, and what readelf says of their results."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pagefit.links.journal import Journal
from pagefit.links.recorder import record

SOURCES: Mapping[str, str] = {
    "half.c": 'const char *const words[] = {"one", "two"};\nint counter = 7;\n'
    "int half(int n) { return n / 2 + counter; }\n",
    "user.c": "int half(int);\nextern const char *const words[];\n"
    "const char *const *table = words;\nint twice(int n) { return 4 * half(n); }\n",
}


def write_sources(folder: Path) -> Path:
    """The two C files that most tests link, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in SOURCES.items():
        (folder / name).write_text(text)
    return folder


def shell(command: str, folder: Path, *, status: int = 0) -> str:
    """Run a command in a folder; its standard output. Fails the test on another exit status."""
    done = subprocess.run(["/bin/sh", "-ec", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def recorded(command: str, folder: Path, journal: Path) -> Journal:
    """The journal of a command that links, run in `folder`."""
    with record(journal) as result:
        shell(command, folder)
    assert result.notes() == []
    return result


def readelf(option: str, path: Path) -> str:
    """What readelf prints."""
    return subprocess.run(
        ["readelf", "--wide", option, path], capture_output=True, text=True, check=True, errors="replace"
    ).stdout


def load_alignments(path: Path) -> set[int]:
    """p_align of every PT_LOAD, in bytes, as readelf reads it."""
    return {
        int(line.split()[-1], 16) for line in readelf("--segments", path).splitlines() if line.split()[:1] == ["LOAD"]
    }


def dynamic(path: Path, tag: str) -> list[str]:
    """The bracketed values of one dynamic tag, in order, as readelf prints them."""
    return re.findall(rf"\({tag}\).*\[(.*)\]", readelf("--dynamic", path))


def sections(path: Path) -> list[str]:
    """Section names in table order."""
    return re.findall(r"^ *\[ *\d+\] (\S+)", readelf("--sections", path), re.MULTILINE)
