"""Which loaders meet a file: its header says most, its dynamic section the rest.

A shared object meets glibc (both generations) and musl, an Android one bionic, a program the kernel. Which libc a
shared object is for, and whether a file without PT_INTERP is a static-pie program, only its dynamic section tells.
That lies near the end of the file, so it is read only when the answer changes the verdict.
"""

from __future__ import annotations

import struct

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, ReadAt
from pagefit.loaders.loader import (
    BIONIC,
    GLIBC_NEW,
    GLIBC_OLD,
    KERNEL,
    KERNEL_FOR_BIONIC,
    KERNEL_FOR_MUSL,
    MUSL,
    Loader,
)
from pagefit.loaders.machines import ANDROID_PAGE_SIZES, MACHINES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_OSABI_LINUX: Final = (0, 3)
_DYNAMIC_AT_MOST: Final = 1 << 16
_PATH_AT_MOST: Final = 4096
#: Where linkers put the notes that crt files leave: behind the program headers (bytes).
_NEAR_THE_START: Final = 4096
_NAME_AT_MOST: Final = 64

_DT_NEEDED: Final = 1
_DT_STRTAB: Final = 5
_DT_SONAME: Final = 14
_DT_FLAGS_1: Final = 0x6FFFFFFB
_DF_1_PIE: Final = 0x08000000

#: How names begin that only glibc's libraries have; musl puts everything into one.
_GLIBC: Final = (
    "libc.so.",
    "libm.so.",
    "libdl.so.",
    "libpthread.so.",
    "librt.so.",
    "libutil.so.",
    "ld-linux",
    "ld64.so",
)
_LIBC: Final = (GLIBC_OLD, GLIBC_NEW, MUSL)


def loaded_by_linux(image: Image) -> bool:
    """Whether any loader we know maps this file into a process.

    False for object files, core dumps, other systems' files, GPU code, firmware, the kernel itself and separate debug
    files.
    """
    header = image.header
    if header.type not in (c.ET_DYN, c.ET_EXEC) or header.machine not in MACHINES or header.osabi not in _OSABI_LINUX:
        return False
    dynamic = image.first(c.PT_DYNAMIC)
    # objcopy --only-keep-debug keeps the program headers and drops the bytes; glibc knows such files by this, too.
    if dynamic is not None and dynamic.filesz == 0:
        return False
    kernel_space = 1 << 63 if header.bits == 64 else 0xC0000000
    return not [load for load in image.loads if load.vaddr >= kernel_space]


def is_android(image: Image, read: ReadAt) -> bool:
    """Whether Android's linker is meant: its PT_INTERP, or the note that its crt files leave, near the file's start."""
    if image.header.machine not in ANDROID_PAGE_SIZES:
        return False
    if interpreter(image, read).startswith("/system/bin/linker"):
        return True
    return any(
        b"Android\0" in read(note.offset, note.filesz)
        for note in image.of_type(c.PT_NOTE)
        if note.file_end <= _NEAR_THE_START
    )  # fmt: skip


def interpreter(image: Image, read: ReadAt) -> str:
    """The path in PT_INTERP, or nothing."""
    segment = image.first(c.PT_INTERP)
    if segment is None:
        return ""
    return read(segment.offset, min(segment.filesz, _PATH_AT_MOST)).rstrip(b"\0").decode("utf-8", "replace")


def candidates(image: Image, read: ReadAt, *, android: bool) -> tuple[tuple[Loader, ...], tuple[Loader, ...]]:
    """The loaders a file most likely meets, and those it may meet besides, from what lies in its first bytes."""
    if image.header.type == c.ET_EXEC:
        return (_kernel(image, read),), ()
    library = (BIONIC,) if android else _LIBC
    if image.first(c.PT_INTERP) is not None:
        return (_kernel(image, read),), library
    # Older GNU linkers set e_entry in shared objects, too; without it nothing can be a program.
    return library, (KERNEL,) if image.header.entry else ()


def settle(image: Image, read: ReadAt, *, android: bool) -> tuple[Loader, ...]:
    """The loaders a file does meet, from its dynamic section."""
    if image.header.type == c.ET_EXEC:
        return (_kernel(image, read),)
    pie, soname, names = _dynamic(image, read)
    if pie or (image.first(c.PT_INTERP) is not None and not soname):
        return (_kernel(image, read),)
    # A libc can be both: started to print its version, and mapped by ld.so.
    also_program = (_kernel(image, read),) if image.first(c.PT_INTERP) is not None else ()
    if android:
        return (BIONIC, *also_program)
    if any(needed.startswith(_GLIBC) for needed in names):
        return (GLIBC_OLD, GLIBC_NEW, *also_program)
    if any(needed.startswith("libc.musl") or needed == "libc.so" for needed in names):
        return (MUSL, *also_program)
    return (*_LIBC, *also_program)


def _kernel(image: Image, read: ReadAt) -> Loader:
    path = interpreter(image, read)
    if path.startswith("/system/bin/linker"):
        return KERNEL_FOR_BIONIC
    return KERNEL_FOR_MUSL if "/ld-musl-" in path else KERNEL


def _dynamic(image: Image, read: ReadAt) -> tuple[bool, bool, list[str]]:
    """What the dynamic section says: whether the file is a program, whether it has a name, and what it needs."""
    segment = image.first(c.PT_DYNAMIC)
    if segment is None:
        return False, False, []
    entry = struct.Struct(image.header.endian + ("QQ" if image.header.bits == 64 else "II"))
    table = read(segment.offset, min(segment.filesz, _DYNAMIC_AT_MOST))
    tags: list[tuple[int, int]] = []
    for tag, value in entry.iter_unpack(table[: len(table) // entry.size * entry.size]):
        if tag == 0:
            break
        tags.append((tag, value))
    strtab = next((value for tag, value in tags if tag == _DT_STRTAB), 0)
    load = next((load for load in image.loads if load.vaddr <= strtab < load.file_vend), None)
    needed: list[str] = []
    if load is not None:
        for name in (value for tag, value in tags[:256] if tag == _DT_NEEDED):
            text = read(strtab - load.delta + name, _NAME_AT_MOST)
            needed.append(text.partition(b"\0")[0].decode("utf-8", "replace"))
    pie = any(tag == _DT_FLAGS_1 and value & _DF_1_PIE for tag, value in tags)
    return pie, any(tag == _DT_SONAME for tag, _ in tags), needed
