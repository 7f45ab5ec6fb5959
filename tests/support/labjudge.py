"""Compare the judge's verdict on a file with what a loader made of it."""

from __future__ import annotations

from pathlib import Path

from pagefit.loaders.judge import judge
from pagefit.loaders.verdict import Judgement, Verdict
from support import labelf
from support.laboutcome import Outcome

#: The judge's name of each loader of the lab.
NAMES = {"glibc": "glibc>=2.35", "glibc-2.31": "glibc<2.35", "musl": "musl"}


def judgement(path: Path, page_size: int) -> Judgement:
    """What the judge says of a file at one page size (bytes), whatever its machine's kernels have."""
    data = path.read_bytes()
    return judge(labelf.parse(data), lambda offset, length: data[offset : offset + length], page_sizes=[page_size])


def agree(outcome: Outcome, verdict: Verdict) -> bool:
    """Whether the verdict names what happened."""
    if outcome.signal and not outcome.audited:
        # The loader itself fell over what it had mapped, before memory could be compared.
        return verdict in (Verdict.CORRUPTS, Verdict.CRASHES)
    if outcome.loaded and outcome.relro_writable is None:
        # Symbols are missing, so the loader never came to protect RELRO.
        return outcome.verdict is verdict or (verdict is Verdict.RELRO_WEAKER and outcome.verdict is Verdict.FITS)
    return outcome.verdict is verdict
