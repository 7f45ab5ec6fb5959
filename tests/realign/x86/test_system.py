"""Debian's own libraries, realigned and used together by Debian's own programs: the same work, the same output."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from pagefit.elf.sections import open_elf
from pagefit.loaders.judge import judge
from pagefit.realign import realign

#: glibc's parts belong together with the dynamic loader; they stay as they are.
_GLIBC = re.compile(r"(ld-linux|libc|libm|libpthread|libdl|librt|libutil|libresolv)[.-]")
_PYTHON = """
import bz2, ctypes, hashlib, json, lzma, sqlite3, ssl, xml.parsers.expat, zlib
text = open("/usr/share/common-licenses/GPL-3", "rb").read()
for module in (bz2, lzma, zlib):
    assert module.decompress(module.compress(text)) == text
base = sqlite3.connect(":memory:")
base.execute("create virtual table pages using fts5(line)")
base.executemany("insert into pages values (?)", [(line,) for line in text.decode().splitlines()])
print(base.execute("select line from pages where pages match 'warranty' order by rank").fetchall())
print(hashlib.new("sha3_512", text).hexdigest(), hashlib.pbkdf2_hmac("sha256", text, b"salt", 1000).hex())
print(ssl.OPENSSL_VERSION, len(ssl.create_default_context().get_ciphers()))
parser = xml.parsers.expat.ParserCreate()
parser.StartElementHandler = lambda name, attributes: print(name, attributes)
parser.Parse("<a b='c'><d/></a>", True)
"""
_PERL = "my %h; $h{length $_}++ for <STDIN>; print map { qq($_ $h{$_} ) } sort keys %h; print crypt('a','$6$b')"
WORK = {
    "xz": ["xz", "-9", "-c", "-T2"],
    "perl": ["perl", "-e", _PERL],
    "zstd": ["zstd", "-19", "-c"],
    "digest": ["openssl", "dgst", "-sha3-512"],
    "cipher": ["openssl", "enc", "-camellia-256-cbc", "-K", "00" * 32, "-iv", "11" * 16],
    "python": ["/usr/bin/python3", "-c", _PYTHON],
}
QUICK = ("xz", "perl")


def _resolved(programs: Iterable[str], **environment: str) -> str:
    command = ["ldd", *sorted(programs)]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | environment).stdout


def _libraries(listing: str) -> set[Path]:
    found = {Path(path) for path in re.findall(r"=> (/\S+)", listing)}
    return {path for path in found if not _GLIBC.match(path.name)}


def _work_alike(names: Iterable[str], folder: Path) -> None:
    commands = {name: WORK[name] for name in names}
    programs = {shutil.which(command[0]) or command[0] for command in commands.values()}
    if "python" in commands:
        programs |= {str(path) for path in Path("/usr/lib").glob("python3*/lib-dynload/*.so")}
    libraries = _libraries(_resolved(programs))
    assert libraries
    for library in libraries:
        result = realign(library, folder / library.name, 65536)
        assert result.plan.cls == "c"
        with open_elf(folder / library.name) as file:
            verdict = judge(file.image, lambda o, n, data=file.data: data[o : o + n], page_sizes=[4096, 16384, 65536])
        assert verdict.worst.loads
    text = Path("/usr/share/common-licenses/GPL-3").read_bytes()
    for command in commands.values():
        before, after = (
            subprocess.run(command, input=text, check=True, capture_output=True, env=os.environ | more).stdout
            for more in ({}, {"LD_LIBRARY_PATH": str(folder)})
        )
        assert before == after
    used = _resolved(programs, LD_LIBRARY_PATH=str(folder))
    assert all(str(folder / library.name) in used for library in libraries)


def test_programs_do_the_same_work(tmp_path: Path) -> None:
    _work_alike(QUICK, tmp_path)


@pytest.mark.slow
def test_all_programs_do_the_same_work(tmp_path: Path) -> None:
    _work_alike(WORK, tmp_path)
