"""A Debian system of which every file is relinked for pages larger than its linker meant."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from pagefit.realign import realign
from support import labroots

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
