"""Settings come from pyproject.toml, the front end overrides them, and mistakes are answered with what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pagefit import config
from pagefit.config import Settings
from pagefit.errors import ConfigError


def load(root: Path, toml: str, config_settings: dict[str, Any] | None = None) -> tuple[Settings, Any]:
    (root / "pyproject.toml").write_text(f"[tool.pagefit]\n{toml}")
    return config.load(root, config_settings)


def test_no_pyproject_and_no_table_mean_the_defaults(tmp_path: Path) -> None:
    assert config.load(tmp_path) == (Settings(), None)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert config.load(tmp_path)[0] == Settings(page_size=65536, unresolved="error", tarball=True, compression="xz")


def test_every_key_is_read(tmp_path: Path) -> None:
    settings, _ = load(
        tmp_path,
        """
        backend = "in_tree:api.hooks"
        backend-path = ["build"]
        page-size = "16k"
        exclude = ["*/vendor/*.so"]
        unresolved = "warn"
        editable = true
        tarball = false
        compression = "zst"
        tarball-dir = "out"
        """,
    )
    assert settings == Settings(
        backend="in_tree:api.hooks",
        backend_path=("build",),
        page_size=16384,
        exclude=("*/vendor/*.so",),
        unresolved="warn",
        editable=True,
        tarball=False,
        compression="zst",
        tarball_dir="out",
    )


def test_tables_of_other_modules_are_left_to_them(tmp_path: Path) -> None:
    assert load(tmp_path, "[tool.pagefit.check]\nany = 1\n[tool.pagefit.prebuilt]\nsdist = true\n")[0] == Settings(
        prebuilt_sdist=True
    )


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("page_size = '64K'", r"unknown key `page_size`. Did you mean `page-size`\?"),
        ("excludes = []", r"unknown key `excludes`. Did you mean `exclude`\?"),
        ("zzz = 1", r"unknown key `zzz`. Known are `backend`, `backend-path`, `page-size`.*`check`\."),
        ("page-size = '48K'", r"`page-size` is '48K'. It must be a power of two from 4K up"),
        ("page-size = '2K'", r"`page-size` is '2K'"),
        ("page-size = 4097", r"`page-size` is 4097"),
        ("page-size = true", r"`page-size` is True"),
        ("page-size = 65536.0", r"`page-size` is 65536.0"),
        ("exclude = '*.so'", r"`exclude` is '\*.so'. It must be an array of glob patterns"),
        ("exclude = [1]", r"`exclude` is \[1\]"),
        ("unresolved = 'fail'", r"`unresolved` is 'fail'. It must be \"error\", \"warn\" or \"ignore\""),
        ("editable = 'true'", r"`editable` is 'true'. It must be true or false"),
        ("compression = ['xz']", r"`compression` is \['xz'\]"),
        ("tarball-dir = ''", r"`tarball-dir` is ''. It must be a folder"),
        ("backend = 'not a module'", r"`backend` is 'not a module'. It must be \"module\" or \"module:object\""),
        ("backend = 'a:b:c'", r"`backend` is 'a:b:c'"),
        ("prebuilt = true", r"`prebuilt` is True, not a table. Write \[tool.pagefit.prebuilt\]"),
        ("prebuilt.sdist = 1", r"`prebuilt.sdist` is 1. It must be true or false"),
        ("prebuilt.form = []", r"unknown key `prebuilt.form`. Did you mean `prebuilt.from`\?"),
        ("check = true", r"`check` is True, not a table. Write \[tool.pagefit.check\]"),
    ],
)
def test_a_mistake_in_pyproject_is_named_with_what_was_expected(tmp_path: Path, toml: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"^\[tool\.pagefit\] in pyproject\.toml: " + message):
        load(tmp_path, toml)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[tool", r"pyproject\.toml: cannot be read: "),
        ("tool.pagefit = 1", r"pyproject\.toml: `tool\.pagefit` is not a table"),
    ],
)
def test_a_pyproject_that_cannot_be_used_is_named(tmp_path: Path, document: str, message: str) -> None:
    (tmp_path / "pyproject.toml").write_text(document)
    with pytest.raises(ConfigError, match=message):
        config.load(tmp_path)


def test_config_settings_override_and_the_rest_is_forwarded_untouched(tmp_path: Path) -> None:
    many = ["-Da=1", "-Db=2"]
    given = {"pagefit.page-size": "16K", "setup-args": many, "editable-verbose": True, "builddir": "b"}
    settings, rest = load(tmp_path, "page-size = '64K'\nunresolved = 'warn'", given)
    assert (settings.page_size, settings.unresolved) == (16384, "warn")
    assert rest == {"setup-args": many, "editable-verbose": True, "builddir": "b"}
    assert rest["setup-args"] is many
    assert "pagefit.page-size" in given


def test_none_stays_none_and_empty_stays_empty(tmp_path: Path) -> None:
    assert load(tmp_path, "")[1] is None
    assert load(tmp_path, "", {})[1] == {}
    assert load(tmp_path, "", {"pagefit.tarball": "false"})[1] == {}


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("exclude", "*.so", "exclude", ("*.so",)),
        ("exclude", ["*.so", "b/*"], "exclude", ("*.so", "b/*")),
        ("page-size", ["4K"], "page_size", 4096),
        ("tarball", "false", "tarball", False),
        ("tarball", "True", "tarball", True),
        ("editable", True, "editable", True),
        ("tarball-dir", "a/b", "tarball_dir", "a/b"),
        ("prebuilt", "require", "prebuilt_use", "require"),
        ("prebuilt.use", "never", "prebuilt_use", "never"),
    ],
)
def test_config_settings_are_strings_lists_or_booleans(
    tmp_path: Path, name: str, value: object, field: str, expected: object
) -> None:
    settings, _ = load(tmp_path, "", {f"pagefit.{name}": value})
    assert getattr(settings, field) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pagefit.page_size": "4K"}, r"unknown key `pagefit\.page_size`. Did you mean `pagefit\.page-size`\?"),
        ({"pagefit.page-size": "3K"}, r"`pagefit\.page-size` is '3K'. It must be a power of two"),
        ({"pagefit.page-size": ["4K", "16K"]}, r"`pagefit\.page-size` is \['4K', '16K'\]: given 2 times. Give it once"),
        ({"pagefit.page-size": True}, r"`pagefit\.page-size` is True"),
        ({"pagefit.tarball": "maybe"}, r"`pagefit\.tarball` is 'maybe'. It must be true or false"),
        ({"pagefit.backend": "x"}, r"`pagefit\.backend` cannot be given by the front end. Set it in \[tool\.pagefit\]"),
        (
            {"pagefit.prebuilt": "always"},
            r"`pagefit\.prebuilt` is 'always'. It must be \"auto\", \"never\" or \"require\"",
        ),
        ({"pagefit.": "x"}, r"unknown key `pagefit\.`"),
        ({"pagefit.exclude": 3}, r"`pagefit\.exclude` is 3"),
    ],
)
def test_a_mistake_in_a_config_setting_is_named(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=r"^config settings: " + message):
        load(tmp_path, "", given)
