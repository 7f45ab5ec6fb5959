"""A Debian system of which every file is relinked for pages larger than its linker meant."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from pagefit.realign import realign
from support import labroots, packages

SCRIPT = """
import bz2, ctypes, decimal, hashlib, lzma, math, sqlite3, ssl, threading, unicodedata, zlib
table = sqlite3.connect(":memory:")
table.execute("create virtual table t using fts5(a)")
table.executemany("insert into t values (?)", [("hello world",), ("page size",), ("hello again",)])
print(table.execute("select a from t where t match 'hello' order by a").fetchall())
data = bytes(range(256)) * 500
for codec in (zlib, lzma, bz2):
    assert codec.decompress(codec.compress(data)) == data
print(hashlib.sha256(data).hexdigest(), hashlib.new("sha3_256", data).hexdigest(), ssl.OPENSSL_VERSION)
print(decimal.Decimal(2).sqrt(), math.gamma(5.5), unicodedata.name("\\u00e9"))
try:
    ctypes.CDLL("nowhere.so")
except OSError as error:
    print(error)
squares = []
threads = [threading.Thread(target=lambda number=number: squares.append(number**2)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sorted(squares))
"""


def run(root: Path, script: Path) -> str:
    emulator = shutil.which("qemu-aarch64") or "qemu-aarch64-static"
    command = [emulator, "-L", root, "-E", "PYTHONHOME=/usr", root / "usr/bin/python3.11", script]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.network
def test_debians_python_and_all_its_libraries_run_with_their_data_moved(tmp_path: Path) -> None:
    """Debian links arm64 for 64K: for 128K data has to move in libc, libcrypto, libstdc++ and some 320 others."""
    (tmp_path / "script.py").write_text(SCRIPT)
    original = labroots.root("arm64", ["python3.11"])
    moved = tmp_path / "root"
    shutil.copytree(original, moved, symlinks=True)
    classes: Counter[str] = Counter()
    for folder, _, names in os.walk(moved):
        for path in (Path(folder, name) for name in names):
            if path.is_symlink() or not path.is_file() or path.name.startswith("ld-"):
                continue
            with path.open("rb") as stream:
                if stream.read(4) != b"\x7fELF":
                    continue
            classes[realign(path, path, 0x20000).plan.cls] += 1
    assert classes["c"] > 300
    assert run(moved, tmp_path / "script.py") == run(original, tmp_path / "script.py")


DGEMM = """
import ctypes, sys
blas, n = ctypes.CDLL(sys.argv[1]), 64
a = (ctypes.c_double * (n * n))(*[(i * 7 % 11) - 5 for i in range(n * n)])
b = (ctypes.c_double * (n * n))(*[(i * 5 % 13) - 6 for i in range(n * n)])
c = (ctypes.c_double * (n * n))()
one, zero, size = ctypes.c_double(1), ctypes.c_double(0), ctypes.c_int(n)
by = ctypes.byref
blas.dgemm_(b"N", b"N", by(size), by(size), by(size), by(one), a, by(size), b, by(size), by(zero), c, by(size))
right = sum(c[i + j * n] == sum(a[i + k * n] * b[k + j * n] for k in range(n)) for i in range(n) for j in range(n))
print(right, list(c))
"""


@pytest.mark.slow
@pytest.mark.network
def test_a_mended_blas_multiplies_at_64k_as_it_did_at_4k(tmp_path: Path) -> None:
    """numpy 1.19.0's OpenBLAS, libgfortran and libz: refused by ld.so at 64K as published, mended the same as at 4K.

    (With the kernel for a Cortex-A57: the one that it takes for other cores leaves some NaN, also untouched.)
    """
    (tmp_path / "dgemm.py").write_text(DGEMM)
    with zipfile.ZipFile(packages.numpy_damaged()) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith("numpy.libs/")])
    (blas,) = (tmp_path / "numpy.libs").glob("libopenblas*")
    root = labroots.root("arm64", ["python3.11"])

    def multiply(page_size: int) -> subprocess.CompletedProcess[str]:
        emulator = [shutil.which("qemu-aarch64") or "qemu-aarch64-static", "-p", str(page_size), "-L", root]
        settings = ["-E", "PYTHONHOME=/usr", "-E", f"LD_LIBRARY_PATH={blas.parent}"]
        settings += ["-E", "OPENBLAS_CORETYPE=CORTEXA57"]
        command = [*emulator, *settings, root / "usr/bin/python3.11", tmp_path / "dgemm.py", blas]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    expected = multiply(4096).stdout
    assert int(expected.split()[0]) == 64 * 64
    assert "not page-aligned" in multiply(65536).stderr
    for library in blas.parent.iterdir():
        assert realign(library, library, 65536).plan.cls == "a1"
    assert multiply(65536).stdout == expected
