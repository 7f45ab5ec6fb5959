"""The prebuilt tarball of a plain Meson project: what `meson install` would put on a system, as it would be there."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pagefit.containers import tarball
from pagefit.elf.headers import is_elf
from pagefit.errors import InputError


def pack(build: Path, folder: Path) -> Path:
    """Install a built Meson project into a scratch DESTDIR and pack its ELF files; the tarball, in `folder`.

    Installing fixes RPATHs and strips as configured, so the tarball holds what users get. Raises InputError when
    `build` is not a Meson build folder or the project cannot be installed.
    """
    try:
        project = json.loads((build / "meson-info" / "intro-projectinfo.json").read_text())
        machines = json.loads((build / "meson-info" / "intro-machines.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError("not a Meson build folder", where=str(build), remedy="Run `meson setup` first.") from error
    host = machines["host"]
    with tempfile.TemporaryDirectory(prefix="pagefit-") as scratch:
        command = [*_meson(), "install", "-C", str(build), "--destdir", scratch, "--no-rebuild", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"meson install failed: {(done.stderr or done.stdout).strip()}", where=str(build))
        installed = {path.relative_to(scratch).as_posix(): path for path in sorted(Path(scratch).rglob("*"))}
        files = [(name, path) for name, path in installed.items() if path.is_file() and not path.is_symlink()]
        stem = f"{project['descriptive_name']}-{project['version']}-{host['system']}_{host['cpu_family']}"
        return tarball.write_tree(files, folder, stem=stem, links=_links(installed, Path(scratch)))


def _links(installed: Mapping[str, Path], root: Path) -> dict[str, str]:
    """What points to ELF files of the installed set, such as `libx.so` to `libx.so.1`: names with targets."""
    found = {}
    for name, path in installed.items():
        if path.is_symlink() and path.is_file() and path.resolve().is_relative_to(root.resolve()):
            with path.open("rb") as file:
                if is_elf(file.read(4)) and not os.path.isabs(target := os.readlink(path)):
                    found[name] = target
    return found


def _meson() -> list[str]:
    """The Meson that runs us, which it tells its run targets; else the one on PATH."""
    return shlex.split(os.environ.get("MESONINTROSPECT", ""))[:-1] or ["meson"]
