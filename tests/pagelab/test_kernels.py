"""Real kernels with large pages agree with the judge: about shared objects under glibc, and about programs."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from pagefit.loaders.verdict import Verdict
from support import labcorpus, labkernel
from support.labjudge import NAMES, agree, judgement
from support.laboutcome import Outcome

EVERY_KERNEL = [
    # Half a minute for Debian's kernels, two seconds for the one that has nothing but what it needs; but it is built.
    pytest.param("ppc64le-64k", marks=pytest.mark.kernel),
    pytest.param("aarch64-64k", marks=[pytest.mark.kernel, pytest.mark.slow]),
    pytest.param("aarch64-16k", marks=[pytest.mark.kernel, pytest.mark.slow]),
]


@pytest.mark.parametrize("name", EVERY_KERNEL)
def test_shared_objects(name: str, tmp_path: Path) -> None:
    kernel = labkernel.KERNELS[name]
    files = {case: labcorpus.craft(kernel.arch, case, tmp_path) for case in labcorpus.cases(kernel.arch)}
    assert not disagreements(files, labkernel.load_all(kernel, files.values()), kernel.page_size, NAMES["glibc"])


@pytest.mark.parametrize("name", EVERY_KERNEL)
def test_programs(name: str, tmp_path: Path) -> None:
    kernel = labkernel.KERNELS[name]
    files = {case: labcorpus.craft(kernel.arch, case, tmp_path) for case in labcorpus.PROGRAMS}
    interpreter = labcorpus.craft(kernel.arch, labcorpus.STAND_IN, tmp_path)
    outcomes = labkernel.start_all(kernel, files.values(), {labcorpus.INTERPRETER: interpreter})
    assert not disagreements(files, outcomes, kernel.page_size, "kernel")


def disagreements(
    files: Mapping[labcorpus.Case, Path], outcomes: Mapping[Path, Outcome], page_size: int, loader: str
) -> list[tuple[str, Verdict, Outcome]]:
    found = []
    for case, path in files.items():
        verdict, outcome = judgement(path, page_size).verdicts[loader, page_size], outcomes[path]
        if verdict.loads if case.luck and loader != "kernel" else not agree(outcome, verdict):
            found.append((case.name, verdict, outcome))
    return found
