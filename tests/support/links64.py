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


def link(
    compiler: Sequence[str], folder: Path, sources: Sequence[Path], flags: Sequence[str] = (), linker: str = "bfd"
) -> Pair:
    """Compile once, link twice. No build-id: it is a hash of the addresses, too."""
    objects = []
    for source in sources:
        target = folder / f"{source.stem}.o"
        compile_flags = [flag for flag in flags if not flag.startswith("-Wl,") and flag not in ("-shared", "-pie")]
        subprocess.run([*compiler, *compile_flags, "-c", "-o", target, source], check=True, capture_output=True)
        objects.append(target)
    outputs = []
    for size in (4096, 65536):
        output = folder / f"linked-{size}.so"
        sizes = f"-Wl,-z,max-page-size={size},-z,common-page-size={size},--build-id=none"
        subprocess.run(
            [*compiler, f"-fuse-ld={linker}", *flags, sizes, "-o", output, *objects], check=True, capture_output=True
        )
        outputs.append(output)
    return Pair(*outputs)


def differences(ours: Path, theirs: Path) -> list[str]:
    """The SHF_ALLOC sections that differ in name, address, size or bytes."""
    with open_elf(ours) as a, open_elf(theirs) as b:
        assert [s.name for s in a.sections] == [s.name for s in b.sections]
        return [
            s.name
            for s, t in zip(a.sections, b.sections, strict=True)
            if s.alloc and ((s.addr, s.size, s.type) != (t.addr, t.size, t.type) or a.contents(s) != b.contents(t))
        ]
