"""The Guiles that are installed: running them, and making .go files with their own linker at any alignment.

Guile has no option for the page size it links at, so a linker is derived from the installed `linker.scm` at test
time: the same code, with its constant turned into a variable, called once for each size with the same objects.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tests/guile"
CACHE = ROOT / ".cache/guile"
SIZES = (8, 4096, 16384, 65536)

#: A triplet for each of Guile's four variants; nothing but word size and byte order matters (system/base/target.scm).
VARIANTS = {
    "64-bit-little-endian": "x86_64-linux-gnu",
    "64-bit-big-endian": "s390x-linux-gnu",
    "32-bit-little-endian": "i686-linux-gnu",
    "32-bit-big-endian": "mips-linux-gnu",
}

_EVERY_SIZE = """
(define (link-elf . arguments)
  (for-each
   (lambda (size)
     (set! *lcm-page-size* size)
     (let ((image (apply link-elf-at-one-size arguments)))
       (call-with-output-file (string-append (getenv "LINKED") "." (number->string size) ".go")
         (lambda (port) ((@ (ice-9 binary-ports) put-bytevector) port image))
         #:binary #t)))
   '(8 4096 16384 65536))
  (apply link-elf-at-one-size arguments))
"""


@dataclass(frozen=True)
class Guile:
    """An installed Guile, `3.0` or `2.2`."""

    version: str

    @property
    def program(self) -> str:
        return f"guile-{self.version}"

    @cached_property
    def ccache(self) -> Path:
        """The folder with Guile's own compiled modules."""
        return Path(self._ask("(display (assq-ref %guile-build-info 'ccachedir))"))

    @cached_property
    def sources(self) -> Path:
        """The folder with Guile's own modules as source."""
        return Path(self._ask("(display (assq-ref %guile-build-info 'pkgdatadir))")) / self.version

    @cached_property
    def full_version(self) -> str:
        """For example `3.0.8`."""
        return self._ask("(display (version))")

    def _ask(self, expression: str) -> str:
        return self.run("-c", expression).stdout

    def run(
        self, *arguments: str | Path, env: dict[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run Guile without its habit of compiling on the side."""
        environment = {**os.environ, "GUILE_AUTO_COMPILE": "0", "LC_ALL": "C.UTF-8", **(env or {})}
        return subprocess.run(
            [self.program, *map(str, arguments)], env=environment, check=check, capture_output=True, text=True
        )

    def link_everywhere(
        self, folder: Path, sources: list[Path], target: str = "native", *, mended: bool = True
    ) -> dict[str, dict[int, Path]]:
        """Compile `sources` and link each at every one of SIZES: stem to size to file.

        `mended`: with Guile's text linker corrected for targets of the other byte order, where the stock one is wrong.
        """
        folder.mkdir(parents=True, exist_ok=True)
        tools = [self._derived("linker", _linker)]
        if mended:
            tools.append(self._derived("assembler", _mended_assembler))
        path = ":".join(map(str, tools))
        env = {"GUILE_LOAD_PATH": path, "GUILE_LOAD_COMPILED_PATH": path}
        self.run(HERE / "linkall.scm", folder, target, *sources, env=env)
        return {s.stem: {size: folder / f"{s.stem}.{size}.go" for size in SIZES} for s in sources}

    def _derived(self, name: str, change: Callable[[str], str]) -> Path:
        """A folder with a changed `system/vm/{name}.scm`, compiled; kept from run to run."""
        text = change((self.sources / f"system/vm/{name}.scm").read_text())
        key = hashlib.sha256((self.full_version + text).encode()).hexdigest()[:16]
        folder = CACHE / f"{name}-{key}"
        if not folder.exists():
            draft = CACHE / f"{name}-{key}.{os.getpid()}"
            source = draft / f"system/vm/{name}.scm"
            source.parent.mkdir(parents=True)
            source.write_text(text)
            self.run(HERE / "compile-quickly.scm", source, source.with_suffix(".go"))
            try:
                draft.rename(folder)
            except OSError:  # another worker was faster
                shutil.rmtree(draft)
        return folder


def _linker(text: str) -> str:
    text = _replaced(text, "(define *lcm-page-size* (ash 1 16))", "(define *lcm-page-size* 8)")
    return _replaced(text, "(define* (link-elf objects", "(define* (link-elf-at-one-size objects") + _EVERY_SIZE


def _mended_assembler(text: str) -> str:
    """Patch labels into the text first and swap its bytes afterwards: what a Guile of that byte order would write."""
    swap = "    (unless (eq? (asm-endianness asm) (native-endianness))\n      (byte-swap/4! buf))\n"
    make = "    (make-object asm '.rtl-text\n                 buf\n                 "
    relocs = "(process-relocs buf (asm-relocs asm)\n                                 (asm-labels asm))\n"
    rest = "                 (process-labels (asm-labels asm)))))\n"
    mended = f"    (let ((relocs {relocs}))\n{swap}{make}relocs\n{rest}"
    return _replaced(text, swap + make + relocs + rest, mended.replace("asm)))))", "asm))))))"))


def _replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"this Guile's source does not have {old!r} once"
    return text.replace(old, new)


GUILES = (Guile("3.0"), Guile("2.2"))


@functools.cache
def large_page_library() -> Path:
    """`largepage.c`, built: an LD_PRELOAD library that imitates a kernel with larger pages."""
    source = HERE / "largepage.c"
    library = CACHE / f"largepage-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.so"
    if not library.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        draft = library.with_suffix(f".{os.getpid()}")
        words = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", draft, source, "-ldl"]
        subprocess.run(words, check=True)
        draft.rename(library)
    return library


def large_pages(page_size: int, mapped: Path | None = None) -> dict[str, str]:
    """What makes a program see pages of `page_size` bytes, and list in `mapped` the .go files it maps."""
    listing = {"MAPPED_LIST": str(mapped)} if mapped else {}
    return {"LD_PRELOAD": str(large_page_library()), "LARGE_PAGE": str(page_size), **listing}


def modules() -> list[Path]:
    """The Scheme files of the tests."""
    return sorted((HERE / "modules").glob("*.scm"))
