"""The loaders that are known, by name: what they do is in the modules named after them, and seldom has to be asked."""

from __future__ import annotations

from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class Loader(NamedTuple):
    """One loader. `relro_rounds_up` tells whether the end of RELRO is rounded up to the page, or down.

    `libc` is the one whose dynamic linker a program names, where that changes what becomes of the program's memory.
    """

    name: str
    relro_rounds_up: bool = False
    libc: str = ""


GLIBC_OLD: Final = Loader("glibc<2.35")
GLIBC_NEW: Final = Loader("glibc>=2.35")
MUSL: Final = Loader("musl")
BIONIC: Final = Loader("bionic", relro_rounds_up=True)

#: A program whose RELRO glibc protects, or that has none to do it.
KERNEL: Final = Loader("kernel")
KERNEL_FOR_MUSL: Final = Loader("kernel", libc="musl")
KERNEL_FOR_BIONIC: Final = Loader("kernel", relro_rounds_up=True, libc="bionic")
