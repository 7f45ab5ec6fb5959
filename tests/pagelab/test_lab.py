"""The lab itself: clean files load, 4K-linked ones do not, and a page size without effect is noticed."""

from pathlib import Path

import pytest

from pagefit.loaders.verdict import Verdict
from support import lab

LIBRARY = "int a[5000] = {1}; int b[70000]; const int c[3000] = {3}; int *p = a; int f(int x) { return b[x] + c[x]; }"
COMBINATIONS = [(loader, arch) for loader, archs in lab.LOADERS.items() for arch in archs]


@pytest.mark.parametrize(("loader", "arch"), COMBINATIONS)
def test_a_library_loads_at_the_page_size_it_is_linked_for_and_below(loader: str, arch: str, tmp_path: Path) -> None:
    linked = (4096, 65536)
    files = {
        size: lab.build(arch, tmp_path / f"{size}.so", LIBRARY, page_size=size, flags=["-shared", "-nostdlib"])
        for size in linked
    }
    for page_size in lab.LOADERS[loader][arch]:
        outcomes = lab.load_all(arch, page_size, files.values(), loader)
        for size in linked:
            outcome = outcomes[files[size]]
            if size >= page_size:
                assert outcome.verdict is Verdict.FITS, outcome
                assert outcome.audited
            elif loader == "musl":
                assert outcome.signal, "musl refuses nothing"
            else:
                assert outcome.verdict is Verdict.REJECTED
                # qemu-user refuses an mprotect of no bytes, which glibc makes where two LOADs' pages only just meet.
                assert "not page-aligned" in outcome.message or (arch, page_size) == ("x86_64", 16384)


def test_a_program_runs_at_the_page_size_asked_for(tmp_path: Path) -> None:
    source = """
        #include <stdio.h>
        #include <stdlib.h>
        #include <unistd.h>
        int main(int argc, char **argv)
        {
            printf("%ld %s %s\\n", sysconf(_SC_PAGESIZE), argv[argc - 1], getenv("WORD"));
            return 0;
        }
    """
    program = lab.build("aarch64", tmp_path / "program", source)
    result = lab.run("aarch64", 65536, [program, "argument"], {"WORD": "value"})
    assert (result.returncode, result.stdout) == (0, "65536 argument value\n")
    small = lab.build("aarch64", tmp_path / "small", source, page_size=4096)
    with pytest.raises(lab.LabError, match="linked for pages of 4096"):
        lab.run("aarch64", 65536, [small])
