"""The Meson subproject that users add with `subproject('pagefit')`, and putting it into their `subprojects/`."""

from __future__ import annotations

import shutil
from pathlib import Path

from pagefit.errors import ConfigError

#: What the subproject is made of.
_FILES = ("meson.build", "meson_options.txt", "pagefit.ini")


def folder() -> Path:
    """Where the subproject's files lie: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "subproject_files"
    return installed if installed.is_dir() else package.parents[2] / "meson"


def add(project: Path) -> Path:
    """Copy the subproject into `project`/subprojects/pagefit, over an older copy, and return that folder.

    Raises ConfigError when `project` is not a Meson project, or something else has that name there.
    """
    if not (project / "meson.build").is_file():
        raise ConfigError(
            "no meson.build here", where=str(project), remedy="Run this in the top folder of a Meson project."
        )
    target = project / "subprojects" / "pagefit"
    strangers = [entry.name for entry in target.iterdir() if entry.name not in _FILES] if target.is_dir() else []
    if strangers:
        raise ConfigError(
            f"holds files that are not pagefit's ({', '.join(sorted(strangers)[:3])})",
            where=str(target),
            remedy="Move that folder away first.",
        )
    target.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(folder() / name, target / name)
    return target
