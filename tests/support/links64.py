"""The same objects linked for 4K pages and for 64K pages: what relinking without objects is held against."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pagefit.elf.sections import open_elf


@dataclass(frozen=True)
class Pair:
    """One link done twice: by the linker for 4K pages, and for 64K pages."""

    small: Path
    large: Path


GCC = ("aarch64-linux-gnu-gcc", "-O2", "-fPIC")
GXX = ("aarch64-linux-gnu-g++", "-O2", "-fPIC")
CLANG = ("clang", "--target=aarch64-linux-gnu", "-O2", "-fPIC")
CLANGXX = ("clang++", "--target=aarch64-linux-gnu", "-O2", "-fPIC")
LINKERS = ("bfd", "lld", "mold")

#: clang finds all linkers for aarch64; a cross gcc finds only its own.
_LINK = ("clang++", "--target=aarch64-linux-gnu", "-Wl,--build-id=none")


def build(compiler: Sequence[str], folder: Path, sources: Sequence[Path]) -> list[Path]:
    """Compile each source to an object file in `folder`."""
    objects = [folder / f"{source.stem}.o" for source in sources]
    for source, target in zip(sources, objects, strict=True):
        subprocess.run([*compiler, "-c", "-o", target, source], check=True, capture_output=True)
    return objects


def link(
    objects: Sequence[Path], output: Path, page_size: int, *flags: str, linker: str = "bfd", shared: bool = True
) -> Path:
    """Link objects for aarch64 pages of `page_size`. No build-id: it is a hash of the addresses, too."""
    sizes = f"-Wl,-z,max-page-size={page_size},-z,common-page-size={page_size}"
    shape = "-shared" if shared else "-pie"
    command = [*_LINK, f"-fuse-ld={linker}", shape, *flags, sizes, "-o", output, *objects]
    subprocess.run(command, check=True, capture_output=True)
    return output


def link_pair(objects: Sequence[Path], folder: Path, *flags: str, shared: bool = True) -> Pair:
    """Link objects with GNU ld twice: for 4K pages and for 64K pages."""
    return Pair(*(link(objects, folder / f"linked-{size}.so", size, *flags, shared=shared) for size in (4096, 65536)))


def differences(ours: Path, theirs: Path) -> list[str]:
    """The sections of memory image, symbol table and debugging information that differ in address, size or bytes."""
    with open_elf(ours) as a, open_elf(theirs) as b:
        assert [s.name for s in a.sections] == [s.name for s in b.sections]
        return [
            s.name
            for s, t in zip(a.sections, b.sections, strict=True)
            if (s.alloc or s.name.startswith((".symtab", ".debug")))
            and ((s.addr, s.size, s.type) != (t.addr, t.size, t.type) or a.contents(s) != b.contents(t))
        ]
