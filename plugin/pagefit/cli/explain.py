"""`pagefit explain`: what a rule means."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING

from pagefit.errors import ConfigError
from pagefit.loaders.rules import RULES

if TYPE_CHECKING:
    from pagefit.cli.parser import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add the `explain` subcommand."""
    parser = subparsers.add_parser(
        "explain", help="say what a rule means and what to do", description="Explain a rule."
    )
    parser.add_argument("rules", nargs="*", metavar="RULE", help="a rule's id, such as C8; without one, all are listed")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the rules asked for, or the list."""
    if not args.rules:
        for rule in RULES.values():
            print(f"{rule.id:<4} {rule.title}")
        return 0
    for number, word in enumerate(args.rules):
        if word.upper() not in RULES:
            raise ConfigError(f"there is no rule {word!r}", remedy="`pagefit explain` lists them.")
        rule = RULES[word.upper()]
        print("\n" * (number > 0) + f"{rule.id}: {rule.title}")
        for label, text in (
            ("Condition", f"{rule.condition} (P: the page size)"),
            ("When broken", rule.consequence),
            ("What to do", rule.remedy),
            ("Source", rule.source),
        ):
            print(textwrap.fill(f"{label}: {text}", 100, initial_indent="  ", subsequent_indent="    "))
    return 0
