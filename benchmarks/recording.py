"""What recording links costs a build: real packages, built with and without `pagefit record`."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks import inputs
from benchmarks.harness import compare
from benchmarks.results import Comparison, Part

#: Build system, the package whose sdist is built, what its build needs, and how often it is built. Of Meson's two, one is
#: over so soon that it shows what it costs to begin.
PACKAGES = (
    ("setuptools", "regex==2024.11.6", ["setuptools", "wheel"], 9),
    ("meson-python", "pywavelets==1.8.0", ["meson-python", "Cython<3.2", "numpy==2.1.3", "ninja"], 5),
    ("meson-python", "contourpy==1.3.1", ["meson-python", "pybind11", "ninja"], 9),
    ("CMake", "levenshtein==0.26.1", ["scikit-build-core<0.11", "Cython<3.1", "cmake<4", "ninja"], 9),
)


def run(pagefit: Path) -> list[Part]:
    """Each build with and without recording."""
    part = Comparison("Recording the links of a build", "at most 3 % slower than the build alone (0.97×)")
    out, journal = inputs.SCRATCH / "built", inputs.SCRATCH / "journal"

    def clean() -> None:
        shutil.rmtree(journal, ignore_errors=True)

    for system, requirement, needs, rounds in PACKAGES:
        bin_ = inputs.environment("builds/" + requirement.partition("==")[0], needs)
        sdist = inputs.sdist(requirement, bin_)
        build = [bin_ / "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-cache-dir", "-w", out, sdist]
        inside = inputs.activated(bin_)
        ours = [*inside, pagefit, "record", "-o", journal, "--", *build]
        theirs = {"the build alone": [*inside, *build]}
        part.rows += compare(f"{system}: {requirement}", ours, theirs, rounds=rounds, before=clean)
    return [part]
