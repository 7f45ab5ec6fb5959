"""The build backend around meson-python: `build-backend = "pagefit.mesonpy"`.

Its attributes are those of `mesonpy`; see `pagefit.hooks.mirror`.
"""

from __future__ import annotations

from pagefit.hooks.inner import Preset
from pagefit.hooks.mirror import Mirror

_mirror = Mirror(Preset("pagefit.mesonpy", "mesonpy", "meson-python"))
__getattr__ = _mirror.attribute
__dir__ = _mirror.names
