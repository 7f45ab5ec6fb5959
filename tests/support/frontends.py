"""The front ends people build with: pip, build and uv, as they are called from a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Built:
    """What a front end left: the wheel (None when it failed), its exit code, and all it printed."""

    wheel: Path | None
    returncode: int
    output: str


def _pip(project: Path, out: Path, *, isolated: bool) -> list[str]:
    options = [] if isolated else ["--no-build-isolation"]
    return [sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", *options, "-w", str(out), str(project)]


def build_command(project: Path, out: Path, *, isolated: bool, wheel_only: bool = True) -> list[str]:
    """The command of `build`; without `wheel_only`, it makes an sdist and from that the wheel."""
    options = [] if isolated else ["--no-isolation", "--skip-dependency-check"]
    options += ["--wheel"] if wheel_only else []
    return [sys.executable, "-m", "build", *options, "-o", str(out), str(project)]


def _uv(project: Path, out: Path, *, isolated: bool) -> list[str]:
    options = [] if isolated else ["--no-build-isolation"]
    return [str(_BIN / "uv"), "build", "--wheel", "--python", sys.executable, *options, "-o", str(out), str(project)]


_COMMANDS: Mapping[str, Callable[..., list[str]]] = {"pip": _pip, "build": build_command, "uv": _uv}

NAMES = tuple(_COMMANDS)


def build_wheel(
    frontend: str,
    project: Path,
    out: Path,
    *,
    config_settings: Mapping[str, str | list[str]] | None = None,
    isolated: bool = False,
    env: Mapping[str, str] | None = None,
) -> Built:
    """Build a project's wheel into `out` with one of NAMES, with the packages of this environment unless isolated."""
    command = _COMMANDS[frontend](project, out, isolated=isolated)
    for key, value in (config_settings or {}).items():
        for one in [value] if isinstance(value, str) else value:
            command += ["-C", f"{key}={one}"]
    return run(command, out, env=env)


def run(command: list[str], out: Path, *, env: Mapping[str, str] | None = None) -> Built:
    """Run a front end's command that writes a wheel into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PATH": f"{_BIN}:{os.environ['PATH']}", "VIRTUAL_ENV": str(_BIN.parent)}
    environment |= {"XDG_CACHE_HOME": str(out / ".cache"), "UV_CACHE_DIR": str(out / ".uv"), **(env or {})}
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    wheels = sorted(out.glob("*.whl"))
    assert len(wheels) <= 1, wheels
    return Built(wheels[0] if wheels else None, done.returncode, done.stdout)
