"""Published wheels and freshly damaged libraries: the verdict on every ELF file is what the real ld.so makes of it."""

import zipfile
from pathlib import Path

import pytest

from pagefit.elf.headers import is_elf
from pagefit.loaders.verdict import COMMON_PAGE_SIZES, Verdict
from support import lab, labelf
from support.labjudge import NAMES, agree, judgement
from support.packages import numpy_clean, numpy_damaged, wheel
from support.tails import damage

LOADERS = ("glibc", "glibc-2.31")


def disagreements(files: dict[Path, Path], arch: str, loader: str, page_size: int) -> list[object]:
    """Compare verdicts on files with what happened to their padded copies."""
    outcomes = lab.load_all(arch, page_size, files.values(), loader)
    judged = {path: judgement(path, page_size).verdicts[NAMES[loader], page_size] for path in files}
    return [
        (path.name, judged[path], outcomes[copy])
        for path, copy in files.items()
        if not agree(outcomes[copy], judged[path])
    ]


@pytest.mark.network
@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("find", "count", "broken"),
    [
        (numpy_damaged, 21, 6),
        (numpy_clean, 21, 0),
        (lambda: wheel("cffi", "1.14.3", "manylinux2014_aarch64", "38"), 2, 0),
        (lambda: wheel("cryptography", "3.1", "manylinux2014_aarch64", "38"), 2, 0),
        (lambda: wheel("lxml", "4.5.2", "manylinux2014_aarch64", "38"), 7, 0),
    ],
    ids=["numpy-1.19.0", "numpy-1.19.2", "cffi", "cryptography", "lxml"],
)
def test_wheels(find, count: int, broken: int, loader: str, tmp_path: Path) -> None:
    files = {}
    with zipfile.ZipFile(find()) as archive:
        for name in archive.namelist():
            if is_elf(data := archive.read(name)):
                # Beside each other as installed, so that $ORIGIN leads to the wheel's own libraries.
                for tree, content in (("original", data), ("padded", labelf.padded(data))):
                    path = tmp_path / tree / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                files[tmp_path / "original" / name] = tmp_path / "padded" / name
    assert len(files) == count
    for page_size in COMMON_PAGE_SIZES:
        assert not disagreements(files, "aarch64", loader, page_size)
        misfits = [path for path in files if not judgement(path, page_size).at(page_size).loads]
        assert len(misfits) == (broken if page_size > 4096 else 0)


@pytest.mark.network
@pytest.mark.parametrize("loader", LOADERS)
def test_a_library_that_patchelf_damaged(loader: str, tmp_path: Path) -> None:
    source = "int table[9000] = {1}; int zeros[9000]; int *p = table; int f(int x) { return p[x] + zeros[x]; }"
    whole = lab.build("aarch64", tmp_path / "whole.so", source, flags=["-shared"])
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(whole.read_bytes())
    damage(damaged)
    for page_size in COMMON_PAGE_SIZES:
        assert not disagreements({path: path for path in (whole, damaged)}, "aarch64", loader, page_size)
    assert judgement(damaged, 65536).at(65536) is Verdict.REJECTED
