"""What a Guile object file (.go) is made of, checked against the one layout that Guile's linker makes.

Guile's linker (module/system/vm/linker.scm) lays out, from the start of the file and with file offset and address
always equal: the headers, `.rtl-text`, `.rodata`, `.guile.frame-maps`, `.dynamic` (one read-only segment); zeros up to
a page; `.data` (the writable segment); the section headers; and what only the debugger reads. Every section starts on
the next multiple of 8. A file of any other shape is refused here, so that the modules after this one need not ask.

Not for general ELF files: those have `pagefit.elf.sections`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from pagefit.elf import constants as c
from pagefit.elf.headers import Image, ReadAt, Segment
from pagefit.elf.sections import SHT_DYNAMIC, SHT_PROGBITS, SHT_STRTAB, SHT_SYMTAB, ElfFile, Section, parse
from pagefit.errors import Refused

#: The dynamic tags of libguile/loader.c, and the gABI's.
DT_NULL: Final = 0
DT_INIT: Final = 12
DT_GUILE_GC_ROOT: Final = 0x37146000
DT_GUILE_GC_ROOT_SZ: Final = 0x37146001
DT_GUILE_ENTRY: Final = 0x37146002
DT_GUILE_VM_VERSION: Final = 0x37146003
DT_GUILE_FRAME_MAPS: Final = 0x37146004

#: Every section starts on a multiple of this many bytes.
SECTION_ALIGN: Final = 8

#: Where compiled code of Guile 2.0 starts (libguile/objcodes.c); it is no ELF file and has no page size.
GUILE_2_0_COOKIE: Final = b"GOOF----"

_READ_ONLY: Final = frozenset({".rtl-text", ".rodata", ".guile.frame-maps", ".dynamic"})
_NOT_LOADED: Final = frozenset(
    {
        *(".symtab", ".strtab", ".shstrtab"),
        *(".guile.arities", ".guile.arities.strtab", ".guile.docstrs", ".guile.docstrs.strtab", ".guile.procprops"),
        *(".debug_info", ".debug_abbrev", ".debug_str", ".debug_loc", ".debug_line"),
    }
)
_REQUIRED: Final = frozenset({".rtl-text", ".dynamic", ".symtab"})
_LOAD_R: Final = (c.PT_LOAD, c.PF_R)
_LOAD_RW: Final = (c.PT_LOAD, c.PF_R | c.PF_W)
_DYNAMIC: Final = (c.PT_DYNAMIC, c.PF_R)
_SECTION_TYPES: Final = (SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_DYNAMIC)

#: .dynamic is a handful of tags; a hostile size must not make us read far (bytes).
_MAX_DYNAMIC: Final = 4096


class Version(NamedTuple):
    """The bytecode version that a file was compiled for (DT_GUILE_VM_VERSION)."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major:#06x}.{self.minor}"


class DynamicEntry(NamedTuple):
    """One entry of `.dynamic`; `offset` is that of the value in the file."""

    tag: int
    value: int
    offset: int


@dataclass(frozen=True, slots=True)
class ObjectFile:
    """A .go file whose layout has been checked. Offsets and addresses are the same thing here, in bytes.

    `writable` and `data` are None together: Guile 2.2 leaves them out of a module without constants to patch.
    """

    elf: ElfFile
    version: Version
    dynamic: tuple[DynamicEntry, ...]
    readonly: Segment
    writable: Segment | None
    text: Section
    data: Section | None

    @property
    def headers_end(self) -> int:
        """Offset behind the program headers."""
        header = self.elf.header
        return header.phoff + header.phnum * header.phentsize

    @property
    def text_is_first(self) -> bool:
        """Whether the code follows the program headers directly: false only after `pagefit.guile.shift`."""
        return self.text.offset == align_up(self.headers_end, SECTION_ALIGN)


