"""Prebuilt artifacts around the hooks: into the sdist that was built, and instead of a wheel that would be compiled."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pagefit.config import Settings
from pagefit.errors import ConfigError
from pagefit.hooks.console import errors_as_sentences, say


def into_sdist(sdist: Path, build_wheel: Callable[[str], str], settings: Settings) -> None:
    """Put the wheels that `prebuilt.from` names into an sdist; without any, the one `build_wheel(folder)` makes."""
    from pagefit.prebuilt import sdist as packing

    with errors_as_sentences(), tempfile.TemporaryDirectory(prefix="pagefit-") as scratch:
        if settings.prebuilt_from:
            wheels = packing.artifacts(Path.cwd(), settings.prebuilt_from)
        else:
            wheels = [Path(scratch, build_wheel(scratch))]
        try:
            added = packing.add(sdist, wheels)
        except BaseException:
            sdist.unlink(missing_ok=True)  # without its prebuilt files it would look finished
            raise
        for variant in added:
            say(f"{sdist.name} carries prebuilt/{variant.key}")


def instead_of_building(backend: Any, wheel_directory: Path, rest: dict[str, Any] | None, settings: Settings) -> str:
    """Put the wheel together from the tree's prebuilt files; its name, or empty when it has to be compiled.

    Says why not. Ends the process when a prebuilt file is damaged, and when `prebuilt.use` is "require" and nothing in
    the tree can be used.
    """
    if settings.prebuilt_use == "never" or sys.platform != "linux":
        return ""
    with errors_as_sentences():
        from pagefit.prebuilt import use

        try:
            variant, folder = use.choose(Path.cwd())
            if why := use.unwanted(variant.wheel.split("-")[0], os.environ):
                raise use.Unfit(why)
            if rest and settings.prebuilt_use != "require":
                raise use.Unfit(f"config settings are given for the build ({', '.join(sorted(rest))})")
            wheel = use.assemble(variant, folder, wheel_directory)
            _compare_metadata(backend, use.metadata(variant, wheel), rest, wheel)
        except use.Unfit as reason:
            if settings.prebuilt_use == "require":
                raise ConfigError(
                    f"prebuilt files are required, but {reason}", remedy="Build with `-C pagefit.prebuilt=auto`."
                ) from None
            say(f"compiling: {reason}")
            return ""
    say(f"{wheel.name} comes from prebuilt/{variant.key}, nothing was compiled")
    return wheel.name


def _compare_metadata(backend: Any, prebuilt: bytes, rest: dict[str, Any] | None, wheel: Path) -> None:
    """Raise Unfit, and take the wheel away, when the inner backend would give other metadata, or fails to say."""
    from pagefit.prebuilt.use import Unfit

    prepare = getattr(backend, "prepare_metadata_for_build_wheel", None)
    if prepare is None:
        return
    with tempfile.TemporaryDirectory(prefix="pagefit-") as scratch:
        try:
            now = Path(scratch, prepare(scratch, rest), "METADATA").read_bytes()
        except (Exception, SystemExit) as error:
            wheel.unlink()
            raise Unfit(f"the inner backend cannot say the metadata ({type(error).__name__}: {error})") from error
    if now != prebuilt:
        wheel.unlink()
        raise Unfit("the inner backend gives other metadata than the prebuilt files have")
