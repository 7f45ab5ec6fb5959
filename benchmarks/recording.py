"""What recording links costs a build: three real packages, built with and without `pagefit record`."""

from __future__ import annotations

import shutil
import venv
from pathlib import Path

from benchmarks import inputs
from benchmarks.harness import compare
from benchmarks.results import Comparison, Part

#: Build system, the package whose sdist is built, and what its build needs.
PACKAGES = {
    "setuptools": ("regex==2024.11.6", ["setuptools", "wheel"]),
    "meson-python": ("contourpy==1.3.1", ["meson-python", "pybind11", "ninja"]),
    "CMake": ("levenshtein==0.26.1", ["scikit-build-core<0.11", "Cython<3.1", "cmake<4", "ninja"]),
}


def run(pagefit: Path) -> list[Part]:
    """Each build with and without recording."""
    part = Comparison("Recording the links of a build", "at most 3 % slower than the build alone (0.97×)")
    out, journal = inputs.SCRATCH / "built", inputs.SCRATCH / "journal"

    def clean() -> None:
        shutil.rmtree(journal, ignore_errors=True)

    for system, (requirement, needs) in PACKAGES.items():
        bin_ = _environment(system, needs)
        sdist = _sdist(bin_, requirement)
        build = [bin_ / "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-cache-dir", "-w", out, sdist]
        # The build's own tools come first on PATH, as with an activated environment.
        inside = ["env", f"PATH={bin_}:/usr/local/bin:/usr/bin:/bin"]
        ours = [*inside, pagefit, "record", "-o", journal, "--", *build]
        theirs = {"the build alone": [*inside, *build]}
        part.rows += compare(f"{system}: {requirement}", ours, theirs, rounds=5, before=clean)
    return [part]


def _environment(system: str, needs: list[str]) -> Path:
    folder = inputs.CACHE / "builds" / system
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        inputs.run(folder / "bin/pip", "install", "-q", *needs)
        (folder / "ready").touch()
    return folder / "bin"


def _sdist(bin_: Path, requirement: str) -> Path:
    folder = inputs.CACHE / "sdists" / requirement
    if not list(folder.glob("*.tar.gz")):
        fetch = ["download", "-q", "--no-deps", "--no-binary=:all:", "--no-build-isolation", "-d", folder, requirement]
        inputs.run("env", f"PATH={bin_}:/usr/local/bin:/usr/bin:/bin", bin_ / "pip", *fetch)
    return next(folder.glob("*.tar.gz"))
