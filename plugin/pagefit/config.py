"""Settings: `[tool.pagefit]` of pyproject.toml, and the front end's `pagefit.*` config settings over it.

One model, `Settings`: each field carries what is expected, what it means and its JSON schema. Validation, the schema
and the reference table in docs/ come from it. The table `check` belongs to the module that reads it.
Standard library only: every hook of every build imports this.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from pagefit.errors import ConfigError
from pagefit.loaders.verdict import parse_page_size

#: What front ends pass to hooks: values are strings, lists of strings (repeated keys) or, from Python, booleans.
ConfigSettings: TypeAlias = Mapping[str, Any]

#: Tables inside `[tool.pagefit]` that other modules read and validate.
TABLES = ("check",)

#: Config settings with a short name: what front ends are asked most.
_SHORT = {"prebuilt": "prebuilt.use"}

_PREFIX = "pagefit."


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: what to call it in an error, its JSON schema, and how to read one.

    `read` takes a TOML value and returns the setting's value; it raises ValueError when the value is of another kind.
    `from_text` turns the strings of a config setting into the TOML value they stand for, with the same ValueError.
    """

    expected: str
    schema: Mapping[str, object]
    read: Callable[[object], object]
    from_text: Callable[[Sequence[str]], object]


def _one(texts: Sequence[str]) -> str:
    if len(texts) != 1:
        raise ValueError(f"given {len(texts)} times")
    return texts[0]


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError
    return tuple(_text(item) for item in value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _flag_text(texts: Sequence[str]) -> object:
    return {"true": True, "false": False}.get(_one(texts).lower())


def _page_size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError
    try:
        return parse_page_size(str(value))
    except ConfigError as error:
        raise ValueError from error


_OBJECT_REFERENCE = r"^[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?$"


def _object_reference(value: object) -> str:
    if not re.match(_OBJECT_REFERENCE, _text(value)):
        raise ValueError
    return _text(value)


def _choice(*choices: str) -> Kind:
    def read(value: object) -> object:
        if value not in choices:
            raise ValueError
        return value

    expected = " or ".join([", ".join(f'"{choice}"' for choice in choices[:-1]), f'"{choices[-1]}"'])
    return Kind(expected, {"enum": list(choices)}, read, _one)


_STRINGS: Mapping[str, object] = {"type": "array", "items": {"type": "string", "minLength": 1}}

FLAG = Kind("true or false", {"type": "boolean"}, _flag, _flag_text)
GLOBS = Kind('an array of glob patterns such as ["*/vendor/*.so"]', _STRINGS, _texts, list)
FOLDER = Kind("a folder", {"type": "string", "minLength": 1}, _text, _one)
FOLDERS = Kind('an array of folders such as ["build_backend"]', _STRINGS, _texts, list)
BACKEND = Kind('"module" or "module:object"', {"type": "string", "pattern": _OBJECT_REFERENCE}, _object_reference, _one)
PAGE_SIZE = Kind(
    'a power of two from 4K up, such as "64K"',
    {
        "anyOf": [
            {"type": "string", "pattern": "^[0-9]+[KkMm]?$"},
            {"type": "integer", "minimum": 4096},
        ]
    },
    _page_size,
    _one,
)


@dataclass(frozen=True, slots=True)
class Key:
    """What the reference says about one setting. `default` is as one writes it in TOML, or empty."""

    kind: Kind
    meaning: str
    default: str
    #: Whether the front end may override it; what a hook is asked for before it gets config settings cannot be.
    overridable: bool = True


def _key(kind: Kind, value: object, default: str, meaning: str, *, overridable: bool = True, table: str = "") -> Any:
    return field(default=value, metadata={"key": Key(kind, meaning, default, overridable), "table": table})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of the build backend. `[tool.pagefit]` writes `-` for `_`, and `.` after the name of a table."""

    backend: str | None = _key(
        BACKEND,
        None,
        "",
        'The backend that builds the wheel. Required with `build-backend = "pagefit.backend"`, and only there.',
        overridable=False,
    )
    backend_path: tuple[str, ...] = _key(
        FOLDERS,
        (),
        "[]",
        "Folders of the project from which an in-tree `backend` is imported (PEP 517 `backend-path`, for `backend`).",
        overridable=False,
    )
    page_size: int = _key(
        PAGE_SIZE, 65536, '"64K"', "The page size to make every file fit; all smaller page sizes then fit, too."
    )
    exclude: tuple[str, ...] = _key(
        GLOBS, (), "[]", "Files of the wheel to leave as they are: glob patterns over paths inside the wheel."
    )
    unresolved: Literal["error", "warn", "ignore"] = _key(
        _choice("error", "warn", "ignore"),
        "error",
        '"error"',
        "What to do when a file does not fit and cannot be mended: fail the build, say so in the report, or nothing.",
    )
    editable: bool = _key(
        FLAG,
        False,
        "false",
        "Whether the wheel of an editable install is treated, too. Files a backend builds in place never are.",
    )
    tarball: bool = _key(FLAG, True, "true", "Whether to write the prebuilt tarball after a wheel with ELF files.")
    compression: Literal["xz", "zst", "gz"] = _key(
        _choice("xz", "zst", "gz"), "xz", '"xz"', "How the prebuilt tarball is compressed."
    )
    tarball_dir: str | None = _key(
        FOLDER,
        None,
        "",
        "Where the prebuilt tarball goes. Without it: `build/prebuilt/` beside a wheel folder called `dist`, "
        "else `pagefit/prebuilt/` in the user's cache, which keeps the newest 1 GiB.",
    )
    prebuilt_sdist: bool = _key(
        FLAG,
        False,
        "false",
        "Whether the sdist carries the install sets of wheels in `prebuilt/`, for builds without a compiler.",
        table="prebuilt",
    )
    prebuilt_from: tuple[str, ...] = _key(
        GLOBS,
        (),
        "[]",
        "The wheels, or prebuilt tarballs made with `pagefit pack --whole`, that the sdist carries: glob patterns "
        "relative to the project. Without any, one is built.",
        table="prebuilt",
    )
    prebuilt_use: Literal["auto", "never", "require"] = _key(
        _choice("auto", "never", "require"),
        "auto",
        '"auto"',
        "Whether a build from an sdist with prebuilt files uses them: where they match, never, or else it fails.",
        table="prebuilt",
    )


def keys() -> dict[str, Key]:
    """Every setting by the name used in `[tool.pagefit]`."""
    return {name: key for name, (_, key) in _fields().items()}


def _fields() -> dict[str, tuple[str, Key]]:
    """The attribute and the key of every setting, by the name used in `[tool.pagefit]`."""
    found = {}
    for one in fields(Settings):
        table = one.metadata["table"]
        name = one.name.removeprefix(f"{table}_").replace("_", "-")
        found[f"{table}.{name}" if table else name] = (one.name, cast("Key", one.metadata["key"]))
    return found


def load(root: Path, config_settings: ConfigSettings | None = None) -> tuple[Settings, dict[str, Any] | None]:
    """Read the settings of the project in `root`, and split off the config settings that are not ours.

    Returns the settings and what to forward: the other entries with their values untouched, None for None.
    Raises ConfigError for an unknown key, a value of another kind, or a pyproject.toml that cannot be parsed.
    """
    settings = _apply(Settings(), _table(root), where="[tool.pagefit] in pyproject.toml")
    if config_settings is None:
        return settings, None
    ours = {name[len(_PREFIX) :]: value for name, value in config_settings.items() if name.startswith(_PREFIX)}
    rest = {name: value for name, value in config_settings.items() if not name.startswith(_PREFIX)}
    return _override(settings, ours), rest


def schema(_tool_name: str = "pagefit") -> dict[str, object]:
    """The JSON schema (draft 7) of `[tool.pagefit]`; the entry point that validate-pyproject asks for."""
    properties: dict[str, Any] = {name: {"type": "object"} for name in TABLES}
    for full, key in keys().items():
        table, _, name = full.rpartition(".")
        inside = properties
        if table:
            inner = {"type": "object", "additionalProperties": False, "properties": {}}
            inside = properties.setdefault(table, inner)["properties"]
        inside[name] = {"description": key.meaning, **key.kind.schema}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "urn:pagefit:tool.pagefit",
        "title": "pagefit",
        "description": "Settings of the pagefit build backend.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _table(root: Path) -> Mapping[str, object]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    path = root / "pyproject.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path)) from error
    tool = document.get("tool", {})
    table = tool.get("pagefit", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError("`tool.pagefit` is not a table", where=str(path), remedy="Write it as [tool.pagefit].")
    return table


def _apply(settings: Settings, table: Mapping[str, object], *, where: str) -> Settings:
    known = keys()
    tables = {*TABLES, *(name.rpartition(".")[0] for name in known if "." in name)}
    changes: dict[str, object] = {}
    for name, value in table.items():
        items = {name: value}
        if name in tables:
            if not isinstance(value, dict):
                raise ConfigError(
                    f"`{name}` is {value!r}, not a table", where=where, remedy=f"Write [tool.pagefit.{name}]."
                )
            items = {} if name in TABLES else {f"{name}.{inner}": item for inner, item in value.items()}
        for full, item in items.items():
            if full not in known:
                raise _unknown(full, [*known, *TABLES], where)
            changes[full] = _read(known[full].kind, item, name=full, shown=item, where=where)
    return _replace(settings, changes)


def _override(settings: Settings, given: Mapping[str, object]) -> Settings:
    where = "config settings"
    known = keys()
    changes: dict[str, object] = {}
    for short, value in given.items():
        name = _SHORT.get(short, short)
        full = _PREFIX + short
        if name not in known:
            overridable = [_PREFIX + other for other, key in known.items() if key.overridable]
            raise _unknown(full, overridable, where)
        if not known[name].overridable:
            raise ConfigError(
                f"`{full}` cannot be given by the front end", where=where, remedy="Set it in [tool.pagefit]."
            )
        kind = known[name].kind
        try:
            toml = value if isinstance(value, bool) else kind.from_text([value] if isinstance(value, str) else value)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise ConfigError(f"`{full}` is {value!r}: {error}", where=where, remedy="Give it once.") from error
        changes[name] = _read(kind, toml, name=full, shown=value, where=where)
    return _replace(settings, changes)


def _read(kind: Kind, value: object, *, name: str, shown: object, where: str) -> object:
    try:
        return kind.read(value)
    except ValueError as error:
        raise ConfigError(f"`{name}` is {shown!r}", where=where, remedy=f"It must be {kind.expected}.") from error


def _replace(settings: Settings, changes: Mapping[str, object]) -> Settings:
    attributes = _fields()
    arguments: dict[str, Any] = {attributes[name][0]: value for name, value in changes.items()}
    return replace(settings, **arguments)


def _unknown(name: str, known: Iterable[str], where: str) -> ConfigError:
    # Imported late: it takes as long as all of this module, which every hook of every build imports.
    import difflib

    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    remedy = f"Did you mean `{close[0]}`?" if close else f"Known are {', '.join(f'`{one}`' for one in known)}."
    return ConfigError(f"unknown key `{name}`", where=where, remedy=remedy)
