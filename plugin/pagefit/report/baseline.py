"""Known exceptions: findings a project has decided to live with, by path and rule.

They are in `pagefit-baseline.toml` or under `[tool.pagefit.check]` of pyproject.toml:

    [[exceptions]]                    # in pyproject.toml: [[tool.pagefit.check.exceptions]]
    path = "vendor/*.so"
    rules = ["C1", "C2"]
    reason = "waiting for release 2.1 of the vendor"
"""

from __future__ import annotations

import os
import sys

from pagefit.errors import ConfigError
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

FILE_NAME: Final = "pagefit-baseline.toml"
_PROJECT: Final = "pyproject.toml"
_KEYS: Final = {"path", "rules", "reason"}

#: Stands among the rules for "cannot be judged": test data is often broken on purpose.
UNREADABLE: Final = "unreadable"


class Known(NamedTuple):
    """One exception: a glob for the path, the rules it excuses (all when empty), and why."""

    path: str
    rules: tuple[str, ...] = ()
    reason: str = ""

    def matches(self, path: str, rule: str) -> bool:
        """Whether this excuses a file of that path (names joined with `!`) for that rule, or for being `UNREADABLE`.

        The glob is compared with the whole path and with each part of it that follows a `!` or `/`.
        """
        return (not self.rules or rule in self.rules) and _glob(self.path, path)


def _glob(pattern: str, path: str) -> bool:
    # Imported late, as is all that only a baseline needs: most checks have none.
    from fnmatch import fnmatchcase

    starts = [0, *(place + 1 for place, letter in enumerate(path) if letter in "!/")]
    return any(fnmatchcase(path[start:], pattern) for start in starts)


def load(path: str | None = None) -> tuple[Known, ...]:
    """Read the exceptions: from `path`, else from the working folder's baseline file, else from its pyproject.toml.

    Raises ConfigError for a file that is missing though named, is no TOML, or has other keys than it should.
    """
    if path is not None:
        return _parse(_toml(path), path)
    if os.path.isfile(FILE_NAME):
        return _parse(_toml(FILE_NAME), FILE_NAME)
    if os.path.isfile(_PROJECT) and _has_table(_content(_PROJECT)):
        table = _toml(_PROJECT).get("tool", {}).get("pagefit", {}).get("check", {})
        return _parse(table, f"{_PROJECT} [tool.pagefit.check]")
    return ()


def _has_table(project: bytes) -> bool:
    """Whether a pyproject.toml can have a table `tool.pagefit`; importing a parser takes as long as a small check."""
    text = project.translate(None, b" \t'\"")
    return b"pagefit" in text and any(start in text for start in (b"tool.pagefit", b"[tool]", b"tool="))


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=path) from error


def _toml(path: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        table: dict[str, Any] = tomllib.loads(_content(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=path) from error
    return table


def _parse(table: Mapping[str, Any], where: str) -> tuple[Known, ...]:
    if unknown := set(table) - {"exceptions"}:
        raise ConfigError(f"unknown key {min(unknown)!r}", where=where, remedy="The only key is `exceptions`.")
    entries = table.get("exceptions", [])
    if not isinstance(entries, list):
        raise ConfigError("`exceptions` is not an array of tables", where=where, remedy="Write `[[exceptions]]`.")
    return tuple(_known(entry, f"{where}: exception {number}") for number, entry in enumerate(entries, 1))


def _known(entry: object, where: str) -> Known:
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        raise ConfigError("no `path`", where=where, remedy='Give a glob such as path = "vendor/*.so".')
    if unknown := set(entry) - _KEYS:
        raise ConfigError(
            f"unknown key {min(unknown)!r}", where=where, remedy=f"The keys are {', '.join(sorted(_KEYS))}."
        )
    from pagefit.loaders.rules import RULES

    rules = entry.get("rules", [])
    if not isinstance(rules, list) or not all(rule in RULES or rule == UNREADABLE for rule in rules):
        raise ConfigError("`rules` is not a list of rule ids", where=where, remedy="`pagefit explain` lists them.")
    return Known(entry["path"], tuple(rules), str(entry.get("reason", "")))
