"""`pagefit pack`: the prebuilt tarball of a wheel, or of a folder's ELF files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pagefit.cli.parser import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the `pack` subcommand."""
    parser = subparsers.add_parser(
        "pack",
        help="write prebuilt tarballs",
        description="Write the ELF files of each wheel or folder, under their installed paths and behind a manifest, "
        "into {name}.prebuilt.tar.xz. The same input gives the same bytes; SOURCE_DATE_EPOCH dates the files.",
    )
    parser.add_argument("path", nargs="+", type=Path, metavar="WHEEL|FOLDER")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where the tarballs go")
    parser.add_argument("--compression", choices=("xz", "zst", "gz"), default="xz", help="default: %(default)s")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="pack everything a wheel installs into {wheel}.whole.tar.xz, for `prebuilt.from` of an sdist",
    )
    parser.add_argument("--json", action="store_true", help="say what was written as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the tarballs; 0. Raises InputError or OutputError at the first that cannot be written."""
    from pagefit.containers import tarball

    written = []
    for path in args.path:
        if args.whole:
            from pagefit.prebuilt import variant

            target = variant.pack_whole(path, args.output)
        elif path.is_dir():
            target = tarball.write_tree(
                _files(path), args.output, stem=path.resolve().name, compression=args.compression
            )
        else:
            target = tarball.write(path, args.output, compression=args.compression)
        written.append({"source": str(path), "tarball": str(target), "size": target.stat().st_size})
        if not args.json:
            print(f"{target} ({target.stat().st_size:,} bytes)")
    if args.json:
        print(json.dumps(written, indent=1))
    return 0


def _files(folder: Path) -> list[tuple[str, Path]]:
    """The regular files below a folder with their paths in it; links stay behind, as they do in wheels."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [(path.relative_to(folder).as_posix(), path) for path in files]
