"""The build backend around setuptools: `build-backend = "pagefit.setuptools"`.

Its attributes are those of `setuptools.build_meta`; see `pagefit.hooks.mirror`.
"""

from __future__ import annotations

from pagefit.hooks.inner import Preset
from pagefit.hooks.mirror import Mirror

_mirror = Mirror(Preset("pagefit.setuptools", "setuptools.build_meta", "setuptools"))
__getattr__ = _mirror.attribute
__dir__ = _mirror.names
