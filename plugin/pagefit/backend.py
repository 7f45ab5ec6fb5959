"""The build backend around any other: `build-backend = "pagefit.backend"`.

`[tool.pagefit] backend = "module:object"` names it. The attributes here are those of that backend; see
`pagefit.hooks.mirror`.
"""

from __future__ import annotations

from pagefit.hooks.inner import Preset
from pagefit.hooks.mirror import Mirror

_mirror = Mirror(Preset("pagefit.backend"))
__getattr__ = _mirror.attribute
__dir__ = _mirror.names
