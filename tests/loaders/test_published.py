"""Published wheels: the files a real loader refuses are the files the judge names, and no others."""

from __future__ import annotations

import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from pagefit.cli.main import main
from pagefit.elf.headers import read_image
from pagefit.loaders.verdict import Verdict
from pagefit.survey import Options, survey
from support.elfs import reader
from support.packages import numpy_clean, numpy_damaged, wheel

pytestmark = pytest.mark.network

K = 1024


def verdicts(path: Path, *page_sizes: int, deep: bool = False) -> dict[str, dict[int, Verdict]]:
    reports = survey([path], Options(page_sizes or None, deep))
    return {r.names[-1]: {size: r.judgement.at(size) for size in r.judgement.page_sizes} for r in reports}


def misfits(path: Path, *page_sizes: int) -> set[tuple[str, int]]:
    found = verdicts(path, *page_sizes).items()
    return {(name, size) for name, sizes in found for size, verdict in sizes.items() if not verdict.loads}


def test_numpy_1_19_0_has_six_damaged_files() -> None:
    assert len(verdicts(numpy_damaged())) == 21
    damaged = {
        "numpy.libs/libgfortran-daac5196.so.5.0.0",
        "numpy.libs/libopenblasp-r0-c9541ae0.3.9.dev.so",
        "numpy.libs/libz-558a5e64.so.1.2.7",
        "numpy/core/_multiarray_umath.cpython-38-aarch64-linux-gnu.so",
        "numpy/linalg/_umath_linalg.cpython-38-aarch64-linux-gnu.so",
        "numpy/linalg/lapack_lite.cpython-38-aarch64-linux-gnu.so",
    }
    assert misfits(numpy_damaged()) == {(name, size) for name in damaged for size in (16 * K, 64 * K)}


@pytest.mark.parametrize(("name", "version"), [("cffi", "1.14.3"), ("cryptography", "3.1"), ("lxml", "4.5.2")])
def test_clean_wheels_fit(name: str, version: str) -> None:
    assert misfits(wheel(name, version, "manylinux2014_aarch64", "38")) == set()


def test_the_next_numpy_is_clean() -> None:
    assert misfits(numpy_clean()) == set()


@pytest.mark.parametrize(("name", "version"), [("tls-client", "1.0.1"), ("pvporcupine", "3.0.5")])
def test_x86_files_in_a_wheel_of_many_machines_are_not_applicable(
    name: str, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = wheel(name, version, "any", "312")
    assert main(["check", str(path)]) == 0
    assert "do not fit" not in capsys.readouterr().out
    assert main(["check", "--page-size", "64K", str(path)]) == 1


def test_loongarch_fits_16k_and_not_64k() -> None:
    path = wheel("pyarmor.cli.core.linux", "8.1.2", "any", "312")
    assert {(name.split("/")[-2], size) for name, size in misfits(path)} == {("loongarch64", 64 * K)}
    assert all(sizes[64 * K] is Verdict.NOT_APPLICABLE for name, sizes in verdicts(path).items() if "riscv64" in name)


def test_an_allocator_built_for_4k_is_found_by_reading_the_whole_file(capsys: pytest.CaptureFixture[str]) -> None:
    path = wheel("ruff", "0.0.259", "manylinux_2_17_aarch64", "311")
    assert misfits(path) == set()
    (program,) = verdicts(path, deep=True).values()
    assert program == {4 * K: Verdict.FITS, 16 * K: Verdict.CRASHES, 64 * K: Verdict.CRASHES}
    assert main(["check", "--deep", str(path)]) == 1
    assert "C18  kernel at 16K, 64K: jemalloc is linked in, built for pages of 4K" in capsys.readouterr().out


@pytest.mark.parametrize("path", [numpy_damaged, lambda: wheel("pvporcupine", "3.0.5", "any", "312")])
def test_segments_equal_what_readelf_prints(path, tmp_path: Path) -> None:
    row = re.compile(r"^  (\S+) +0x(\w+) 0x(\w+) 0x(\w+) 0x(\w+) 0x(\w+) ([R ][W ][E ]) 0x(\w+)$", re.MULTILINE)
    compared = 0
    with zipfile.ZipFile(path()) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if data[:4] != b"\x7fELF":
                continue
            (tmp_path / "x.so").write_bytes(data)
            printed = subprocess.run(["readelf", "-lW", tmp_path / "x.so"], capture_output=True, text=True, check=True)
            expected = [
                (*(int(number, 16) for number in (*numbers, align)), flags.replace(" ", "").replace("E", "X"))
                for _, *numbers, flags, align in row.findall(printed.stdout)
            ]
            image = read_image(reader(data), len(data))
            found = [(s.offset, s.vaddr, s.paddr, s.filesz, s.memsz, s.align, s.rights) for s in image.segments]
            assert found == expected
            compared += len(found)
    assert compared > 20
