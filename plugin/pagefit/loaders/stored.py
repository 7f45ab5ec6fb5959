"""Libraries that Android maps straight from an apk (C17): they must begin at a page boundary of the archive."""

from __future__ import annotations

from pagefit.loaders.loader import BIONIC
from pagefit.loaders.verdict import Finding, Judgement, Verdict, format_page_size


def judge_stored(judgement: Judgement, offset: int) -> Judgement:
    """Add C17 to the judgement of a file whose bytes lie uncompressed at an offset (bytes) of an apk.

    Only bionic maps libraries from within an archive; compressed ones are unpacked first.
    """
    verdicts = dict(judgement.verdicts)
    findings = list(judgement.findings)
    for (loader, page_size), verdict in judgement.verdicts.items():
        if loader != BIONIC.name or verdict is Verdict.NOT_APPLICABLE or offset % page_size == 0:
            continue
        verdicts[loader, page_size] = Verdict.REJECTED
        message = f"stored at offset {offset:#x} of the apk, which is not a multiple of {format_page_size(page_size)}"
        findings.append(Finding("C17", loader, page_size, Verdict.REJECTED, (), None, message))
    return Judgement(verdicts, tuple(findings))
