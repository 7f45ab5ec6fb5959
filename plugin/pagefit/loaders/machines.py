"""Which page sizes a machine's Linux kernels have.

A file that can only meet 4 KiB pages is not broken for being linked for them: at other sizes it is *not applicable*.
Sources: the `PAGE_SIZE_*`/`HAVE_PAGE_SIZE_*` choices in `arch/*/Kconfig` of Linux 6.12.
"""

from __future__ import annotations

from pagefit.elf import constants as c
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_K: Final = 1024


class Machine(NamedTuple):
    """An `e_machine`: the name people use, and the page sizes (bytes) of its Linux kernels."""

    name: str
    page_sizes: tuple[int, ...]
    #: mmap_min_addr: no executable may be mapped below (bytes); arm's default lets old programs start at 32 KiB.
    lowest_address: int = 64 * _K


_4K: Final = (4 * _K,)

#: By e_machine. What is missing here (GPU code, firmware, BPF) no Linux loader ever maps.
MACHINES: Final[dict[int, Machine]] = {
    2: Machine("sparc", (4 * _K, 8 * _K)),
    3: Machine("i386", _4K),
    4: Machine("m68k", (4 * _K, 8 * _K)),
    8: Machine("mips", (4 * _K, 8 * _K, 16 * _K, 32 * _K, 64 * _K)),
    15: Machine("parisc", (4 * _K, 16 * _K, 64 * _K)),
    18: Machine("sparc32plus", (8 * _K,)),
    20: Machine("ppc", (4 * _K, 16 * _K, 64 * _K, 256 * _K)),
    21: Machine("ppc64", (4 * _K, 64 * _K)),
    22: Machine("s390", _4K),
    # Arm programs run on arm64 kernels too, but those with larger pages are built without 32-bit support.
    40: Machine("arm", _4K, lowest_address=32 * _K),
    42: Machine("sh", (4 * _K, 8 * _K, 16 * _K, 64 * _K)),
    43: Machine("sparc64", (8 * _K,)),
    50: Machine("ia64", (4 * _K, 8 * _K, 16 * _K, 64 * _K)),
    62: Machine("x86-64", _4K),
    92: Machine("or1k", (8 * _K,)),
    94: Machine("xtensa", _4K),
    113: Machine("nios2", _4K),
    164: Machine("hexagon", (4 * _K, 16 * _K, 64 * _K, 256 * _K)),
    183: Machine("aarch64", (4 * _K, 16 * _K, 64 * _K)),
    189: Machine("microblaze", (4 * _K, 16 * _K, 64 * _K)),
    93: Machine("arc", (4 * _K, 8 * _K, 16 * _K)),
    195: Machine("arcv2", (4 * _K, 8 * _K, 16 * _K)),
    243: Machine("riscv", _4K),
    252: Machine("csky", _4K),
    258: Machine("loongarch", (4 * _K, 16 * _K, 64 * _K)),
    0x9026: Machine("alpha", (8 * _K,)),
}

#: Android runs on these machines with these page sizes only: 16 KiB came with Android 15, for 64-bit devices.
ANDROID_PAGE_SIZES: Final[dict[int, tuple[int, ...]]] = {
    3: _4K,
    40: _4K,
    62: (4 * _K, 16 * _K),
    183: (4 * _K, 16 * _K),
    243: (4 * _K, 16 * _K),
}


def lowest_address(number: int) -> int:
    """Where the first page of a program of an e_machine may lie at the lowest."""
    machine = MACHINES.get(number)
    return machine.lowest_address if machine else 64 * _K


def machine_name(number: int) -> str:
    """The name of an e_machine, or its number where this table has none. EM_NONE is any machine's: Guile's files."""
    if number == c.EM_NONE:
        return "any machine"
    machine = MACHINES.get(number)
    return machine.name if machine else f"e_machine {number}"
