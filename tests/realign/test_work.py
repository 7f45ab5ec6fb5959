"""Libraries that people use do the same work after their data has moved, at 4K and at 64K, under the real loader."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pagefit.realign import realign
from support import corpus, lab, labroots, links64, x86links

WORK = Path(__file__).parent / "work"
CASES = [(name, machine) for name in corpus.SOURCES for machine in corpus.MACHINES]
SLOW = [case for case in CASES if case[0] != "zlib"]


@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "machine"), [pytest.param(*case, marks=pytest.mark.slow if case in SLOW else ()) for case in CASES]
)
def test_a_library_works_as_before(name: str, machine: str, tmp_path: Path) -> None:
    """The C library, too, where Debian's is linked for 4K."""
    library, program = tmp_path / "library.so", tmp_path / "program"
    built = corpus.objects(name, machine)
    compiler = [*corpus.compiler(machine, "gcc"), f"-I{corpus.headers(name)}"]
    if machine == "aarch64":
        links64.link(built.files, library, 4096, *built.flags)
        main = links64.build(compiler, tmp_path, [WORK / f"{name}.c"])
        links64.link([*main, library], program, 4096, shared=False)
    else:
        x86links.link(built.files, library, *built.flags)
        main = x86links.build(compiler, tmp_path, [WORK / f"{name}.c"])
        x86links.link([*main, library], program, "-pie")
        # Debian links these for 4K pages, too. At 64K libc is taken as it is, but not all its code is executable.
        for name in ("libc.so.6", "libm.so.6"):
            shutil.copy(next(lab.prefix_of(machine).glob(f"lib/*/{name}")), tmp_path)
    paths = {"LD_LIBRARY_PATH": str(tmp_path)}
    before = lab.run(machine, 4096, [program], paths)
    assert before.returncode == 0
    assert len(before.stdout.splitlines()) > 10
    for path in (library, program, *tmp_path.glob("lib?.so.6")):
        assert realign(path, path, 65536).plan.cls == "c"
    for size in (4096, 65536):
        assert lab.run(machine, size, [program], paths) == before


SCRIPT = """
import module
class Circle(module.Shape):
    def area(self): return 3.0
print(module.total([module.Square(2), Circle(), module.Square(0.5)]), module.memory())
print(module.attempt(lambda x: x * x), module.attempt(lambda x: 1 // 0), module.calls())
for bad in (lambda: module.attempt(abs, 11), lambda: module.total([module.Shape()]), lambda: module.attempt("")):
    try:
        bad()
    except Exception as error:
        print(type(error).__name__, str(error).splitlines()[0])
"""


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("compiled_by", ["gcc", "clang"])
@pytest.mark.parametrize("linker", links64.LINKERS)
def test_an_extension_module_works_as_before(linker: str, compiled_by: str, tmp_path: Path) -> None:
    """Debian's arm64 Python, which is linked for 64K, with a module that is linked for 4K."""
    (tmp_path / "script.py").write_text(SCRIPT)
    built = corpus.objects("pybind11", "aarch64", compiled_by)
    module = links64.link(built.files, tmp_path / "module.so", 4096, *built.flags, linker=linker)
    root = labroots.root("arm64", ["python3.11", "libstdc++6"])
    argv = [root / "usr/bin/python3.11", tmp_path / "script.py"]

    def run(page_size: int) -> lab.Result:
        return lab.run("aarch64", page_size, argv, {"PYTHONHOME": "/usr"}, prefix=root)

    before = run(4096)
    assert before.returncode == 0, before
    assert "ImportError" in run(65536).stderr
    realign(module, module, 65536)
    for size in (4096, 65536):
        assert run(size) == before
