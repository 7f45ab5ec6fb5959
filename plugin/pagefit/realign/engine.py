"""The passes of relinking without objects: classify, place, patch, judge, write, verify."""

from __future__ import annotations

import os
import stat
from collections import Counter
from itertools import chain

from pagefit.atomic import replacing
from pagefit.elf.sections import ElfFile, mapped, open_elf
from pagefit.errors import Refused
from pagefit.loaders.judge import judge
from pagefit.loaders.verdict import COMMON_PAGE_SIZES
from pagefit.realign import signatures
from pagefit.realign.candidates import Candidate, candidates
from pagefit.realign.draft import Draft, draft
from pagefit.realign.parts import check
from pagefit.realign.patches import Patch
from pagefit.realign.report import Plan, Realigned
from pagefit.realign.verify import verify
from pagefit.realign.write import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import StrPath

    from pagefit.realign.report import Class, Layout


def plan(source: StrPath, page_size: int, *, layout: Layout, drop_debug: bool) -> Plan:
    """Implements `pagefit.realign.plan`."""
    with open_elf(source) as file:
        if _loads(file, page_size):
            return _unchanged(file, page_size, layout)
        cls, best = draft_for(file, page_size, layout, drop_debug)
        return _plan(best, cls, source, page_size, layout)


def realign(source: StrPath, target: StrPath, page_size: int, *, layout: Layout, drop_debug: bool) -> Realigned:
    """Implements `pagefit.realign.realign`."""
    with open_elf(source) as file:
        if _loads(file, page_size):
            if os.path.normpath(source) != os.path.normpath(target):
                import shutil

                shutil.copy2(source, target)
            return Realigned(_unchanged(file, page_size, layout))
        cls, best = draft_for(file, page_size, layout, drop_debug)
        with open(source, "rb") as old, replacing(target, mode=stat.S_IMODE(os.fstat(old.fileno()).st_mode)) as new:
            write(best, old, new)
            with mapped(new, where=os.fspath(source)) as after:
                verify(best, after)
                if not _loads(after, page_size):
                    raise Refused("the result was judged not to load; nothing was written", where=os.fspath(source))
        return Realigned(_plan(best, cls, source, page_size, layout))


def draft_for(file: ElfFile, page_size: int, layout: Layout, drop_debug: bool = False) -> tuple[Class, Draft]:
    """The mildest draft that loads at every page size. Raises Refused with the reason of the last that was tried."""
    check(file)
    reason = Refused("no LOAD segment can be mended", where=file.where)
    for candidate in candidates(file, page_size, layout):
        if isinstance(candidate, Refused):
            reason = candidate
            continue
        try:
            best = _patched(file, candidate, page_size, drop_debug)
        except Refused as refusal:
            reason = refusal
            continue
        if _judged(best, page_size):
            return _class(best, candidate), best
        reason = Refused(f"class {candidate.cls} does not make it load", where=file.where)
    raise reason


def _patched(file: ElfFile, candidate: Candidate, page_size: int, drop_debug: bool) -> Draft:
    if candidate.cls.startswith("a"):
        return draft(file, candidate.placed, page_size)
    # Only files whose addresses change need these imports.
    from pagefit.children import beside
    from pagefit.realign import hazards, references
    from pagefit.realign.arch import architecture
    from pagefit.realign.dwarf import is_debug

    if candidate.cls == "c":
        hazards.check(file, page_size)
    dropped = [section for section in file.sections if drop_debug and candidate.cls == "c" and is_debug(section)]
    best = draft(file, candidate.placed, page_size, dropped)
    if not best.moves.moved:
        return best

    def tables() -> tuple[Patch, ...]:
        return tuple(references.tables(file, best.moves, debug=not dropped))

    if candidate.cls != "c":
        return best.patched(tables())
    machine = architecture(file.header.machine, where=file.where)
    patches, code = beside(tables, lambda: machine.references(file, best.moves), file.image.size)
    file.forget()
    return best.patched(patches, code)


def _class(best: Draft, candidate: Candidate) -> Class:
    if candidate.cls != "a1":
        return candidate.cls
    same = all(extent.old == extent.new for extent in best.layout.extents)
    return "a0" if same and len(best.image.loads) == len(best.file.image.loads) else "a1"


def _sizes(page_size: int) -> list[int]:
    return sorted({page_size, *(size for size in COMMON_PAGE_SIZES if size < page_size)})


def _loads(file: ElfFile, page_size: int) -> bool:
    verdict = judge(
        file.image, lambda offset, length: file.data[offset : offset + length], page_sizes=_sizes(page_size)
    )
    return verdict.worst.loads


def _judged(best: Draft, page_size: int) -> bool:
    return judge(best.image, best.read, page_sizes=_sizes(page_size)).worst.loads


def _unchanged(file: ElfFile, page_size: int, layout: Layout) -> Plan:
    size = file.image.size
    return Plan(page_size, "fits", layout, (), {}, size, size)


def _plan(best: Draft, cls: Class, source: StrPath, page_size: int, layout: Layout) -> Plan:
    return Plan(
        page_size=page_size,
        cls=cls,
        layout=layout,
        moved=tuple((piece.start, piece.end, piece.delta) for piece in best.moves.moved),
        patched=_counts(best),
        old_size=best.file.image.size,
        new_size=best.layout.size,
        notes=(*signatures.notes(best.file, source), *_left_out(best)),
    )


def _counts(best: Draft) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for patch in chain(best.tables, best.code.others):
        counts[patch.kind] += patch.references
    counts[best.code.words.kind] += len(best.code.words)
    return dict(+counts)


def _left_out(best: Draft) -> list[str]:
    names = [old.name for old, new in zip(best.file.sections, best.sections, strict=True) if old.type and not new.type]
    return [f"the debugging information was left out ({', '.join(names)})"] if names else []
