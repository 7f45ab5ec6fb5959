"""Crafted files: the judge's verdict is what the real loader does, for every file, loader and page size."""

from pathlib import Path

import pytest

from pagefit.loaders.verdict import COMMON_PAGE_SIZES
from support import lab, labcorpus
from support.labjudge import NAMES, agree, judgement

COMBINATIONS = [
    (loader, arch, page_size)
    for loader, archs in lab.LOADERS.items()
    for arch, page_sizes in archs.items()
    for page_size in page_sizes
]


@pytest.mark.parametrize(("loader", "arch", "page_size"), COMBINATIONS)
def test_the_judge_says_what_the_loader_does(loader: str, arch: str, page_size: int, tmp_path: Path) -> None:
    files = {case: labcorpus.craft(arch, case, tmp_path) for case in labcorpus.cases(arch)}
    outcomes = lab.load_all(arch, page_size, files.values(), loader)
    disagreements = []
    for case, path in files.items():
        verdict = judgement(path, page_size).verdicts[NAMES[loader], page_size]
        happened = [outcomes[path]]
        if loader == "musl":
            # What a program starts with, musl treats otherwise than what dlopen brings; the verdict is for both.
            happened.append(lab.start_with(arch, page_size, path, loader))
        agreed = [agree(outcome, verdict) for outcome in happened]
        right = not verdict.loads if case.luck and loader != "musl" else all(agreed) if verdict.loads else any(agreed)
        if not right:
            disagreements.append((case.name, verdict.name, happened))
    assert not disagreements


def test_every_rule_about_shared_objects_is_broken_by_some_file(tmp_path: Path) -> None:
    broken = {
        finding.rule
        for case in labcorpus.CASES
        for page_size in COMMON_PAGE_SIZES
        for finding in judgement(labcorpus.craft("aarch64", case, tmp_path), page_size).findings
        if not finding.verdict.loads and finding.loader in NAMES.values()
    }
    assert broken >= {"C1", "C2", "C3", "C4", "C6", "C7", "C8", "C9", "C10", "C11", "C14"}


def test_clean_files_are_clean(tmp_path: Path) -> None:
    for case in labcorpus.CASES:
        if case.name.startswith("clean-64k"):
            path = labcorpus.craft("aarch64", case, tmp_path)
            assert all(judgement(path, size).at(size).loads for size in COMMON_PAGE_SIZES), case.name
