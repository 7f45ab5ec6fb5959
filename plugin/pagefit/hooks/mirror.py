"""What a front end sees: the inner backend's own attributes, with its hooks wrapped.

Looked up at each access and in each process (PEP 562), because backends hide and show hooks by environment: a front end
must see exactly the hooks the inner backend has now. Nothing is made up: no `prepare_metadata_*` where there is none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pagefit import config
from pagefit.config import ConfigSettings, Settings
from pagefit.hooks import inner
from pagefit.hooks.console import errors_as_sentences


class Mirror:
    """The `__getattr__` and `__dir__` of a backend module."""

    def __init__(self, preset: inner.Preset) -> None:
        self._preset = preset

    def attribute(self, name: str) -> Any:
        """Return the inner backend's attribute, wrapped if it is a hook; raise AttributeError if it has none."""
        if name == "__all__":  # lets an in-tree backend start with `from pagefit.setuptools import *`
            return self.names()
        if name.startswith("_"):
            raise AttributeError(f"module {self._preset.module!r} has no attribute {name!r}")
        backend = self._backend()
        return getattr(Hooks(backend), name, getattr(backend, name))

    def names(self) -> list[str]:
        """Return the public names of the inner backend."""
        return [name for name in dir(self._backend()) if not name.startswith("_")]

    def _backend(self) -> Any:
        root = Path.cwd()
        with errors_as_sentences():
            settings, _ = config.load(root)
            return inner.find(self._preset, settings, root)


class Hooks:
    """The hooks of PEP 517 and PEP 660 around an inner backend; signatures and results are those of the PEPs.

    Front ends call them in the project's folder, with arguments by position or by name. The inner backend gets them by
    position, and the config settings without ours.
    """

    def __init__(self, backend: Any) -> None:
        self._inner = backend

    def get_requires_for_build_sdist(self, config_settings: ConfigSettings | None = None) -> Any:
        """Forward."""
        _, rest = _load(config_settings)
        return self._inner.get_requires_for_build_sdist(rest)

    def get_requires_for_build_wheel(self, config_settings: ConfigSettings | None = None) -> Any:
        """Add to the inner backend's requirements what the prebuilt tarball needs."""
        settings, rest = _load(config_settings)
        required = self._inner.get_requires_for_build_wheel(rest)
        if settings.tarball and settings.compression == "zst" and sys.version_info < (3, 14):
            return [*required, "backports.zstd>=1"]
        return required

    def get_requires_for_build_editable(self, config_settings: ConfigSettings | None = None) -> Any:
        """Forward."""
        _, rest = _load(config_settings)
        return self._inner.get_requires_for_build_editable(rest)

    def prepare_metadata_for_build_wheel(
        self, metadata_directory: str, config_settings: ConfigSettings | None = None
    ) -> Any:
        """Forward: nothing of the metadata changes."""
        _, rest = _load(config_settings)
        return self._inner.prepare_metadata_for_build_wheel(metadata_directory, rest)

    def prepare_metadata_for_build_editable(
        self, metadata_directory: str, config_settings: ConfigSettings | None = None
    ) -> Any:
        """Forward: nothing of the metadata changes."""
        _, rest = _load(config_settings)
        return self._inner.prepare_metadata_for_build_editable(metadata_directory, rest)

    def build_sdist(self, sdist_directory: str, config_settings: ConfigSettings | None = None) -> Any:
        """Forward; with `prebuilt.sdist`, add the install sets of wheels to what the inner backend made."""
        settings, rest = _load(config_settings)
        name = self._inner.build_sdist(sdist_directory, rest)
        if settings.prebuilt_sdist:
            from pagefit.hooks import prebuilt

            def build_wheel(directory: str) -> Any:
                # As a user would get it who compiles: with the settings for wheels, not with those for this sdist.
                ours = {k: v for k, v in (config_settings or {}).items() if k.startswith("pagefit.")}
                return self.build_wheel(directory, {**ours, "pagefit.tarball": "false", "pagefit.prebuilt": "never"})

            prebuilt.into_sdist(Path(sdist_directory).absolute() / name, build_wheel, settings)
        return name

    def build_wheel(
        self,
        wheel_directory: str,
        config_settings: ConfigSettings | None = None,
        metadata_directory: str | None = None,
    ) -> Any:
        """Let the inner backend build, then make the files of its wheel fit; or take a matching prebuilt wheel."""
        settings, rest = _load(config_settings)
        if Path("prebuilt").is_dir():
            from pagefit.hooks import prebuilt

            if name := prebuilt.instead_of_building(self._inner, Path(wheel_directory).absolute(), rest, settings):
                return name

        def build() -> Any:
            return self._inner.build_wheel(wheel_directory, rest, metadata_directory)

        return _mended(build, wheel_directory, settings, tarball=settings.tarball)

    def build_editable(
        self,
        wheel_directory: str,
        config_settings: ConfigSettings | None = None,
        metadata_directory: str | None = None,
    ) -> Any:
        """Forward, or with `editable = true` do as `build_wheel` does, without a tarball."""
        settings, rest = _load(config_settings)

        def build() -> Any:
            return self._inner.build_editable(wheel_directory, rest, metadata_directory)

        return _mended(build, wheel_directory, settings, tarball=False) if settings.editable else build()


def _load(config_settings: ConfigSettings | None) -> tuple[Settings, dict[str, Any] | None]:
    with errors_as_sentences():
        return config.load(Path.cwd(), config_settings)


def _mended(build: Callable[[], Any], wheel_directory: str, settings: Settings, *, tarball: bool) -> Any:
    if sys.platform != "linux":
        return build()
    from pagefit.hooks import wheel

    return wheel.build(build, Path(wheel_directory).absolute(), settings, tarball=tarball)
