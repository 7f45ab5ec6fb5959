"""Finding the inner backend: the one that builds the wheel, named by `[tool.pagefit] backend` or by a preset."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

from pagefit.config import Settings
from pagefit.errors import ConfigError

_KEY = "[tool.pagefit] backend"


@dataclass(frozen=True, slots=True)
class Preset:
    """A backend with a module of its own in pagefit.

    `module` is ours, as people write it in `build-backend`; `backend` is the wrapped `module:object`, and `requirement`
    what to install for it. `pagefit.backend` has neither: there `[tool.pagefit] backend` decides.
    """

    module: str
    backend: str | None = None
    requirement: str | None = None


def find(preset: Preset, settings: Settings, root: Path) -> Any:
    """Import the inner backend of the project in `root`: an object with the hooks of PEP 517 as attributes.

    Raises ConfigError when none is named, two are, it cannot be imported, or it is not where `backend-path` says.
    What the backend's own code raises while it is imported is passed on.
    """
    reference = _reference(preset, settings)
    folders = [_inside(root, folder) for folder in settings.backend_path]
    for folder in reversed(folders):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    module_name, _, path = reference.partition(":")
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        # Another missing module is the backend's own affair; its traceback says more than we could.
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        missing = preset.requirement or f"the package that has `{error.name}`"
        raise ConfigError(
            f"the backend `{module_name}` cannot be imported: there is no module `{error.name}`",
            where=preset.module,
            remedy=f"Add {missing} to `requires` of [build-system]"
            + ("." if preset.requirement else ", or correct `backend`."),
        ) from None
    if folders:
        _check_origin(found, folders)
    try:
        return attrgetter(path)(found) if path else found
    except AttributeError:
        raise ConfigError(
            f"`{module_name}` has no `{path}`", where=_KEY, remedy='Name the backend as "module:object".'
        ) from None


def _reference(preset: Preset, settings: Settings) -> str:
    if preset.backend is None:
        if settings.backend is None:
            raise ConfigError(
                "no backend is named",
                where="[tool.pagefit] in pyproject.toml",
                remedy='Add the one to wrap, such as backend = "hatchling.build".',
            )
        if settings.backend.partition(":")[0].partition(".")[0] == "pagefit":
            raise ConfigError(
                "pagefit cannot wrap itself", where=_KEY, remedy="Name the backend that builds the wheel."
            )
        return settings.backend
    if settings.backend not in (None, preset.backend):
        raise ConfigError(
            f"`{settings.backend}` contradicts `{preset.module}`, which wraps `{preset.backend}`",
            where=_KEY,
            remedy='Remove the key, or use build-backend = "pagefit.backend".',
        )
    return preset.backend


def _inside(root: Path, folder: str) -> Path:
    path = (root / folder).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_dir():
        raise ConfigError(
            f"{folder!r} is not a folder of the project",
            where=f"{_KEY}-path",
            remedy="Give folders inside it, relative to pyproject.toml (PEP 517).",
        )
    return path


def _check_origin(module: Any, folders: list[Path]) -> None:
    # PEP 517: a backend with backend-path must be loaded from there, not from a namesake that was imported before.
    origin = getattr(module, "__file__", None)
    if origin is None or not any(Path(origin).resolve().is_relative_to(folder) for folder in folders):
        raise ConfigError(
            f"`{module.__name__}` was found in {origin}, not in {', '.join(map(str, folders))}",
            where=f"{_KEY}-path",
            remedy="Correct the folder, or rename the module.",
        )
