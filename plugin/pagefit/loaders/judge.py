"""The verdict of every loader a file meets, at every page size asked for."""

from __future__ import annotations

from functools import cache
from itertools import islice

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, ReadAt
from pagefit.loaders.audience import candidates, is_android, loaded_by_linux, settle
from pagefit.loaders.loader import BIONIC, Loader
from pagefit.loaders.machines import ANDROID_PAGE_SIZES, MACHINES
from pagefit.loaders.plain import is_plain
from pagefit.loaders.verdict import COMMON_PAGE_SIZES, Finding, Judgement, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from pagefit.loaders.model import Fault

#: Nobody reads more findings about one file, and a hostile file must not make us write more.
_FINDINGS_AT_MOST: Final = 16

_Outcome = tuple[Verdict, tuple[Finding, ...]]
_NOT_APPLICABLE: Final[_Outcome] = (Verdict.NOT_APPLICABLE, ())
_FITS: Final[_Outcome] = (Verdict.FITS, ())


def judge(image: Image, read: ReadAt, *, page_sizes: Sequence[int] | None = None) -> Judgement:
    """Judge a file by the rules of the loaders that will meet it.

    Without `page_sizes` (bytes) the common ones are judged, and those that the machine's kernels do not have are *not
    applicable*; sizes given are always judged. A file that no loader maps (an object file, GPU code) has no verdicts
    at all. Reads more than the headers (through `read`) only where bytes decide. Raises nothing of its own.
    """
    if not loaded_by_linux(image):
        if image.header.osabi == c.ELFOSABI_STANDALONE and image.header.machine == c.EM_NONE:
            return _guile(image, read, page_sizes)
        return Judgement({}, ())
    android = is_android(image, read)
    has = ANDROID_PAGE_SIZES[image.header.machine] if android else MACHINES[image.header.machine].page_sizes
    sizes = COMMON_PAGE_SIZES if page_sizes is None else tuple(dict.fromkeys(page_sizes))
    applicable = sizes if page_sizes is not None else tuple([size for size in sizes if size in has])

    loaders, perhaps = candidates(image, read, android=android)
    every = (*loaders, *perhaps)
    rounding = {loader.relro_rounds_up for loader in every}
    if not android and all(_plain_faults(image, size, up) == [] for size in applicable for up in rounding):
        # As nearly all files: no loader finds anything, so it need not be known which ones it meets.
        return _nothing_found(loaders, sizes, applicable)
    outcomes = _outcomes(image, read, every, applicable)
    fitting = [{outcomes[loader.name, size][0].loads for loader in every} for size in applicable]
    if any(len(answers) > 1 or (perhaps and False in answers) for answers in fitting):
        loaders = settle(image, read, android=android)
        missing = tuple(loader for loader in loaders if any((loader.name, size) not in outcomes for size in applicable))
        outcomes |= _outcomes(image, read, missing, applicable)

    verdicts: dict[tuple[str, int], Verdict] = {}
    findings: list[Finding] = []
    for loader in loaders:
        for size in sizes:
            verdict, found = outcomes.get((loader.name, size), _NOT_APPLICABLE)
            verdicts[loader.name, size] = verdict
            findings.extend(found)
    return Judgement(verdicts, tuple(findings))


@cache
def _nothing_found(loaders: tuple[Loader, ...], sizes: tuple[int, ...], applicable: tuple[int, ...]) -> Judgement:
    """That all of the loaders map a file as promised: one value, whatever number of files there are."""
    return Judgement(
        {
            (loader.name, size): Verdict.FITS if size in applicable else Verdict.NOT_APPLICABLE
            for loader in loaders
            for size in sizes
        },
        (),
    )


def _guile(image: Image, read: ReadAt, page_sizes: Sequence[int] | None) -> Judgement:
    # Imported late: most checks meet no Guile file.
    from pagefit.guile.format import bytecode_version
    from pagefit.loaders.guile import judge_guile

    return Judgement({}, ()) if bytecode_version(image, read) is None else judge_guile(image, read, page_sizes)


def _outcomes(
    image: Image, read: ReadAt, loaders: Iterable[Loader], page_sizes: Iterable[int]
) -> dict[tuple[str, int], _Outcome]:
    outcomes: dict[tuple[str, int], _Outcome] = {}
    for size in page_sizes:
        plain: dict[bool, list[Fault] | None] = {}
        for loader in loaders:
            up = loader.relro_rounds_up
            if up not in plain:
                plain[up] = _plain_faults(image, size, up)
            faults = plain[up]
            if faults is None:
                # Imported late: most checks meet plain files only.
                from pagefit.loaders.simulate import simulate

                faults = simulate(image, read, size, loader)
            if loader is BIONIC:
                from pagefit.loaders import bionic

                faults = [*faults, *bionic.app_check(image, size)]
            outcomes[loader.name, size] = _outcome(faults, loader, size)
    return outcomes


def _plain_faults(image: Image, page_size: int, relro_rounds_up: bool) -> list[Fault] | None:
    """What is wrong with a file that every loader maps alike; None for any other."""
    if not is_plain(image, page_size, relro_rounds_up=relro_rounds_up):
        return None
    relro = image.first(c.PT_GNU_RELRO)
    if relro is None or relro_rounds_up or not relro.vend % page_size or not relro.memsz:
        return []
    from pagefit.loaders.model import weaker

    return [weaker(relro, page_size)]


def _outcome(faults: Sequence[Fault], loader: Loader, page_size: int) -> _Outcome:
    if not faults:
        return _FITS
    # Imported late, as above.
    from pagefit.loaders.model import down

    verdict = max(fault.verdict for fault in faults)
    unique = {(fault.rule, fault.segments): fault for fault in reversed(faults)}
    findings = (
        Finding(
            fault.rule,
            loader.name,
            page_size,
            fault.verdict,
            fault.segments,
            None if fault.address is None else down(fault.address, page_size),
            fault.message,
        )
        for fault in reversed(unique.values())
    )
    return verdict, tuple(islice(findings, _FINDINGS_AT_MOST))
