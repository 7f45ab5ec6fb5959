"""The sample projects, copied to where a test may build them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from support.projects import write_project

_ROOT = Path(__file__).resolve().parents[2] / "sample_project"

#: The folder of each sample, and the backend it would have without pagefit.
SAMPLES = {"setuptools": "setuptools.build_meta", "meson": "mesonpy"}

#: How many ELF files the wheel of each has.
ELF_FILES = {"setuptools": 2, "meson": 3}


def copy(name: str, folder: Path, *, pagefit: bool = True, settings: str = "") -> Path:
    """Copy a sample to `folder`, with lines for [tool.pagefit], or with pagefit's two lines taken out."""
    shutil.copytree(_ROOT / name, folder)
    pyproject = (folder / "pyproject.toml").read_text(encoding="utf-8")
    if not pagefit:
        preset = {"setuptools": "pagefit.setuptools", "meson": "pagefit.mesonpy"}[name]
        pyproject = pyproject.replace(', "pagefit"]', "]").replace(f'"{preset}"', f'"{SAMPLES[name]}"')
        assert "pagefit" not in pyproject
    return write_project(
        folder, {"pyproject.toml": f"{pyproject}\n[tool.pagefit]\n{settings}\n" if settings else pyproject}
    )


def unpack_elf(wheel: Path, folder: Path) -> list[Path]:
    """Unpack a wheel and return its ELF files, sorted by path."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF")


def run_tests(name: str, unpacked: Path) -> None:
    """Run the sample's own tests against its unpacked wheel."""
    subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-m",
            "unittest",
            "discover",
            "-s",
            _ROOT / name / "tests",
            "-t",
            _ROOT / name / "tests",
        ],
        env={"PYTHONPATH": str(unpacked), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
    )
