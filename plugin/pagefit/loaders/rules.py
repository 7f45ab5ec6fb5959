"""The rules a file can break, in words: what `pagefit explain` prints and every report's remedy.

C rules are the C libraries' and the kernel's, G rules are Guile's. What the loaders do is in the modules named after
them.
"""

from __future__ import annotations

from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final


class Rule(NamedTuple):
    """One condition on a file at a page size P (bytes), what breaking it does, and what to do then."""

    id: str
    title: str
    condition: str
    consequence: str
    remedy: str
    source: str


_RELINK: Final = (
    "Run `pagefit align`, or link with -Wl,-z,max-page-size=65536 and leave the file alone afterwards "
    "(strip or patchelf can undo it)."
)
_RELRO: Final = (
    "Link with -Wl,-z,max-page-size=65536 -Wl,-z,common-page-size=65536, so that RELRO begins and ends on page "
    "boundaries."
)
_DAMAGED: Final = (
    "Build or fetch the file again; if it comes out the same, report it to the maker of the tool that wrote it."
)
_RELINK_GUILE: Final = (
    "Run `pagefit align`, which relinks .go files as Guile's own linker would, or compile the module with Guile 2.2 or "
    "3.0, which link for 64 KiB."
)
_COMPILE: Final = "Compile the module again with Guile; what its linker writes passes."

