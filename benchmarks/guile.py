"""What 64 KiB pages cost Guile's own compiled modules, and how fast pagefit relinks them: prints a Markdown table.

    python benchmarks/guile.py [CCACHE]

CCACHE is a folder of .go files linked for 64 KiB; by default that of the installed `guile`. Each form is packed as one
sorted tar archive with fixed metadata, so that only the contents count.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pagefit.guile import realign

COMPRESSORS = {
    "gzip -9": ["gzip", "-9n"],
    "xz -6": ["xz", "-6", "-T1"],
    "zstd -3": ["zstd", "-3", "-q"],
    "zstd -19": ["zstd", "-19", "-q"],
}


@dataclass(frozen=True)
class Form:
    """One form of the files: sizes in bytes (`on_disk` as `du` counts), and the processor time to relink them all."""

    name: str
    raw: int
    on_disk: int
    compressed: dict[str, int]
    seconds: float | None


def tar(folder: Path, paths: Iterable[Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(paths):
            info = tarfile.TarInfo(str(path))
            info.size = (folder / path).stat().st_size
            with (folder / path).open("rb") as file:
                archive.addfile(info, file)
    return buffer.getvalue()


def measure(name: str, folder: Path, paths: list[Path], seconds: float | None) -> Form:
    archive = tar(folder, paths)
    compressed = {
        label: len(subprocess.run(command, input=archive, capture_output=True, check=True).stdout)
        for label, command in COMPRESSORS.items()
    }
    stats = [(folder / path).stat() for path in paths]
    return Form(name, sum(s.st_size for s in stats), sum(s.st_blocks * 512 for s in stats), compressed, seconds)


def relinked(source: Path, target: Path, paths: list[Path], page_size: int) -> float:
    for path in paths:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
    started = time.process_time()
    for path in paths:
        realign(source / path, target / path, page_size)
    return time.process_time() - started


def forms(ccache: Path) -> Iterable[Form]:
    paths = [path.relative_to(ccache) for path in ccache.rglob("*.go")]
    with tempfile.TemporaryDirectory() as scratch:
        small, large = Path(scratch, "4K"), Path(scratch, "64K")
        to_4k = relinked(ccache, small, paths, 4096)
        to_64k = relinked(small, large, paths, 65536)
        yield measure("4K", small, paths, to_4k)
        yield measure("64K as Guile writes it", ccache, paths, None)
        yield measure("64K as pagefit writes it", large, paths, to_64k)


def main() -> None:
    if len(sys.argv) > 1:
        ccache = Path(sys.argv[1])
    else:
        expression = "(display (assq-ref %guile-build-info 'ccachedir))"
        ccache = Path(subprocess.run(["guile", "-c", expression], capture_output=True, text=True, check=True).stdout)
    print(f"{sum(1 for _ in ccache.rglob('*.go'))} files\n")
    print("| pages | raw | on disk |", " | ".join(COMPRESSORS), "| relinked in (CPU) |")
    print("|---" * (len(COMPRESSORS) + 4) + "|")
    for form in forms(ccache):
        seconds = f"{form.seconds:.1f} s" if form.seconds is not None else "–"
        numbers = [form.raw, form.on_disk, *form.compressed.values()]
        print(f"| {form.name} |", " | ".join(f"{number:,}" for number in numbers), f"| {seconds} |")


if __name__ == "__main__":
    main()
