"""Aligning containers: what fits stays, what is mended is valid, what cannot be mended changes nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest
from installer.sources import WheelFile

from pagefit import align
from pagefit.align import Action, Request
from pagefit.errors import InputError
from support import lab, tails
from support.packages import numpy_clean, numpy_damaged

SOURCE = "int bss[BSS]; int data = 3; static int *pointer = &data; int run(int x) { bss[x & 7] += x; return *pointer; }"


@pytest.fixture(scope="module")
def numpy() -> Path:
    return numpy_damaged()


@pytest.mark.network
def test_a_damaged_wheel_is_mended_and_valid(numpy: Path, tmp_path: Path) -> None:
    target = tmp_path / numpy.name
    report = align.path(numpy, Request(), output=target)
    assert len(report.mended) == 6
    assert not report.refused
    # No other file has changed, and `installer` agrees with every line of RECORD.
    with WheelFile.open(target) as mended:
        mended.validate_record(validate_contents=True)
    changed = {outcome.path for outcome in report.mended} | {"numpy-1.19.0.dist-info/RECORD"}
    with zipfile.ZipFile(numpy) as before, zipfile.ZipFile(target) as after:
        assert [i.filename for i in before.infolist()] == [i.filename for i in after.infolist()]
        assert {n for n in before.namelist() if before.read(n) != after.read(n)} == changed
    # Again: nothing to do, so nothing changes.
    content = target.read_bytes()
    assert not align.path(target, Request()).mended
    assert target.read_bytes() == content


@pytest.mark.network
def test_files_mended_at_the_same_time_are_those_mended_one_by_one(numpy: Path, tmp_path: Path) -> None:
    every = os.sched_getaffinity(0)
    results = []
    for processors in (every, {min(every)}):
        target = tmp_path / str(len(processors)) / numpy.name
        command = [sys.executable, "-m", "pagefit", "align", "--json", "-o", target.parent, numpy]
        limited = partial(os.sched_setaffinity, 0, processors)
        done = subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=limited)
        results.append((done.stdout.replace(str(target.parent), ""), target.read_bytes()))
    assert results[0] == results[-1]
    assert results[0][0].count('"mended"') >= 6


@pytest.mark.network
def test_a_wheel_that_fits_comes_out_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "same.whl"
    align.path(numpy_clean(), Request(), output=target)
    assert target.read_bytes() == numpy_clean().read_bytes()


@pytest.mark.network
def test_a_dry_run_writes_nothing(numpy: Path, tmp_path: Path) -> None:
    report = align.path(numpy, Request(), output=tmp_path / "out.whl", dry_run=True)
    assert len(report.mended) == 6
    assert not list(tmp_path.iterdir())


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library that no engine can mend for 64K: i386, linked for 4K, with data right behind code."""
    path = tmp_path / "tree" / "libx.so"
    path.parent.mkdir()
    (tmp_path / "x.c").write_text("int data[100] = {1}; int *f(void) { return data; }")
    flags = ["-shared", "-fPIC", "-Wl,-z,max-page-size=4096"]
    subprocess.run(["i686-linux-gnu-gcc", *flags, "-o", path, tmp_path / "x.c"], check=True)
    return path


def test_what_no_kernel_of_the_machine_needs_is_left_unless_asked_for_by_name(library: Path) -> None:
    before = library.read_bytes()
    assert [o.action for o in align.path(library, Request()).outcomes] == [Action.LEFT]
    with pytest.raises(align.Unmended, match=r"libx\.so: 1 of 1 ELF files could not be mended, so nothing was written"):
        align.path(library, Request(everywhere=True))
    report = align.path(library, Request(everywhere=True), unresolved="warn")
    assert [o.action for o in report.refused] == [Action.REFUSED]
    assert library.read_bytes() == before
    assert list(library.parent.iterdir()) == [library]


def test_a_file_that_no_engine_may_mend_is_refused_with_a_reason(library: Path) -> None:
    report = align.path(library, Request(everywhere=True, engine="relink"), unresolved="warn")
    assert [outcome.detail for outcome in report.refused] == [
        "relink: there is no journal of recorded links; give one, or take another engine"
    ]


