"""Other backends than the presets: pure projects pass through pip, build and uv byte for byte."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from support import frontends
from support.projects import write_project


def project(build_backend: str, requires: str, inner: str = "") -> str:
    table = f"[tool.pagefit]\nbackend = {inner}" if inner else ""
    return f"""
[build-system]
requires = ["{requires}", "pagefit"]
build-backend = "{build_backend}"

[project]
name = "plain"
version = "1"
description = "A module"

{table}
"""


HATCHLING = {"pyproject.toml": project("pagefit.backend", "hatchling", '"hatchling.build"'), "plain/__init__.py": ""}
#: For each backend: with pagefit, and without.
PAIRS = {
    "hatchling": (HATCHLING, HATCHLING | {"pyproject.toml": project("hatchling.build", "hatchling")}),
    "flit_core": (
        {"pyproject.toml": project("pagefit.backend", "flit_core", '"flit_core.buildapi"'), "plain.py": ""},
        {"pyproject.toml": project("flit_core.buildapi", "flit_core"), "plain.py": ""},
    ),
    "setuptools": (
        {"pyproject.toml": project("pagefit.setuptools", "setuptools"), "plain.py": ""},
        {"pyproject.toml": project("setuptools.build_meta", "setuptools"), "plain.py": ""},
    ),
}


@pytest.mark.parametrize("frontend", frontends.NAMES)
@pytest.mark.parametrize("backend", PAIRS)
def test_a_pure_wheel_is_what_the_inner_backend_builds(tmp_path: Path, frontend: str, backend: str) -> None:
    wheels = []
    for side, files in zip(("with", "without"), PAIRS[backend], strict=True):
        folder = write_project(tmp_path / side, files)
        built = frontends.build_wheel(
            frontend, folder, tmp_path / side / "out", env={"SOURCE_DATE_EPOCH": "1700000000"}
        )
        assert built.wheel, built.output
        assert "pagefit: " not in built.output
        wheels.append(built.wheel)
    assert wheels[0].name == wheels[1].name
    assert wheels[0].read_bytes() == wheels[1].read_bytes()


@pytest.mark.parametrize("frontend", frontends.NAMES)
def test_front_ends_show_our_sentence_and_no_traceback_of_ours(tmp_path: Path, frontend: str) -> None:
    folder = write_project(tmp_path / "a", HATCHLING)
    built = frontends.build_wheel(frontend, folder, tmp_path / "out", config_settings={"pagefit.page_size": "4K"})
    assert built.returncode != 0
    assert built.wheel is None
    sentence = "pagefit: error: config settings: unknown key `pagefit.page_size`. Did you mean `pagefit.page-size`?"
    assert sentence in built.output
    assert "pagefit/hooks" not in built.output


#: Puts the config settings it was given into the wheel.
SETTINGS_IN_WHEEL = """
    import json, zipfile
    from pathlib import Path

    def build_sdist(directory, settings=None):
        raise NotImplementedError

    def build_wheel(directory, settings=None, metadata=None):
        name = "plain-1-py3-none-any.whl"
        with zipfile.ZipFile(Path(directory, name), "w") as wheel:
            wheel.writestr("settings.json", json.dumps(settings))
            wheel.writestr("plain-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: plain\\nVersion: 1\\n")
            wheel.writestr("plain-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
            wheel.writestr("plain-1.dist-info/RECORD", "")
        return name
"""


@pytest.mark.parametrize("frontend", frontends.NAMES)
def test_repeated_config_settings_reach_an_in_tree_backend(tmp_path: Path, frontend: str) -> None:
    pyproject = project("pagefit.backend", "setuptools", '"inner"\nbackend-path = ["in tree"]')
    folder = write_project(tmp_path / "a", {"pyproject.toml": pyproject, "in tree/inner.py": SETTINGS_IN_WHEEL})
    given: dict[str, str | list[str]] = {"one": "1", "many": ["x", "y=z"], "pagefit.exclude": ["a", "b"]}
    built = frontends.build_wheel(frontend, folder, tmp_path / "out", config_settings=given)
    assert built.wheel, built.output
    with zipfile.ZipFile(built.wheel) as wheel:
        assert json.loads(wheel.read("settings.json")) == {"one": "1", "many": ["x", "y=z"]}
