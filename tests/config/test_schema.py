"""Schema, reference and validation are one model, and validate-pyproject agrees with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from validate_pyproject import api, errors

from pagefit import config
from pagefit.errors import ConfigError

REFERENCE = Path(__file__).parents[2] / "docs/reference/settings.md"

GOOD: list[dict[str, Any]] = [
    {},
    {"page-size": "16K"},
    {"page-size": 16384, "exclude": ["*.so"], "unresolved": "ignore", "editable": True},
    {"backend": "hatchling.build", "backend-path": ["x"], "tarball": False, "compression": "gz", "tarball-dir": "p"},
    {"check": {"any": 1}, "prebuilt": {}},
    {"prebuilt": {"sdist": True, "from": ["dist/*.whl"], "use": "never"}},
]
BAD: list[dict[str, Any]] = [
    {"page_size": "16K"},
    {"page-size": "big"},
    {"page-size": 12},
    {"page-size": False},
    {"exclude": "*.so"},
    {"exclude": [""]},
    {"unresolved": "maybe"},
    {"editable": "true"},
    {"compression": "bz2"},
    {"tarball-dir": ""},
    {"backend": "a b"},
    {"check": 1},
    {"prebuilt": True},
    {"prebuilt": {"sdist": "yes"}},
    {"prebuilt": {"unknown": 1}},
]


def accepted_by_load(root: Path, table: dict[str, Any]) -> bool:
    # Every TOML value used here is written the same in JSON, but for the inner tables.
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items() if not isinstance(value, dict)]
    for name, inner in table.items():
        if isinstance(inner, dict):
            lines += [f"[tool.pagefit.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in inner.items())]
    (root / "pyproject.toml").write_text("\n".join(["[tool.pagefit]", *lines]))
    try:
        config.load(root)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("table", GOOD + BAD, ids=json.dumps)
def test_the_schema_and_the_validation_agree(tmp_path: Path, table: dict[str, Any]) -> None:
    good = table in GOOD
    assert accepted_by_load(tmp_path, table) is good
    assert jsonschema.Draft7Validator(config.schema()).is_valid(table) is good


def test_validate_pyproject_finds_the_schema_and_uses_it() -> None:
    validator = api.Validator()
    assert validator({"tool": {"pagefit": {"page-size": "64K"}}})
    with pytest.raises(errors.ValidationError, match="page_size"):
        validator({"tool": {"pagefit": {"page_size": "64K"}}})


def test_the_reference_lists_every_key_as_the_model_describes_it() -> None:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, key in config.keys().items():
        default = f"`{key.default}`" if key.default else "–"
        rows.append(f"| `{name}` | {key.kind.expected} | {default} | {key.meaning} |")
    assert "\n".join(rows) in REFERENCE.read_text(encoding="utf-8")
