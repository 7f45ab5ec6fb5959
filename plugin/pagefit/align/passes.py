"""The passes over one ELF file: judge, leave or mend, judge again.

An engine is trusted only as far as the judge agrees with its result; a result that is not better is thrown away.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial

from pagefit.align.outcome import Action, Outcome
from pagefit.containers.member import open_file
from pagefit.elf import constants as c
from pagefit.elf.headers import read_image
from pagefit.errors import OutputError, PagefitError, Refused
from pagefit.loaders.judge import judge
from pagefit.loaders.verdict import Verdict, format_page_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import StrPath

    from pagefit.align.outcome import Relinker, Request
    from pagefit.containers.member import Member
    from pagefit.elf.headers import Image
    from pagefit.loaders.verdict import Judgement


def assess(member: Member, name: str, request: Request) -> Outcome:
    """Judge one file by its first bytes: most files of most wheels fit, and those must cost nothing.

    `name` is its path inside the container. The outcome is LEFT, EXCLUDED or, for a file that needs mending, REFUSED
    without a reason yet. Raises InputError when `member` is not a readable ELF file.
    """
    image = read_image(member.read_at, member.size, where=member.path)
    judged = judge(image, member.read_at, page_sizes=request.page_sizes if request.everywhere else None)
    if all(judged.at(size).loads for size in request.page_sizes) and not _to_be_shrunk(image, member, request):
        return Outcome(name, Action.LEFT, image, judged)
    # The user's word comes before any engine: an excluded file is reported, never touched.
    if request.excludes(name):
        return Outcome(name, Action.EXCLUDED, image, judged)
    return Outcome(name, Action.REFUSED, image, judged)


def mend(assessed: Outcome, source: StrPath, target: StrPath, request: Request) -> Outcome:
    """Bring the file `source`, which `assess` found wanting, to `target` so that it loads at every page size asked for.

    `target` is left behind only when the outcome is MENDED; `source` is never touched. Raises OutputError when `target`
    cannot be written.
    """
    reasons = []
    for engine, write in _attempts(assessed.before, source, request):
        try:
            mended = write(source, target, request.page_size)
            after, judged = _proven(assessed, target, request)
        except Refused as refusal:
            _discard(target)
            # Where it was seen is a scratch file, which nobody knows.
            sentences = str(PagefitError(refusal.what, remedy=refusal.remedy))
            reasons.append(f"{engine}: {sentences.removesuffix('.')}")
            continue
        except OutputError:
            raise
        except Exception as error:  # an engine's defect must not cost the build, nor the engines after it
            _discard(target)
            reasons.append(f"{engine}: a defect of pagefit, please report it ({type(error).__name__}: {error})")
            continue
        return assessed._replace(
            action=Action.MENDED,
            after=after,
            judged_after=judged,
            engine=engine,
            detail=mended.summary,
            provenance=mended.provenance,
        )
    return assessed.refused(
        "; ".join(reasons) or "relink: there is no journal of recorded links; give one, or take another engine"
    )


def _discard(target: StrPath) -> None:
    with suppress(FileNotFoundError):
        os.unlink(target)


def _to_be_shrunk(image: Image, member: Member, request: Request) -> bool:
    """Whether the user wants exactly this alignment of one of Guile's object files, which has another."""
    if not request.exactly or all(load.align == request.page_size for load in image.loads):
        return False
    from pagefit import guile

    return guile.is_guile(image, member.read_at)


def _attempts(image: Image, source: StrPath, request: Request) -> Iterator[tuple[str, Relinker]]:
    """The ways to mend this file, best first: its recorded link is exact, everything else has to be proven."""
    # No machine's code: only such files can be Guile's, whose formats take longer to import than a file to mend.
    if image.header.machine == c.EM_NONE:
        from pagefit import guile

        if guile.is_guile(image, open_file(source).read_at):
            yield "guile", guile.realign
            return
    if request.engine != "realign" and request.relink is not None:
        yield "relink", request.relink
    if request.engine != "relink":
        from pagefit import realign

        yield "realign", partial(realign.realign, layout=request.layout, drop_debug=request.drop_debug)


def _proven(assessed: Outcome, target: StrPath, request: Request) -> tuple[Image, Judgement]:
    """Judge a result afresh, at every page size; raise Refused unless it loads at all of them and is nowhere worse."""
    file = open_file(target)
    after = read_image(file.read_at, file.size, where=assessed.path)
    judged = judge(after, file.read_at, page_sizes=request.page_sizes)
    for (loader, page_size), verdict in sorted(judged.verdicts.items()):
        was = assessed.judged_before.verdicts.get((loader, page_size), verdict)
        if not verdict.loads or (was.loads and verdict > max(was, Verdict.FITS)):
            pages = format_page_size(page_size)
            raise Refused(f"the result would be no better: {verdict.label} under {loader} with {pages} pages")
    return after, judged
