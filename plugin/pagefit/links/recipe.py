"""A recorded link as data: the linker's own command, where it ran, and its inputs by content.

`shim` writes recipes; this module reads them. Not for running them: that is `replay`.
"""

from __future__ import annotations

from pathlib import Path

from pagefit.errors import InputError, Refused
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SCHEMA = 1


class Unrecorded(Refused):
    """No recorded link made this file."""


class Recipe(NamedTuple):
    """One link that has succeeded."""

    name: str
    """The folder of the record; names sort in the order of the links."""
    linker: Path
    """The real linker."""
    arguments: tuple[str, ...]
    """Its arguments, response files expanded, without the program's name."""
    directory: Path
    """The folder it ran in."""
    environment: Mapping[str, str]
    """The variables that can change what a linker does."""
    output: Path
    """Where it wrote its output, absolute."""
    sha256: str
    """The output's digest, which names its pin too."""
    inputs: Mapping[str, str | None]
    """Each input's path as the linker opened it, absolute, and its digest; None for the system's own files."""

    @classmethod
    def load(cls, folder: Path) -> Recipe:
        """Read a record. Raises InputError when it is damaged."""
        import json

        path = folder / "link.json"
        try:
            raw = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"), strict=False)
            if raw["schema"] != SCHEMA:
                raise InputError(f"schema {raw['schema']} is not {SCHEMA}", where=str(path), remedy="Record it again.")
            return cls._from(folder.name, raw)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not a recorded link: {error!r}", where=str(path), remedy="Record it again.") from error

    @classmethod
    def _from(cls, name: str, raw: Mapping[str, Any]) -> Recipe:
        return cls(
            name=name,
            linker=Path(raw["linker"]),
            arguments=tuple(str(word) for word in raw["arguments"]),
            directory=Path(raw["directory"]),
            environment={str(key): str(value) for key, value in raw["environment"].items()},
            output=Path(raw["output"]),
            sha256=str(raw["sha256"]),
            inputs={str(key): value for key, value in raw["inputs"].items()},
        )