_TABLE: Final = (
    Rule(
        "C1",
        "segment not congruent with its place in the file",
        "For every LOAD, p_vaddr and p_offset leave the same remainder when divided by P.",
        "mmap works in whole pages, so the segment cannot be put where it belongs: glibc and the kernel reject the "
        "file, "
        "musl and bionic map the wrong bytes.",
        _RELINK,
        "glibc elf/dl-load.c; Linux fs/binfmt_elf.c elf_map; musl ldso/dynlink.c map_library; bionic linker_phdr.cpp",
    ),
    Rule(
        "C2",
        "p_align smaller than the page",
        "For every LOAD, p_align is a multiple of P.",
        "glibc before 2.35 rejects the file (RHEL 8, Debian 11), and so does bionic with pages of 16 KiB or more. "
        "Raising p_align alone never mends a file: the layout must follow.",
        _RELINK,
        "glibc 2.34 elf/dl-load.c _dl_map_object_from_fd; bionic linker_phdr.cpp LoadSegments",
    ),
    Rule(
        "C3",
        "p_align contradicts the layout",
        "For every LOAD, p_align is 0, 1 or a power of two that fits the address space, and p_vaddr - p_offset is a "
        "multiple of it.",
        "glibc before 2.35 rejects the file, and strip or objcopy move its segments the next time they write it.",
        _RELINK,
        "gABI 5-2 p_align; glibc 2.34 elf/dl-load.c",
    ),
    Rule(
        "C4",
        "segments out of order, overlapping, or not in the file",
        "There is a LOAD; LOADs ascend by p_vaddr and do not overlap; p_filesz is at most p_memsz; the file holds all "
        "that they map.",
        "No loader checks all of this. Bytes go missing or one segment replaces another.",
        _DAMAGED,
        "gABI 5-2",
    ),
    Rule(
        "C5",
        "page shared by two segments",
        "No page holds bytes of two LOADs.",
        "The page can have the bytes and the rights of one of them only; C6 to C9 say whether that does harm. A "
        "file that "
        "shares pages without harm fits.",
        _RELINK,
        "mmap(2); every loader maps whole pages",
    ),
    Rule(
        "C6",
        "shared page holds another segment's bytes",
        "Two LOADs that share a page have the same p_vaddr - p_offset.",
        "The one that is mapped last brings its own page of the file, and the other's bytes are gone.",
        _RELINK,
        "glibc elf/dl-map-segments.h; musl map_library (which keeps the first LOAD's page instead)",
    ),
    Rule(
        "C7",
        "shared page lost the right to execute or write",
        "Where two LOADs share a page, the rights it ends up with cover what each of them needs.",
        "SIGSEGV when the code runs or the data is written, at the latest; often while the file is loaded.",
        _RELINK,
        "mmap(2): rights belong to pages",
    ),
    Rule(
        "C8",
        "variables that should be zero are not",
        "Every byte behind p_filesz, up to p_memsz, reads as zero once the file is loaded.",
        "The file loads without a word, and global variables start with whatever the file has there.",
        _RELINK,
        "gABI 5-2 p_memsz; glibc elf/dl-map-segments.h: a later LOAD replaces a page whose tail was cleared",
    ),
    Rule(
        "C9",
        "zeros written over another segment",
        "No LOAD's zero fill reaches into another LOAD's bytes: none with p_filesz 0 starts inside another's page, and "
        "under musl no writable LOAD shares a page.",
        "The other segment's bytes are wiped. The kernel maps zeros from the start of the page; musl gives what is "
        "left of "
        "a writable segment's pages to malloc, cleared, when the library is loaded at program start.",
        _RELINK,
        "Linux 6.12 fs/binfmt_elf.c elf_load; musl ldso/dynlink.c reclaim_gaps, mallocng donate",
    ),
    Rule(
        "C10",
        "holes that begin behind the last segment",
        "When the LOADs leave holes between them, the last one starts behind the pages of the first.",
        "glibc computes a hole of negative size and rejects the file.",
        _RELINK,
        "glibc elf/dl-map-segments.h _dl_map_segments",
    ),
    Rule(
        "C11",
        "RELRO takes rights from what precedes it",
        "The page in which PT_GNU_RELRO begins holds no writable or executable bytes in front of it (.dynamic apart).",
        "After relocation the page becomes read-only: SIGSEGV at the first write or call.",
        _RELRO,
        "glibc elf/dl-reloc.c _dl_protect_relro; musl; bionic",
    ),
    Rule(
        "C12",
        "RELRO ends inside a page",
        "PT_GNU_RELRO ends on a page boundary, or (for bionic) nothing writable follows it in its last page.",
        "bionic makes the whole page read-only: SIGSEGV at the first write to what follows. glibc and musl leave it "
        "writable: the file works, with less of it protected.",
        _RELRO,
        "glibc elf/dl-reloc.c _dl_protect_relro; bionic linker_phdr.cpp _phdr_table_set_gnu_relro_prot",
    ),
    Rule(
        "C13",
        "RELRO does not meet Android's 16 KiB app check",
        "PT_GNU_RELRO starts on a page boundary or with its LOAD, and ends on one or with its LOAD.",
        "It runs; Android warns the user of the app, and the store's report lists it.",
        _RELRO,
        "bionic linker_phdr_16kib_compat.cpp",
    ),
    Rule(
        "C14",
        "RELRO reaches beyond what is mapped",
        "PT_GNU_RELRO lies within the pages of its LOAD.",
        "mprotect fails with ENOMEM and the loader rejects the file. Smaller pages break this, not larger ones.",
        _RELRO,
        "glibc elf/dl-reloc.c _dl_protect_relro; mprotect(2)",
    ),
    Rule(
        "C15",
        "program headers not in memory",
        "The program header table (e_phoff, PT_PHDR) lies inside a LOAD.",
        "bionic rejects the file; a program gets no AT_PHDR from the kernel and dies before main; glibc reads "
        "unmapped memory.",
        _DAMAGED,
        "bionic linker_phdr.cpp CheckPhdr; Linux fs/binfmt_elf.c",
    ),
    Rule(
        "C16",
        "program starts below the lowest address allowed",
        "The lowest page of an ET_EXEC program is not below mmap_min_addr (64 KiB; 32 KiB on arm).",
        "execve kills the process.",
        "Link the program as position-independent (-pie), or at a higher address (-Wl,-Ttext-segment=0x400000).",
        "Linux Documentation/admin-guide/sysctl/vm.rst mmap_min_addr",
    ),
    Rule(
        "C17",
        "stored library not at a page boundary of its archive",
        "A library that Android maps straight from the apk (stored, not compressed) begins at a multiple of P.",
        "The linker cannot map it.",
        "Run `zipalign -P 16` on the finished apk, or compress the library.",
        "bionic linker.cpp open_library_in_zipfile",
    ),
    Rule(
        "C18",
        "allocator built for one page size",
        "No allocator with a built-in page size smaller than P is linked into the file.",
        "The layout fits, and the program aborts when it starts: `<jemalloc>: Unsupported system page size`.",
        "Build jemalloc with --with-lg-page=16 (Rust: JEMALLOC_SYS_WITH_LG_PAGE=16), which serves every smaller "
        "page too.",
        "jemalloc src/pages.c pages_boot",
    ),
    Rule(
        "G1",
        "Guile: p_align smaller than the page",
        "For every LOAD of a Guile object file that is not read-only, p_align is at least P.",
        "Guile leaves the segment read-only, and the code that patches the module's constants at load time writes to "
        "it: SIGSEGV.",
        _RELINK_GUILE,
        "Guile 2.1.8 to 3.0.9, libguile/loader.c load_thunk_from_memory",
    ),
    Rule(
        "G2",
        "Guile 2.1.6 and 2.1.7: p_align differs from the page",
        "For every LOAD of a Guile object file that is not read-only, p_align is P.",
        "Guile leaves the segment read-only and the module dies, also when p_align is larger than the page.",
        "Use Guile 2.2 or newer.",
        "Guile 2.1.6, libguile/loader.c",
    ),
    Rule(
        "G3",
        "Guile 2.1.0 to 2.1.5: p_align is not 4096",
        "For every LOAD of a Guile object file that is not read-only, p_align is 4096.",
        "Guile leaves the segment read-only and the module dies, whatever the page size.",
        "Use Guile 2.2 or newer, and compile the module with it.",
        "Guile 2.1.0, libguile/loader.c",
    ),
    Rule(
        "G4",
        "Guile: writable segment not on a page boundary",
        "For every LOAD of a Guile object file that is not read-only, p_vaddr is a multiple of P.",
        "mprotect fails with EINVAL; Guile prints a warning and runs the module from source, slowly, or fails where "
        "there is none.",
        _RELINK_GUILE,
        "libguile/loader.c load_thunk_from_memory; mprotect(2)",
    ),
    Rule(
        "G5",
        "Guile: headers that its loader does not accept",
        "The first segment of a Guile object file is a LOAD at address 0; there is one PT_DYNAMIC and nothing but "
        "LOADs besides; all lie in the file, have p_flags and p_filesz = p_memsz, and do not overlap.",
        "Guile prints a warning and runs the module from source, slowly, or fails where there is none.",
        _COMPILE,
        "libguile/loader.c load_thunk_from_memory",
    ),
    Rule(
        "G6",
        "Guile: segment not at its address in the file",
        "For every LOAD of a Guile object file, p_offset is p_vaddr.",
        "Guile maps the file as one piece and takes p_vaddr for the offset: the module runs with the wrong bytes.",
        _COMPILE,
        "libguile/loader.c load_thunk_from_memory",
    ),
)

#: Every rule by its id.
RULES: Final[Mapping[str, Rule]] = {rule.id: rule for rule in _TABLE}
