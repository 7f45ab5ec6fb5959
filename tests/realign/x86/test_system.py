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
from support import labroots

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


_SCRIPT = """
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) }
const values = []; for (let i = 0; i < 5000; i++) values.push((i * 7919) % 1000);
values.sort((x, y) => x - y);
class Point { #x = 1; get x() { return this.#x } static start = 5 }
function* squares() { for (let i = 0; i < 5; i++) yield i * i }
const out = [fib(22), values[17], new Map(values.map((v, i) => [v, i])).size, [...squares()].join(), new Point().x];
try { null.x } catch (error) { out.push(error.constructor.name) }
out.push(/(\\d+)-(?<word>[a-z]+)/.exec("12-ab").groups.word, JSON.stringify({a: [1, {b: null}]}), String(2n ** 99n));
out.push(new Date(0).toISOString(), "\u00e4\u00df".normalize("NFD").length, new Intl.NumberFormat("de").format(1234.5));
let sum = 0; for (let i = 0; i < 2e6; i++) sum = (sum + i * 3) | 0;
switch (out.length) { case 1: case 2: break; default: out.push(sum, decodeURIComponent("%C3%A4")) }
print(out.join(" | "));
"""


@pytest.mark.slow
@pytest.mark.network
def test_javascript_is_interpreted_and_compiled_alike(tmp_path: Path) -> None:
    """JavaScriptCore, whose interpreter is assembly, and SpiderMonkey, which has Rust without unwind tables."""
    root = labroots.root("amd64", ["libjavascriptcoregtk-4.0-bin", "gjs"])
    libraries = root / "usr/lib/x86_64-linux-gnu"
    for pattern in ("libjavascriptcoregtk-4.0.so.18", "libmozjs-102.so.0", "libicuuc.so.72", "libicui18n.so.72"):
        assert realign((libraries / pattern).resolve(), tmp_path / pattern, 65536).plan.cls == "c"
    (tmp_path / "script.js").write_text(_SCRIPT, encoding="utf-8")
    typelibs = {str(path.parent) for path in root.rglob("*.typelib")}
    paths = [root / "lib/x86_64-linux-gnu", libraries]

    def run(program: str, jit: bool, *first: Path) -> str:
        command = [paths[0] / "ld-linux-x86-64.so.2", "--library-path", ":".join(map(str, [*first, *paths]))]
        settings = {"GI_TYPELIB_PATH": ":".join(typelibs), "JSC_useJIT": str(int(jit))}
        command += [root / "usr/bin" / program, tmp_path / "script.js"]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | settings).stdout

    for program, jit in (("jsc", True), ("jsc", False), ("gjs-console", True)):
        expected = run(program, jit)
        assert expected.startswith("17711 | 3 | 1000 | 0,1,4,9,16 | 1 | TypeError | ab |")
        assert run(program, jit, tmp_path) == expected