def test_an_excluded_file_is_reported_and_left(library: Path) -> None:
    report = align.path(library.parent, Request(everywhere=True, exclude=("libx*",)))
    assert [(o.path, o.action) for o in report.outcomes] == [("libx.so", Action.EXCLUDED)]


def test_a_folder_is_treated_file_by_file(numpy: Path, library: Path, tmp_path: Path) -> None:
    tree = library.parent
    name = align.path(numpy, Request(), output=tmp_path / "mended.whl").mended[0].path
    with zipfile.ZipFile(numpy) as archive:
        broken = Path(archive.extract(name, tree))
    broken.chmod(0o755)
    stamp = broken.stat().st_mtime_ns
    report = align.path(tree, Request())
    assert {o.path: o.action for o in report.outcomes} == {"libx.so": Action.LEFT, name: Action.MENDED}
    assert broken.stat().st_mode & 0o777 == 0o755
    assert broken.stat().st_mtime_ns == stamp


@pytest.fixture
def damaged(numpy: Path, tmp_path: Path) -> Path:
    """One ELF file that can be mended, in a folder of its own."""
    with zipfile.ZipFile(numpy) as archive:
        names = [name for name in archive.namelist() if ".libs/" in name]
        path = Path(archive.extract(names[0], tmp_path / "damaged"))
    path.chmod(0o750)
    os.utime(path, ns=(10**18, 10**18))
    return path


@pytest.mark.network
@pytest.mark.parametrize("across_file_systems", [False, True])
def test_a_mended_file_has_mode_and_times_of_the_old_one_and_nothing_lies_beside_it(
    damaged: Path, monkeypatch: pytest.MonkeyPatch, across_file_systems: bool
) -> None:
    rename = os.replace

    def replace(source: Path, target: Path) -> None:
        if across_file_systems and str(source).endswith(".mended"):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    before = damaged.read_bytes()
    target = damaged.parents[2] / "made" / "for" / damaged.name
    assert align.path(damaged, Request(), output=target).mended
    assert damaged.read_bytes() == before
    assert align.path(damaged, Request()).mended
    for mended in (damaged, target):
        assert mended.read_bytes() != before
        assert not align.path(mended, Request()).mended
        assert (mended.stat().st_mode & 0o777, mended.stat().st_mtime_ns) == (0o750, 10**18)
        assert list(mended.parent.iterdir()) == [mended]


def test_where_nothing_can_be_mended_no_folder_is_made(library: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(align.Unmended):
        align.path(library, Request(everywhere=True), output=tmp_path / "made" / "for" / library.name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b"PK\3\4 broken", b"\x7fELF" + bytes(10)])
def test_a_broken_input_is_named_and_untouched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken-1-py3-none-any.whl"
    path.write_bytes(content)
    if content:
        with pytest.raises(InputError, match="broken-1"):
            align.path(path, Request())
    else:
        assert not align.path(path, Request()).outcomes
    assert path.read_bytes() == content


@pytest.mark.parametrize(("cls", "bss"), [("a", 40), ("b", 1 << 20), ("c", 40)])
def test_mending_a_library_imports_nothing_that_takes_longer_than_mending_it(
    cls: str, bss: int, tmp_path: Path
) -> None:
    flags = ["-shared", f"-DBSS={bss}", "-Wl,-z,common-page-size=4096"]
    library = lab.build("aarch64", tmp_path / "x.so", SOURCE, page_size=4096 if cls == "c" else 65536, flags=flags)
    if cls != "c":
        tails.damage(library)
    code = "import sys; from pagefit.cli.main import main; main(['align', 'x.so']); print(*sys.modules)"
    command = [sys.executable, "-S", "-c", code]
    found = {**os.environ, "PYTHONPATH": str(Path(align.__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=found, check=True)
    assert f"realigned: class {cls}" in done.stdout
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "pagefit.realign.engine" in loaded
    slow = {"argparse", "dataclasses", "inspect", "json", "pathlib", "pickle", "shutil", "tempfile", "typing"}
    assert loaded & slow == set()