def align_up(value: int, alignment: int) -> int:
    """The next multiple of `alignment` (a power of two) at or after `value`, in bytes."""
    return -(-value // alignment) * alignment


def is_guile_2_0(prefix: bytes) -> bool:
    """Whether a file that starts with these bytes (at least eight) is compiled code of Guile 2.0."""
    return prefix.startswith(GUILE_2_0_COOKIE)


def bytecode_version(image: Image, read: ReadAt) -> Version | None:
    """The bytecode version of a Guile object file; None when the file is anything else.

    Recognised by content: OSABI 255, EM_NONE, ET_DYN and a DT_GUILE_VM_VERSION (libguile/loader.c). Reads `.dynamic`.
    """
    header = image.header
    if (header.osabi, header.machine, header.type) != (c.ELFOSABI_STANDALONE, c.EM_NONE, c.ET_DYN):
        return None
    record = struct.Struct(header.endian + ("QQ" if header.bits == 64 else "II"))
    for segment in image.of_type(c.PT_DYNAMIC):
        table = read(segment.offset, min(segment.filesz, _MAX_DYNAMIC))
        for tag, value in record.iter_unpack(table[: len(table) // record.size * record.size]):
            if tag == DT_GUILE_VM_VERSION:
                return Version(value >> 16, value & 0xFFFF)
            if tag == DT_NULL:
                break
    return None


def variant(image: Image) -> str:
    """The folder of a Guile `prebuilt/` tree that a file belongs to, such as `64-bit-little-endian`.

    There are four: nothing but word size and byte order distinguishes machines (prebuilt/Makefile.am of Guile).
    """
    return f"{image.header.bits}-bit-{image.header.byteorder}-endian"


def read_object(data: bytes, *, where: str = "") -> ObjectFile:
    """Read a whole .go file held in `data` and check its layout.

    Raises Refused, naming `where`, for a layout that Guile's linker does not make; InputError for broken ELF headers.
    """
    elf = parse(data, where=where)
    version = bytecode_version(elf.image, lambda offset, length: data[offset : offset + length])
    if version is None:
        raise Refused("not a Guile object file", where=where)
    readonly, writable = _segments(elf)
    sections = _named_sections(elf, readonly, writable)
    _check_tiling(elf)
    text, data_section = sections[".rtl-text"], sections.get(".data")
    dynamic = _dynamic(elf, sections)
    return ObjectFile(elf, version, dynamic, readonly, writable, text, data_section)


def unexpected(elf: ElfFile, what: str) -> Refused:
    """The error for a file whose contents contradict the format; `what` is a clause."""
    return Refused(
        what,
        where=elf.where,
        remedy="Compile the module again with Guile; what its linker did not make cannot be relinked safely.",
    )


def _segments(elf: ElfFile) -> tuple[Segment, Segment | None]:
    *loads, dynamic = elf.image.segments
    kinds = [(segment.type, segment.flags) for segment in elf.image.segments]
    if kinds not in ([_LOAD_R, _DYNAMIC], [_LOAD_R, _LOAD_RW, _DYNAMIC]):
        raise unexpected(elf, "the program headers are not LOAD R, LOAD RW, DYNAMIC")
    for segment in elf.image.segments:
        if segment.offset != segment.vaddr or segment.vaddr != segment.paddr or segment.filesz != segment.memsz:
            raise unexpected(elf, f"in segment {segment.index}, file image and memory image differ")
    readonly, writable = loads[0], loads[1] if len(loads) == 2 else None
    if readonly.offset != 0 or dynamic.file_end > readonly.file_end:
        raise unexpected(elf, "the first segment does not hold the headers and .dynamic")
    if writable and (writable.offset < readonly.file_end or writable.offset % SECTION_ALIGN):
        raise unexpected(elf, "the writable segment overlaps the read-only one or does not start on a multiple of 8")
    return readonly, writable


def _named_sections(elf: ElfFile, readonly: Segment, writable: Segment | None) -> dict[str, Section]:
    null, *sections = elf.sections or (None,)
    if null is None or null.type or null.offset or null.size:
        raise unexpected(elf, "there is no section header table, or it does not start with a null section")
    loaded_end = (writable or readonly).file_end
    named: dict[str, Section] = {}
    for section in sections:
        if section.addralign != SECTION_ALIGN or section.type not in _SECTION_TYPES:
            raise unexpected(elf, f"section {section.index} has an unknown type or alignment")
        if section.addr != (section.offset if section.alloc else 0):
            raise unexpected(elf, f"the address of section {section.index} is not its file offset")
        if section.name in _READ_ONLY:
            fits = section.alloc and not section.writable and 0 < section.size <= readonly.file_end - section.offset
        elif section.name == ".data" and writable:
            fits = section.alloc and section.writable
            fits = fits and (section.offset, section.size) == (writable.offset, writable.filesz) and section.size > 0
        elif section.name in _NOT_LOADED:
            fits = not section.flags and section.offset >= loaded_end
        elif not section.name:
            fits = _is_header_part(elf, section, loaded_end)
        else:
            raise unexpected(elf, f"section {section.name!r} is unknown; it may hold addresses")
        if not fits:
            raise unexpected(elf, f"section {section.index} ({section.name or 'unnamed'}) is not where it should be")
        if section.name and section.name in named:
            raise unexpected(elf, f"there are two sections {section.name}")
        named[section.name] = section
    if missing := _REQUIRED - named.keys():
        raise unexpected(elf, f"there is no section {min(missing)}")
    if (writable is None) != (".data" not in named):
        raise unexpected(elf, "the writable segment has no section .data")
    return named


def _is_header_part(elf: ElfFile, section: Section, loaded_end: int) -> bool:
    header = elf.header
    headers = (c.PF_R >> 1, 0, header.phoff + header.phnum * header.phentsize)
    table = (0, header.shoff, header.shnum * header.shentsize)
    found = (section.flags, section.offset, section.size)
    return header.phoff == header.ehsize and (found == headers or (found == table and section.offset >= loaded_end))


def _check_tiling(elf: ElfFile) -> None:
    """Check that nothing lies between the sections but zeros, and wide gaps only before `.rtl-text` and `.data`."""
    end = 0
    for section in sorted(elf.sections[1:], key=lambda section: (section.offset, section.size)):
        gap = elf.data[end : section.offset]
        if section.offset < end:
            raise unexpected(elf, f"section {section.index} ({section.name}) overlaps the one before it")
        if gap.count(0) != len(gap):
            raise unexpected(elf, f"the padding before section {section.index} ({section.name}) is not all zeros")
        if section.offset != align_up(end, SECTION_ALIGN) and section.name not in (".rtl-text", ".data"):
            raise unexpected(elf, f"there is a hole before section {section.index} ({section.name})")
        end = section.file_end
    if end != len(elf.data):
        raise unexpected(elf, f"the sections end at byte {end}, the file at {len(elf.data)}")


def _dynamic(elf: ElfFile, sections: dict[str, Section]) -> tuple[DynamicEntry, ...]:
    section, record = sections[".dynamic"], elf.struct("PP")
    segment = elf.image.segments[-1]
    if (section.offset, section.size) != (segment.offset, segment.filesz) or section.size % record.size:
        raise unexpected(elf, "PT_DYNAMIC and section .dynamic differ")
    entries = tuple(
        DynamicEntry(tag, value, section.offset + index * record.size + record.size // 2)
        for index, (tag, value) in enumerate(record.iter_unpack(elf.contents(section)))
    )
    _check_dynamic(elf, sections, entries)
    return entries


def _check_dynamic(elf: ElfFile, sections: dict[str, Section], entries: tuple[DynamicEntry, ...]) -> None:
    text, data = sections[".rtl-text"], sections.get(".data")
    expected = {DT_GUILE_ENTRY: text.addr, DT_NULL: 0}
    if data:
        expected |= {DT_GUILE_GC_ROOT: data.addr, DT_GUILE_GC_ROOT_SZ: data.size}
    if ".guile.frame-maps" in sections:
        expected[DT_GUILE_FRAME_MAPS] = sections[".guile.frame-maps"].addr
    found = {entry.tag: entry.value for entry in entries}
    del found[DT_GUILE_VM_VERSION]
    init = found.pop(DT_INIT, text.addr)
    if len(entries) != len({entry.tag for entry in entries}) or entries[-1].tag != DT_NULL or found != expected:
        raise unexpected(elf, ".dynamic does not name the sections as Guile's linker does, or has an unknown tag")
    if not text.addr <= init < text.end:
        raise unexpected(elf, f"DT_INIT {init:#x} does not lie in .rtl-text")
