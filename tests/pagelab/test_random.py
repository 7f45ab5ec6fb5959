"""Random layouts: nobody chose these files, and the judge still says what the real loader does with each."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from pagefit.loaders.verdict import Verdict
from support import lab, labkernel, labrandom
from support.labjudge import NAMES, agree, judgement
from support.laboutcome import Outcome


def compare(outcomes: Mapping[Path, Outcome], loader: str, page_size: int) -> set[Verdict]:
    """Demand agreement about every file; returns the verdicts met."""
    seen = set()
    for path, outcome in outcomes.items():
        # qemu-user alone refuses an mprotect of no bytes, which glibc makes where two LOADs' pages only just meet.
        if "cannot change memory protections" not in outcome.message:
            verdict = judgement(path, page_size).verdicts[NAMES[loader], page_size]
            assert agree(outcome, verdict), (path, page_size, verdict, outcome)
            seen.add(verdict)
    return seen


@pytest.mark.parametrize(("loader", "arch"), [("glibc", "aarch64"), ("glibc-2.31", "aarch64"), ("glibc", "i386")])
@pytest.mark.parametrize("count", [25, pytest.param(400, marks=pytest.mark.slow)])
def test_random_layouts(loader: str, arch: str, count: int, tmp_path: Path) -> None:
    files = labrandom.files(arch, count, f"{loader} {arch}", tmp_path)
    seen: set[Verdict] = set()
    for page_size in lab.LOADERS[loader][arch]:
        seen |= compare(lab.load_all(arch, page_size, files, loader), loader, page_size)
    assert len(seen) >= 3, "files too much alike prove little"


@pytest.mark.kernel
@pytest.mark.slow
@pytest.mark.parametrize("name", ["aarch64-64k", "aarch64-16k"])
def test_random_layouts_on_a_real_kernel(name: str, tmp_path: Path) -> None:
    kernel = labkernel.KERNELS[name]
    files = labrandom.files(kernel.arch, 400, name, tmp_path)
    outcomes = labkernel.load_all(kernel, files)
    assert not any("cannot change memory protections" in outcome.message for outcome in outcomes.values())
    assert len(compare(outcomes, "glibc", kernel.page_size)) >= 3, "files too much alike prove little"
