"""Numbers that several modules name: those of the ELF specification (System V gABI, chapters 4 and 5), and how much of
a file is read for its headers.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: A first read that covers the header and program headers of nearly every file in one go (bytes).
PREFIX: Final = 1024

ELF_MAGIC: Final = b"\x7fELF"

ELFCLASS32: Final = 1
ELFCLASS64: Final = 2
ELFOSABI_STANDALONE: Final = 255

ET_REL: Final = 1
ET_EXEC: Final = 2
ET_DYN: Final = 3
ET_CORE: Final = 4

PT_NULL: Final = 0
PT_LOAD: Final = 1
PT_DYNAMIC: Final = 2
PT_INTERP: Final = 3
PT_NOTE: Final = 4
PT_PHDR: Final = 6
PT_TLS: Final = 7
PT_GNU_EH_FRAME: Final = 0x6474E550
PT_GNU_STACK: Final = 0x6474E551
PT_GNU_RELRO: Final = 0x6474E552
PT_GNU_PROPERTY: Final = 0x6474E553

PF_X: Final = 1
PF_W: Final = 2
PF_R: Final = 4

EM_NONE: Final = 0
EM_386: Final = 3
EM_PPC64: Final = 21
EM_X86_64: Final = 62
EM_AARCH64: Final = 183

PN_XNUM: Final = 0xFFFF
