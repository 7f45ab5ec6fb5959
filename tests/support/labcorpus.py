"""Crafted ELF files that break the loaders' rules one at a time, and clean twins.

A real linker links each case at the addresses that the case names; then the file is laid out anew: every LOAD's bytes
go to the offset that the case wants (`p_vaddr - delta`), the gaps are filled, and single fields of the program headers
change. Only the layout is unusual: every LOAD has its own bytes in the file.

    segment 0  R    ELF header, program headers, dynamic tables, rodata
            1  RX   code
            2  RW   RELRO (.dynamic, .got, pointers), data, bss
            3  R    tail, as tools append it that edit files after linking
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, Segment
from support import labelf
from support.lab import MACHINES
from support.labroots import CACHE, command

_K4, _K64 = 4096, 65536
_RODATA, _CODE, _DATA, _BSS, _TAIL = 0x400, 0x300, 0x500, 0x1900, 0x280

Edit = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """One crafted file.

    `vaddrs`: addresses of the four LOADs (bytes); `deltas`: their `p_vaddr - p_offset`; `aligns`: their p_align.
    `data_first` puts .data before RELRO; `relro_size` is what RELRO is filled up to (bytes); `fill` is the byte between
    the LOADs in the file; `edits` come last; `kind` is a key of `_KINDS`. `luck`: the loader maps over addresses
    that it has not reserved, and what it destroys there depends on the process. `only`: architectures on which nothing
    lies behind a new library.
    """

    name: str
    vaddrs: tuple[int, int, int, int] = (0, _K64, 2 * _K64, 3 * _K64)
    deltas: tuple[int, int, int, int] = (0, 0, 0, 0)
    aligns: tuple[int, int, int, int] = (_K64, _K64, _K64, _K64)
    data_first: bool = False
    relro_size: int = 0x1000
    fill: int = 0xCC
    edits: tuple[Edit, ...] = ()
    kind: str = "shared"
    luck: bool = False
    only: tuple[str, ...] = ()


def change(index: int, **fields: int) -> Edit:
    """Set fields of the LOAD with this number."""
    return lambda data: labelf.edit(data, lambda image: image.loads[index], **fields)


def relro(**fields: int) -> Edit:
    """Set fields of PT_GNU_RELRO."""
    return lambda data: labelf.edit(data, _relro, **fields)


def adjust(pick: Callable[[Image], Segment], **differences: int) -> Edit:
    """Add to fields of a segment."""

    def edit(data: bytes) -> bytes:
        segment = pick(labelf.parse(data))
        return labelf.put(data, segment._replace(**{f: getattr(segment, f) + d for f, d in differences.items()}))

    return edit


def swap(first: int, second: int) -> Edit:
    """Exchange two LOADs in the program header table."""

    def edit(data: bytes) -> bytes:
        a, b = (labelf.parse(data).loads[index] for index in (first, second))
        return labelf.put(labelf.put(data, a._replace(index=b.index)), b._replace(index=a.index))

    return edit


def cut(number: int) -> Edit:
    """Cut bytes off the end of the file."""
    return lambda data: data[:-number]


def _relro(image: Image) -> Segment:
    return next(s for s in image.segments if s.type == c.PT_GNU_RELRO)


def _load(index: int) -> Callable[[Image], Segment]:
    return lambda image: image.loads[index]


# Addresses 4K apart, as a linker lays out for 4K pages, the file being the image of memory.
_NEAR = (0, 0x2000, 0x4000, 0x8000)
_ALIGN4 = (_K4,) * 4

# The tail begins in the 64K page (and its own 16K page) where the bss of segment 2 ends, so that the two share it.
_SHARED = (0, _K64, 2 * _K64, 0x28000)
_WRITABLE = change(3, flags=c.PF_R | c.PF_W)

CASES = (
    Case("clean-64k"),
    Case("clean-64k-dense", vaddrs=(0, 0x10C00, 0x21000, 0x34000), deltas=(0, _K64, 2 * _K64, 3 * _K64)),
    Case("clean-4k", vaddrs=_NEAR, aligns=_ALIGN4),
    Case("c1-4k-linked", vaddrs=(0, 0x3000, 0x7000, 0xB000), deltas=(0, 0x1000, 0x3000, 0x4000), aligns=_ALIGN4),
    Case("c1-one-16k", deltas=(0, 0, 0, 0x4000), aligns=(_K64, _K64, _K64, 0x4000)),
    Case("c1-first-4k", vaddrs=(_K4, _K64, 2 * _K64, 3 * _K64), deltas=(_K4, 0, 0, 0)),
    Case("c2-align-4k", aligns=_ALIGN4),
    Case("c2-align-16k", aligns=(0x4000,) * 4),
    Case("c2-tail-align-4k", aligns=(_K64, _K64, _K64, _K4)),
    Case("c3-align-0", aligns=(0,) * 4),
    Case("c3-align-1", aligns=(1,) * 4),
    Case("c3-delta-not-align", deltas=(0, 0, 0, -_K64), aligns=(_K64, _K64, _K64, 2 * _K64)),
    Case("c3-align-no-power", aligns=(_K64, _K64, _K64, 3 * _K64)),
    Case("c4-memsz-below-filesz", edits=(adjust(_load(3), memsz=-0x100),)),
    Case("c4-cut-off", edits=(cut(0x100),)),
    Case("c4-descending", vaddrs=(0, 2 * _K64, 4 * _K64, 6 * _K64), edits=(swap(1, 3),), luck=True),
    Case("c4-swapped-inside", edits=(swap(1, 2),)),
    Case("c4-overlap-same-bytes", edits=(adjust(_load(0), filesz=_K64 - 0x500, memsz=_K64 - 0x500),)),
    Case("c6-other-bytes", vaddrs=_SHARED, deltas=(0, 0, 0, -_K64)),
    Case("c6-other-bytes-4k", vaddrs=(0, 0x3C00, 0x6000, 0xA000), deltas=(0, -_K64, -_K64, -_K64), aligns=_ALIGN4),
    Case("c6-code-replaced", vaddrs=(0, _K64, 0x14000, 3 * _K64), deltas=(0, 0, -_K64, -_K64)),
    Case("c7-code-loses-x", vaddrs=(0, _K64, 2 * _K64, 0x18000), edits=(swap(2, 3), swap(1, 2))),
    Case("c7-x-lost", vaddrs=(0, _K64, 0x14000, 3 * _K64)),
    Case("c7-x-kept", vaddrs=(0, _K64, 0x14000, 3 * _K64), edits=(change(2, flags=c.PF_R | c.PF_W | c.PF_X),)),
    Case("c7-w-lost", vaddrs=_SHARED, fill=0),
    Case("c7-headers-lose-nothing", vaddrs=(0, 0x4000, 2 * _K64, 3 * _K64)),
    Case("c8-bss-dirty", vaddrs=_SHARED, edits=(_WRITABLE,)),
    Case("c8-bss-zero-after-all", vaddrs=_SHARED, fill=0, edits=(_WRITABLE,)),
    Case("c8-bss-dirty-read-only", vaddrs=_SHARED),
    Case("c9-empty-load", vaddrs=_SHARED, edits=(change(3, filesz=0, flags=c.PF_R | c.PF_W),)),
    Case("c10-hole", vaddrs=(0, 0x1000, 0x2000, 0x9000), aligns=_ALIGN4),
    Case("c11-data-before-relro", data_first=True),
    Case("c11-data-before-relro-4k", data_first=True, vaddrs=_NEAR, aligns=_ALIGN4),
    Case("c11-data-before-long-relro", data_first=True, relro_size=_K64, vaddrs=(0, _K64, 2 * _K64, 5 * _K64)),
    Case("c14-relro-behind-everything", edits=(relro(memsz=2 * _K64),), only=("aarch64", "ppc64le")),
    Case("relro-over-a-hole", edits=(relro(memsz=0x9000),)),
    Case("relro-over-the-next-load", edits=(relro(memsz=0x11000),)),
    Case("relro-unaligned-end", relro_size=0x800),
    Case("relro-16k-end", relro_size=0x4000, vaddrs=(0, _K64, 2 * _K64, 5 * _K64)),
    Case("relro-64k-end", relro_size=_K64, vaddrs=(0, _K64, 2 * _K64, 5 * _K64)),
    Case("relro-empty", edits=(relro(memsz=0, filesz=0),)),
)


def cases(arch: str) -> tuple[Case, ...]:
    """The cases to try on an architecture."""
    return tuple(case for case in CASES if not case.only or arch in case.only)


_WITHOUT_HEADERS = adjust(_load(0), offset=0x200, vaddr=0x200, filesz=-0x200, memsz=-0x200)

#: What the position-independent programs name in PT_INTERP, and what has to lie there: something that ends at once.
#: Its last LOAD is writable, because kernels before 6.6 clear an interpreter's last page.
INTERPRETER = "/interpreter"
STAND_IN = Case("interpreter", edits=(_WRITABLE,), kind="static-pie")

#: Programs, which the kernel maps. The first two lie at fixed addresses, as `-no-pie` links them.
_BASE = 0x400000
_FIXED = tuple(_BASE + n * _K64 for n in range(4))
PROGRAMS = (
    Case("exec-clean-64k", vaddrs=_FIXED, deltas=(_BASE,) * 4, kind="exec"),
    Case("exec-c16-low", vaddrs=tuple(0x2000 + n * _K64 for n in range(4)), deltas=(0x2000,) * 4, kind="exec"),
    *(
        dataclasses.replace(case, name=f"pie-{case.name}", kind="pie")
        for case in CASES
        if not case.name.startswith(("c2-", "c3-", "c4-cut", "c11-", "c14-", "relro-"))
    ),
    Case("pie-c15-headers-in-no-load", edits=(_WITHOUT_HEADERS,), kind="pie"),
)


def craft(arch: str, case: Case, folder: Path) -> Path:
    """Make one case for one architecture; the file is `folder/name.so`, or without a suffix for a program."""
    linked = _link(arch, case, folder)
    image = labelf.parse(linked)
    loads = [
        s._replace(offset=s.vaddr - delta, align=align)
        for s, delta, align in zip(image.loads, case.deltas, case.aligns, strict=True)
    ]
    data = bytearray([case.fill]) * max(load.file_end for load in loads)
    for old, new in zip(image.loads, loads, strict=True):
        data[new.offset : new.file_end] = linked[old.offset : old.file_end]
    places = sorted((load.offset, load.file_end) for load in loads)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(places)), f"{case.name}: bytes overlap"
    result = _without_sections(bytes(data))
    for new in loads:
        result = labelf.put(result, new)
    for s in image.segments:
        if s.memsz and s.type != c.PT_LOAD:
            (home,) = (load for load in loads if load.vaddr <= s.vaddr < load.vend)
            kind = c.PT_GNU_RELRO if s.type == _RELRO_TYPE else s.type
            result = labelf.put(result, s._replace(type=kind, offset=s.vaddr - home.delta))
    for edit in case.edits:
        result = edit(result)
    target = folder / (f"{case.name}.so" if case.kind == "shared" else case.name)
    target.write_bytes(result)
    target.chmod(0o755)
    return target


def _link(arch: str, case: Case, folder: Path) -> bytes:
    script, linked = folder / f"{case.name}.ld", folder / f"{case.name}.linked"
    script.write_text(_script(case))
    words = [*_KINDS[case.kind], "-z", "max-page-size=4096", "-z", "common-page-size=4096"]
    words += ["--hash-style=sysv", "--build-id=none"]
    command(f"{MACHINES[arch].triplet}-ld", *words, "-T", script, "-o", linked, _object(arch))
    return linked.read_bytes()


_KINDS = {
    "shared": ("-shared",),
    "pie": ("-pie", "--no-dynamic-linker", "-e", "_start"),
    "static-pie": ("-pie", "--no-dynamic-linker", "-e", "_start"),
    "exec": ("-no-pie", "-e", "_start"),
}

#: A program that ends at once and well, in the assembler of each architecture that programs are tried on.
_START = {
    "aarch64": "mov x0, #0; mov x8, #93; svc #0",
    "ppc64le": "li 0, 1; li 3, 0; sc",
    "x86_64": "mov $60, %eax; xor %edi, %edi; syscall",
}

#: GNU ld makes no PT_GNU_RELRO from a script's own list; this type stands for it in the linked file.
_RELRO_TYPE = 0x6FFF0001

_SOURCE = f"""
#define FILLED(where, name, size) \\
    __attribute__((section(where), used)) const unsigned char name[size] = {{[0 ... size - 1] = 0xA5}}
