"""`pagefit meson`: plain Meson projects, and live Ninja build folders of any build system."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pagefit.cli.parser import RawFormatter
from pagefit.loaders.verdict import parse_page_size

if TYPE_CHECKING:
    from pagefit.cli.parser import Subparsers

_DESCRIPTION = """\
  pagefit meson add [PROJECT]      put the subproject into PROJECT/subprojects; then write
                                   `subproject('pagefit')` into its meson.build
  pagefit meson wrap -o DIR        write a release of the subproject: pagefit.wrap and its tarball
  pagefit meson relink BUILD       relink what a Ninja build folder (Meson's, CMake's) has linked, in place
  pagefit meson prebuilt BUILD     pack the installed set of a Meson build folder
  pagefit meson hook BUILD         what the subproject runs after each configuration: relink after each compile
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the `meson` subcommand and its own subcommands."""
    parser = subparsers.add_parser(
        "meson",
        help="Meson projects and live Ninja build folders",
        description=_DESCRIPTION,
        formatter_class=RawFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    add = actions.add_parser("add", help="put the subproject into subprojects/")
    add.add_argument("project", nargs="?", type=Path, default=Path(), help="top folder of the project (default: here)")
    add.set_defaults(run=_add)

    wrap = actions.add_parser("wrap", help="write pagefit.wrap and its tarball")
    wrap.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where the two files go")
    wrap.add_argument("--url", help="where they will be fetched from; without it, subprojects/packagefiles")
    wrap.set_defaults(run=_wrap)

    relink = actions.add_parser("relink", help="relink a live Ninja build folder in place")
    relink.add_argument("--stamp", type=Path, metavar="FILE", help="note in FILE, inside BUILD, that it is done")
    relink.set_defaults(run=_relink)

    hook = actions.add_parser("hook", help="relink after each compile from now on")
    hook.set_defaults(run=_hook)
    for action in (relink, hook):
        action.add_argument("--page-size", default="64K", metavar="SIZE", help="power of two from 4K (default: 64K)")
        action.add_argument("--unresolved", choices=("error", "warn", "ignore"), default="error")

    prebuilt = actions.add_parser("prebuilt", help="pack the installed set")
    prebuilt.add_argument("-o", "--output", type=Path, metavar="DIR", help="default: BUILD/prebuilt")
    prebuilt.set_defaults(run=_prebuilt)
    for action in (relink, hook, prebuilt):
        action.add_argument("build", type=Path, metavar="BUILD", help="the build folder")


def _add(args: argparse.Namespace) -> int:
    from pagefit.meson import subproject

    print(f"{subproject.add(args.project)} is ready: write subproject('pagefit') into meson.build")
    return 0


def _wrap(args: argparse.Namespace) -> int:
    from pagefit.meson import subproject

    print(subproject.wrap(args.output, args.url))
    return 0


def _hook(args: argparse.Namespace) -> int:
    from pagefit.meson import afterbuild

    afterbuild.hook(args.build, parse_page_size(args.page_size), args.unresolved)
    return 0


def _relink(args: argparse.Namespace) -> int:
    from pagefit.meson import afterbuild
    from pagefit.report import summary

    page_size = parse_page_size(args.page_size)
    report = afterbuild.relink(args.build, page_size)
    if report.mended or report.refused:
        summary.write(report, sys.stdout)
    if report.refused and args.unresolved == "error":
        return 3
    if args.stamp is not None:
        afterbuild.stamp(args.build, args.stamp, page_size)
    return 0


def _prebuilt(args: argparse.Namespace) -> int:
    from pagefit.meson import installed

    print(installed.pack(args.build, args.output or args.build / "prebuilt"))
    return 0
