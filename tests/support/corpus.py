"""Libraries that people use, compiled from source once for each machine and compiler, and linked as a test likes.

Sources are Debian's by name; objects are kept under `.cache/`.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pybind11
import pytest

from support import debsource
from support.labroots import command, locked, root

MACHINES = {"aarch64": "arm64", "x86_64": "amd64"}


@dataclass(frozen=True)
class Objects:
    """What a build gives the linker: files, and flags."""

    files: tuple[Path, ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """Debian's source package, the files of its library, those left out, compiler flags, and the folder of headers."""

    package: str
    patterns: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    headers: str = "."


_ZSTD = ("common", "compress", "decompress")
SOURCES = {
    "zlib": Source("zlib", ("*.c",), ("example.c", "minigzip.c"), ("-DHAVE_UNISTD_H",)),
    "lua": Source("lua5.4", ("src/*.c",), ("lua.c", "luac.c"), ("-DLUA_USE_LINUX",), "src"),
    "zstd": Source("libzstd", tuple(f"lib/{part}/*.[cS]" for part in _ZSTD), headers="lib"),
    # The whole of sqlite in one file, as few of Debian's packages have it.
    "sqlite": Source("libdbd-sqlite3-perl", ("sqlite3.c",), (), ("-DSQLITE_ENABLE_FTS5", "-DSQLITE_THREADSAFE=1")),
}

_MODULE = Path(__file__).parents[1] / "realign/sources/module.cc"

#: What the assembly of OpenSSL expects its C to define.
_OPENSSL_C = """
unsigned OPENSSL_armcap_P = 1, OPENSSL_armv8_rsa_neonized, OPENSSL_ia32cap_P[4] = {1};
void OPENSSL_cpuid_setup(void) { OPENSSL_ia32cap_P[1] |= 2; }
"""

_OPENSSL = ("libcrypto", "libssl")
#: What every run of the tests takes; the others take their time.
_QUICK = frozenset({("zlib", "gcc"), ("openssl assembly", "gcc")})

#: How many references from code to what moves there are at least, where that is less than eighty.
REFERENCES = {"openssl assembly": 17}


def cases() -> list[Any]:
    """(name, compiler) of everything here, those that take long marked as slow."""
    pairs = [(name, by) for name in (*SOURCES, "pybind11", "openssl assembly") for by in ("gcc", "clang")]
    pairs += [(name, "gcc") for name in _OPENSSL]
    return [pytest.param(*pair, marks=() if pair in _QUICK else pytest.mark.slow) for pair in pairs]


def compiler(machine: str, name: str, *, cxx: bool = False) -> list[str]:
    """The command of `gcc` or `clang` for a machine."""
    if name == "gcc":
        return [f"{machine}-linux-gnu-{'g++' if cxx else 'gcc'}", "-O2", "-fPIC", "-w"]
    return ["clang++" if cxx else "clang", f"--target={machine}-linux-gnu", "-O2", "-fPIC", "-w"]


def headers(name: str) -> Path:
    """The folder with the headers of one of SOURCES."""
    return debsource.source(SOURCES[name].package) / SOURCES[name].headers


def objects(name: str, machine: str, compiled_by: str = "gcc") -> Objects:
    """The objects of one of SOURCES, of `pybind11` (a module), of `openssl assembly`, `libcrypto` or `libssl`.

    The first call may take a minute; OpenSSL's libraries, which only gcc compiles, take two.
    """
    if name in _OPENSSL:
        return _openssl_library(name, machine)
    recipe = (compiler(machine, compiled_by), SOURCES.get(name), _MODULE.read_text(), _OPENSSL_C)
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:8]
    with locked(f"objects/{name.replace(' ', '-')}-{machine}-{compiled_by}-{digest}") as target:
        if not target.is_dir():
            unfinished = target.with_name(target.name + ".new")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            if name == "pybind11":
                _pybind11(unfinished, machine, compiled_by)
            elif name == "openssl assembly":
                _openssl_assembly(unfinished, machine, compiled_by)
            else:
                _library(SOURCES[name], unfinished, compiler(machine, compiled_by))
            unfinished.rename(target)
        return Objects(tuple(sorted(target.glob("*.o"))), ("-lm",))


def _compile(command_line: Sequence[str], sources: Sequence[Path], folder: Path) -> None:
    for source in sources:
        command(*command_line, "-c", "-o", folder / f"{source.stem}.o", source)


def _library(source: Source, folder: Path, compile_with: Sequence[str]) -> None:
    home = debsource.source(source.package)
    files = [path for pattern in source.patterns for path in home.glob(pattern) if path.name not in source.left_out]
    _compile([*compile_with, *source.flags], files, folder)


def _pybind11(folder: Path, machine: str, compiled_by: str) -> None:
    """A module with a class, exceptions and containers. Headers for each machine, for a host's own know only itself."""
    headers = root(MACHINES[machine], ["libpython3.11-dev"], dependencies=False) / "usr/include"
    includes = [f"-I{place}" for place in (pybind11.get_include(), headers / "python3.11", headers)]
    _compile([*compiler(machine, compiled_by, cxx=True), "-std=c++17", "-g0", *includes], [_MODULE], folder)


def _openssl_assembly(folder: Path, machine: str, compiled_by: str) -> None:
    crypto = debsource.source("openssl") / "crypto"
    (folder / "variables.c").write_text(_OPENSSL_C)
    patterns, flavour = {
        "aarch64": (("*/asm/*-armv8.pl", "*/asm/*-armv8_64.pl", "arm64cpuid.pl"), "linux64"),
        "x86_64": (("*/asm/*-x86_64.pl", "*/asm/rsaz-avx*.pl", "x86_64cpuid.pl"), "elf"),
    }[machine]
    compile_with = [*compiler(machine, compiled_by), "-Wa,--noexecstack", f"-I{crypto}", f"-I{crypto.parent}/include"]
    # The scripts ask the assembler what it knows.
    environment = os.environ | {"CC": f"{machine}-linux-gnu-gcc"}
    sources = [folder / "variables.c"]
    for script in sorted(path for pattern in patterns for path in crypto.glob(pattern)):
        sources.append(folder / f"{script.stem}.S")
        subprocess.run(["perl", script, flavour, sources[-1]], check=True, env=environment, capture_output=True)
    _compile(compile_with, sources, folder)


def _openssl_library(name: str, machine: str) -> Objects:
    folder = _openssl(machine)
    # As if its list of symbols were new, only the library is linked again.
    words = shlex.split(command("make", "--dry-run", f"--what-if={name}.ld", f"{name}.so.3", cwd=folder))
    files = [folder / word for word in words if word.endswith((".o", ".a"))]
    flags = [word for word in words if word.startswith("-Wl,") and "version-script" not in word]
    script = f"-Wl,--version-script={folder}/{name}.ld"
    more = (folder / "libcrypto.so.3",) if name == "libssl" else ()
    return Objects((*files, *more), (*flags, script))


def _openssl(machine: str) -> Path:
    source = debsource.source("openssl")
    with locked(f"objects/openssl-{machine}") as target:
        if not (target / "libssl.so.3").exists():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            options = [f"linux-{machine}", f"--cross-compile-prefix={machine}-linux-gnu-", "shared", "no-tests"]
            command(source / "Configure", *options, cwd=target)
            command("make", "-j2", "build_generated", cwd=target)
            command("make", "-j2", "libcrypto.so", "libssl.so", cwd=target)
        return target
