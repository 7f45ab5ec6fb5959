from __future__ import annotations

from pathlib import Path

import pytest

from support.guiles import GUILES, Guile, modules


@pytest.fixture(scope="session", params=GUILES, ids=lambda guile: f"guile-{guile.version}")
def guile(request: pytest.FixtureRequest) -> Guile:
    found: Guile = request.param
    return found


@pytest.fixture(scope="session")
def linked(guile: Guile, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, Path]]:
    """The modules of `modules/`, each linked by Guile from the same objects at 8, 4K, 16K and 64K."""
    return guile.link_everywhere(tmp_path_factory.mktemp("linked"), modules())
