"""pagefit makes compiled Python packages load on every page size.

The build backends are `pagefit.setuptools`, `pagefit.mesonpy` and `pagefit.backend`; the command is `pagefit`.
This module stays empty of imports: a build backend is imported in every build, also where it has nothing to do.
"""

__version__ = "0.1.0"
