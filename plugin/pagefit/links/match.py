"""Which recorded link made a file, although patchelf and strip may have been there since."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pagefit.elf.sections import open_elf
from pagefit.errors import Refused
from pagefit.links.facts import Facts, build_id, read_facts
from pagefit.links.inputs import digest_of
from pagefit.links.journal import Journal
from pagefit.links.recipe import Recipe, Unrecorded

# A pin's name is its content, so what was read from it once stays true.
_pinned_build_id = lru_cache(maxsize=4096)(build_id)
_pinned_facts = lru_cache(maxsize=1024)(read_facts)


def find(shipped: Path, journal: Journal) -> tuple[Recipe, Facts, Facts]:
    """The link that made `shipped`, the facts of what it wrote then, and the facts of `shipped` now.

    By SHA-256, else by GNU build-id, else by the sections that no tool changes after linking; of several, the last.
    Raises Unrecorded when there is none, Refused when the file was changed in a way a link cannot reproduce.
    """
    recipes = journal.recipes()[::-1]
    digest = digest_of(str(shipped))
    for recipe in recipes:
        if recipe.sha256 == digest:
            facts = _pinned_facts(journal.pinned(digest))
            return recipe, facts, facts
    identity, facts = build_id(shipped), read_facts(shipped)
    same_id = [r for r in recipes if identity and _pinned_build_id(journal.pinned(r.sha256)) == identity]
    linked = [(recipe, _pinned_facts(journal.pinned(recipe.sha256))) for recipe in same_id or recipes]
    same = [(recipe, was) for recipe, was in linked if (was.header, was.fixed) == (facts.header, facts.fixed)]
    if same:
        recipe, before = max(same, key=lambda one: _likeness(one[1], facts))
        return recipe, before, facts
    if same_id:
        before = _pinned_facts(journal.pinned(same_id[0].sha256))
        changed = sorted({name for name, _ in before.fixed ^ facts.fixed}) or ["the ELF header"]
        raise Refused(
            f"changed after it was linked: {', '.join(changed[:5])}",
            where=str(shipped),
            remedy="Move that change into the link, or let pagefit relink before it happens.",
        )
    raise Unrecorded("no recorded link made this file", where=str(shipped), remedy=_why_not(shipped))


def _likeness(before: Facts, now: Facts) -> tuple[bool, bool, bool]:
    """Which of several links of the same contents is meant: small libraries may differ in nothing but their name."""
    return before.soname == now.soname, before.needed == now.needed, before.dynamic_symbols == now.dynamic_symbols


def _why_not(shipped: Path) -> str:
    """Why a link may have gone unseen, as far as the file tells."""
    with open_elf(shipped) as elf:
        comment = elf.by_name.get(".comment")
        makers = elf.contents(comment) if comment else b""
        if ".note.go.buildid" in elf.by_name:
            return "Go has a linker of its own; `-ldflags=-linkmode=external` makes it use gcc's."
    if b"rustc" in makers:
        return "rustc was told which linker to run. Leave that choice out, or let it name one without -B."
    return "It was linked elsewhere, or by a linker that was named by -B or --ld-path, or without gcc and clang."
