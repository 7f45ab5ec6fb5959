"""The dynamic section (gABI 5-10), by the program header that loaders find it by."""

from __future__ import annotations

from pagefit.elf import constants as c
from pagefit.elf.sections import ElfFile
from pagefit.errors import InputError
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

DT_NULL: Final = 0
DT_PLTRELSZ: Final = 2
DT_PLTGOT: Final = 3
DT_RELA: Final = 7
DT_RELASZ: Final = 8
DT_REL: Final = 17
DT_RELSZ: Final = 18
DT_PLTREL: Final = 20
DT_TEXTREL: Final = 22
DT_JMPREL: Final = 23
DT_FLAGS: Final = 30
DT_RELRSZ: Final = 35
DT_RELR: Final = 36
DT_ANDROID_REL: Final = 0x6000000F
DT_ANDROID_RELSZ: Final = 0x60000010
DT_ANDROID_RELA: Final = 0x60000011
DT_ANDROID_RELASZ: Final = 0x60000012
DT_ANDROID_RELR: Final = 0x6FFFE000
DT_ANDROID_RELRSZ: Final = 0x6FFFE001
DT_GNU_PRELINKED: Final = 0x6FFFFDF5
DT_GNU_CONFLICT: Final = 0x6FFFFEF8
DT_MIPS_RLD_MAP_REL: Final = 0x70000035
DF_TEXTREL: Final = 4

#: Tags whose value is an address (d_ptr), and so moves with what it points to.
POINTERS: Final = frozenset(
    {3, 4, 5, 6, 7, 12, 13, 17, 23, 25, 26, 32, 34, 36}  # gABI: PLTGOT, HASH, … PREINIT_ARRAY, SYMTAB_SHNDX, RELR
    | {DT_ANDROID_REL, DT_ANDROID_RELA, DT_ANDROID_RELR}
    | {0x6FFFFEF5, 0x6FFFFEF6, 0x6FFFFEF7, 0x6FFFFEF8, 0x6FFFFEF9}  # GNU_HASH, TLSDESC_PLT/GOT, CONFLICT, LIBLIST
    | {0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFE}  # VERSYM, VERDEF, VERNEED
)

#: Tags of single processors whose value is an address, by e_machine.
MACHINE_POINTERS: Final = {
    8: frozenset({0x70000006, 0x70000016}),  # MIPS: BASE_ADDRESS, RLD_MAP
    20: frozenset({0x70000000}),  # PowerPC: GOT
    c.EM_PPC64: frozenset({0x70000000, 0x70000001}),  # GLINK, OPD
}


class Entry(NamedTuple):
    """One tag and its value; `address` and `offset` (in the file) of the entry itself, in bytes."""

    tag: int
    value: int
    address: int
    offset: int


def entries(file: ElfFile) -> list[Entry]:
    """The dynamic section up to DT_NULL; empty when the file has none. Raises InputError when it is not in the file."""
    segment = file.image.first(c.PT_DYNAMIC)
    if segment is None or segment.filesz == 0:
        return []
    if segment.file_end > file.image.size:
        raise InputError("the dynamic section reaches behind the end of the file", where=file.where)
    record = file.struct("PP")
    found: list[Entry] = []
    for start in range(0, segment.filesz - record.size + 1, record.size):
        tag, value = record.unpack_from(file.data, segment.offset + start)
        if tag == DT_NULL:
            break
        found.append(Entry(tag, value, segment.vaddr + start, segment.offset + start))
    return found


def tags(file: ElfFile) -> dict[int, int]:
    """The value of each tag; the last when one occurs several times."""
    return {entry.tag: entry.value for entry in entries(file)}
