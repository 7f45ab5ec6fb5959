"""What recording links costs a build: three real packages, built with and without `pagefit record`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import inputs
from benchmarks.harness import Table, compare

#: Build system, and the package whose sdist is built.
PACKAGES = {"setuptools": "regex==2024.11.6", "meson-python": "contourpy==1.3.1", "CMake": "levenshtein==0.26.1"}


def run(pagefit: Path) -> Table:
    """Each build with and without recording. The ratio is time without / time with: 0.97 and more is the goal."""
    table = Table("Recording the links of a build", "at most 3 % slower")
    for system, requirement in PACKAGES.items():
        sdists = inputs.CACHE / "sdists" / system
        if not list(sdists.glob("*.tar.gz")):
            fetch = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary=:all:"]
            subprocess.run([*fetch, "--no-build-isolation", "-d", str(sdists), requirement], check=False)
        sdist = next(sdists.glob("*.tar.gz"), None)
        if sdist is None:
            table.remarks.append(f"{requirement} could not be downloaded.")
            continue
        out, journal = inputs.CACHE / "scratch" / "wheels", inputs.CACHE / "scratch" / "journal"
        build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-cache-dir", "-w", out, sdist]

        def clean(journal: Path = journal) -> None:
            shutil.rmtree(journal, ignore_errors=True)

        ours = [pagefit, "record", "-o", journal, "--", *build]
        table.rows += compare(f"{system}: {requirement}", ours, {"the build alone": build}, rounds=2, before=clean)
    return table
