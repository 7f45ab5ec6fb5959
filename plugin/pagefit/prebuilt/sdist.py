"""Putting variants into a source distribution, behind what the inner backend put there."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from pagefit.atomic import replacing
from pagefit.containers.tarball import source_date
from pagefit.errors import ConfigError, InputError
from pagefit.prebuilt import source
from pagefit.prebuilt.variant import ARCHIVE, MANIFEST, Variant, from_artifact


def artifacts(root: Path, patterns: Sequence[str]) -> list[Path]:
    """The wheels and tarballs that `from = [...]` names, relative to the project.

    Raises ConfigError when a pattern names none.
    """
    found: list[Path] = []
    for pattern in patterns:
        given = Path(pattern)
        matches = [given] if given.is_absolute() else sorted(root.glob(pattern))
        named = [path for path in matches if path.is_file()]
        if not named:
            raise ConfigError(
                f"`from` names {pattern!r}, and there is no such file",
                where="[tool.pagefit.prebuilt] in pyproject.toml",
                remedy="Put the wheels of all platforms there first, as cibuildwheel makes them.",
            )
        found += named
    return found


def add(sdist: Path, built: Sequence[Path]) -> tuple[Variant, ...]:
    """Add `prebuilt/KEY/` for each wheel to an sdist, in place and atomically; what was added.

    The wheels are taken to be built from the very files of this sdist: their digests go into the manifests. Members
    that were there stay, with their times and modes. Raises InputError for a broken sdist or wheel, and when a wheel
    is of another project or version, or two are for the same platform.
    """
    files = source.of_sdist(sdist)
    stem = sdist.name.removesuffix(".tar.gz")
    variants: dict[str, tuple[Variant, bytes]] = {}
    for wheel in built:
        variant, packed = from_artifact(wheel, files)
        if "-".join(wheel.name.split("-")[:2]).lower() != stem.lower():
            raise InputError(f"is not a wheel of {stem}", where=wheel.name, remedy="Build it from this source.")
        if variant.key in variants:
            raise InputError(f"a second wheel for {variant.key}", where=wheel.name, remedy="Keep one of them.")
        variants[variant.key] = (variant, packed)
    _append(sdist, stem, [variants[key] for key in sorted(variants)])
    return tuple(variant for variant, _ in variants.values())


def _append(sdist: Path, folder: str, variants: Sequence[tuple[Variant, bytes]]) -> None:
    epoch = source_date()
    # The name and time in a gzip header would make the same sdist differ from build to build.
    with (
        replacing(sdist) as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=epoch) as packed,
        tarfile.open(sdist) as old,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in old:
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
        for variant, archive in variants:
            for path, data in ((MANIFEST, variant.to_json().encode()), (ARCHIVE, archive)):
                entry = tarfile.TarInfo(f"{folder}/prebuilt/{variant.key}/{path}")
                entry.size, entry.mtime, entry.mode = len(data), epoch, 0o644
                new.addfile(entry, io.BytesIO(data))