FILLED(".tables", rodata, {_RODATA});
FILLED(".code", code, {_CODE});
FILLED(".tail", tail, {_TAIL});
unsigned char data[{_DATA}] = {{[0 ... {_DATA} - 1] = 0x5A}};
void *pointer = data;
void *const pointers[8] = {{[0 ... 7] = data}};
unsigned char bss[{_BSS}];
"""


@functools.cache
def _object(arch: str) -> Path:
    folder = CACHE / "pagelab"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"corpus-{arch}.o"
    source = target.with_suffix(".c")
    source.write_text(
        f'{_SOURCE}__asm__(".text; .globl _start; _start: {_START.get(arch, "")}");\n'
        f'__attribute__((section(".interp"), used)) const char interpreter[] = "{INTERPRETER}";\n'
    )
    command(MACHINES[arch].compiler, "-fPIC", "-fno-asynchronous-unwind-tables", "-c", "-o", target, source)
    return target


_MIPS = ".reginfo : { *(.reginfo) } :r .MIPS.abiflags : { *(.MIPS.abiflags) } :r"


def _script(case: Case) -> str:
    protected = f"""
        .dynamic : {{ *(.dynamic) }} :rw {"" if case.kind == "exec" else ":dynamic"} :relro
        .got : {{ *(.got) *(.got.plt) *(.toc) *(.data.rel.ro*) . = ALIGN({case.relro_size}); }} :rw :relro"""
    plain = ".data : { *(.data) *(.data.rel) *(.sdata) } :rw"
    first, second = (plain, f". = ALIGN(4096);{protected}") if case.data_first else (protected, plain)
    interp, discarded = ("interp PT_INTERP FLAGS(4);", "") if case.kind == "pie" else ("", "*(.interp)")
    dynamic = "" if case.kind == "exec" else "dynamic PT_DYNAMIC FLAGS(6);"
    return f"""
        PHDRS {{
            {interp}
            r PT_LOAD FILEHDR PHDRS FLAGS(4); rx PT_LOAD FLAGS(5); rw PT_LOAD FLAGS(6); tail PT_LOAD FLAGS(4);
            {dynamic} relro {_RELRO_TYPE} FLAGS(4);
        }}
        SECTIONS {{
            . = {case.vaddrs[0]} + SIZEOF_HEADERS;
            {".interp : { *(.interp) } :r :interp" if interp else ""}
            .hash : {{ *(.hash) }} :r
            .dynsym : {{ *(.dynsym) }} :r
            .dynstr : {{ *(.dynstr) }} :r
            .rel : {{ *(.rel.*) }} :r
            .rela : {{ *(.rela.*) }} :r
            {_MIPS}
            .tables : {{ *(.tables) }} :r
            . = {case.vaddrs[1]};
            .code : {{ *(.text) *(.code) }} :rx
            . = {case.vaddrs[2]};
            {first}
            {second}
            .bss : {{ *(.bss) *(.sbss) *(.scommon) *(COMMON) }} :rw
            . = {case.vaddrs[3]};
            .tail : {{ *(.tail) }} :tail
            /DISCARD/ : {{ {discarded} *(.comment) *(.note*) *(.gnu*) *(.pdr) *(.mdebug*) *(.plt*) *(.glink) }}
        }}
    """


def _without_sections(data: bytes) -> bytes:
    header = labelf.parse(data).header
    # e_shoff, then e_shentsize, e_shnum, e_shstrndx: no section headers; loaders never look at them.
    offset, width, last = (40, 8, 58) if header.elfclass == c.ELFCLASS64 else (32, 4, 46)
    data = data[:offset] + bytes(width) + data[offset + width :]
    return data[:last] + struct.pack(header.endian + "HHH", 0, 0, 0) + data[last + 6 :]
