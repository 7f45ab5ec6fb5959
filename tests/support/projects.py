"""Small projects for the build hooks, and what front ends do with them."""

from __future__ import annotations

import textwrap
from pathlib import Path

from pyproject_hooks import BuildBackendHookCaller


def write_project(folder: Path, files: dict[str, str]) -> Path:
    """Write files (dedented text by relative path) and return the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def hook_caller(project: Path, build_backend: str = "pagefit.backend") -> BuildBackendHookCaller:
    """Call hooks as pip and build do: each in a process of its own, in the project's folder."""
    return BuildBackendHookCaller(project, build_backend)
