"""Classes a and b: a segment appended for 4K pages is merged or moved, and no code changes."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from pagefit.loaders.verdict import COMMON_PAGE_SIZES, Verdict
from pagefit.realign import plan, realign
from support import lab, packages, tails

SOURCE = "int bss[40]; int data = 3; static int *pointer = &data; int run(int x) { bss[x & 7] += x; return *pointer; }"
LARGE_BSS = SOURCE.replace("bss[40]", "bss[1 << 20]")


def readelf(path: Path, *options: str) -> str:
    done = subprocess.run(["readelf", "-W", *options, path], capture_output=True, text=True, check=True)
    assert not done.stderr, done.stderr
    return done.stdout


def damaged(arch: str, folder: Path, source: str) -> Path:
    flags = ["-shared", "-Wl,-z,common-page-size=65536"]
    return tails.damage(lab.build(arch, folder / "x.so", source, page_size=65536, flags=flags))


@pytest.mark.parametrize("arch", ["aarch64", "ppc64le", "ppc64", "mips", "i386"])
@pytest.mark.parametrize(("source", "classes"), [(SOURCE, {"a0", "a1"}), (LARGE_BSS, {"b"})])
def test_a_file_with_a_tail_loads_at_every_page_size(arch: str, source: str, classes: set[str], tmp_path: Path) -> None:
    broken, mended = damaged(arch, tmp_path, source), tmp_path / "mended.so"
    assert not lab.load(arch, 65536, broken).verdict.loads
    result = realign(broken, mended, 65536)
    assert result.plan.cls in classes
    for size in COMMON_PAGE_SIZES:
        assert lab.load(arch, size, mended).verdict is Verdict.FITS
    # What does not lie in the tail is where it was, and means what it meant.
    assert readelf(mended, "--dyn-syms", "-r") == readelf(broken, "--dyn-syms", "-r") or result.plan.cls == "b"
    assert "/nowhere/" in readelf(mended, "-d")
    assert mended.stat().st_size < broken.stat().st_size + 65536


def test_the_plan_is_what_is_done(tmp_path: Path) -> None:
    broken = damaged("aarch64", tmp_path, LARGE_BSS)
    before = broken.read_bytes()
    intended = plan(broken, 65536)
    assert broken.read_bytes() == before
    done = realign(broken, broken, 65536)
    assert done.plan == intended
    assert broken.stat().st_size == intended.new_size
    assert "class b for 64K" in done.summary
    assert done.provenance["class"] == "b"


def test_a_file_that_fits_stays_as_it_is(tmp_path: Path) -> None:
    flags = ["-shared", "-Wl,-z,common-page-size=65536"]
    fits = lab.build("aarch64", tmp_path / "x.so", SOURCE, flags=flags)
    before = fits.read_bytes()
    assert realign(fits, tmp_path / "y.so", 65536).plan.cls == "fits"
    assert (tmp_path / "y.so").read_bytes() == before


@pytest.mark.network
def test_a_published_wheel_with_six_broken_files(tmp_path: Path) -> None:
    """numpy 1.19.0: six of its files have tails; mended, the real loader takes them at every page size."""
    with zipfile.ZipFile(packages.numpy_damaged()) as archive:
        names = [name for name in archive.namelist() if ".so" in name.rpartition("/")[2]]
        archive.extractall(tmp_path, names)
    changed = []
    for name in names:
        path = tmp_path / name
        before = path.read_bytes()
        result = realign(path, path, 65536)
        if result.plan.cls == "fits":
            assert path.read_bytes() == before
        else:
            assert result.plan.cls == "a1"
            changed.append(path)
    assert len(changed) == 6
    for size in COMMON_PAGE_SIZES:
        assert {o.verdict for o in lab.load_all("aarch64", size, changed).values()} == {Verdict.FITS}


@pytest.mark.network
def test_a_published_wheel_that_is_clean_stays_as_it_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(packages.numpy_clean()) as archive:
        names = [name for name in archive.namelist() if ".so" in name.rpartition("/")[2]]
        archive.extractall(tmp_path, names)
    assert {plan(tmp_path / name, 65536).cls for name in names} == {"fits"}
