"""Enlarging the pages of a .go file without understanding its bytecode: for versions that came after this program.

Zeros go between the program headers and `.rtl-text`, so many that `.data` lands on a page. Code, constants and data all
move by the same distance, and what the bytecode counts are distances. Only the words that hold an address change, those
of the debug information included. The file grows by less than a page, but is not what Guile's linker would make;
making pages smaller would leave `.data` where it is and save nothing, so that is refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pagefit.errors import Refused
from pagefit.guile.addresses import Editor, Field, Move, loaded_and_table_fields
from pagefit.guile.bytecode import functions
from pagefit.guile.format import ObjectFile, read_object, unexpected

if TYPE_CHECKING:
    from elftools.dwarf.lineprogram import LineProgram

_DW_LNE_SET_ADDRESS: Final = 2


def shift(obj: ObjectFile, page_size: int) -> bytes:
    """The file with all behind its program headers moved up, so that `.data` starts on a page of `page_size` bytes.

    Raises Refused when the pages would not grow, or a table names what it should not.
    """
    loads = obj.elf.image.loads
    if any(segment.align > page_size for segment in loads):
        raise Refused(
            f"bytecode {obj.version} is unknown, so its pages can only be made larger",
            where=obj.elf.where,
            remedy="Compile the module again with Guile, or with a newer pagefit that knows this bytecode.",
        )
    delta = -obj.data.addr % page_size if obj.data else 0
    result = _insert(obj, delta, (page_size,) * len(loads))
    again = read_object(result, where=obj.elf.where)
    if _insert(again, -delta, tuple(segment.align for segment in loads)) != obj.elf.data:
        raise Refused("moving the result back did not give the original file", where=obj.elf.where)
    return result


def _insert(obj: ObjectFile, delta: int, aligns: tuple[int, ...]) -> bytes:
    """Insert `delta` zeros before `.rtl-text` (or take them out) and write `aligns` as p_align of the LOAD segments."""
    editor = Editor(obj)
    for segment, align in zip(obj.elf.image.loads, aligns, strict=True):
        editor.segment(segment.index, "align", align)
    if not delta:
        return bytes(editor.image)
    move = Move(gap=obj.headers_end, start=obj.text.addr, delta=delta)
    functions(obj)  # that they tile the code shows that .symtab still counts from its start
    editor.relocate(loaded_and_table_fields(obj), move)
    editor.relocate(_debug_fields(obj), move)
    for name in ("filesz", "memsz"):
        editor.segment(obj.readonly.index, name, obj.readonly.filesz + delta)
    return editor.moved(move)


def _debug_fields(obj: ObjectFile) -> Iterator[Field]:
    """The code addresses in `.debug_info` (DW_AT_low_pc) and `.debug_line` (DW_LNE_set_address)."""
    info = obj.elf.by_name.get(".debug_info")
    if info is None:
        return
    try:
        yield from _dwarf_fields(obj, info.offset)
    except Refused:
        raise
    except Exception as error:  # pyelftools raises whatever a damaged table makes it stumble over
        raise unexpected(obj.elf, f"the debug information cannot be read ({type(error).__name__})") from error


def _dwarf_fields(obj: ObjectFile, info_offset: int) -> Iterator[Field]:
    from elftools.elf.elffile import ELFFile

    word = obj.elf.header.bits // 8
    dwarf = ELFFile(io.BytesIO(obj.elf.data)).get_dwarf_info(relocate_dwarf_sections=False)
    for unit in dwarf.iter_CUs():
        for entry in unit.iter_DIEs():
            for attribute in entry.attributes.values():
                if attribute.form == "DW_FORM_addr":
                    yield _code(obj, info_offset + attribute.offset, word, attribute.value)
        yield from _line_fields(obj, dwarf.line_program_for_CU(unit), word)


def _line_fields(obj: ObjectFile, program: LineProgram | None, word: int) -> Iterator[Field]:
    """The one address in Guile's line program: it starts with it (assembler.scm, `write-sources`)."""
    if program is None:
        return
    section = obj.elf.by_name[".debug_line"]
    start = section.offset + program.program_start_offset
    introduction = bytes((0, 1 + word, _DW_LNE_SET_ADDRESS))
    addresses = [e for e in program.get_entries() if e.is_extended and e.command == _DW_LNE_SET_ADDRESS]
    if len(addresses) != 1 or obj.elf.data[start : start + len(introduction)] != introduction:
        raise unexpected(obj.elf, ".debug_line does not start with its only address")
    (address,) = obj.elf.struct("P").unpack_from(obj.elf.data, start + len(introduction))
    yield _code(obj, start + len(introduction), word, address)


def _code(obj: ObjectFile, offset: int, size: int, address: int) -> Field:
    if not obj.text.addr <= address < obj.text.end:
        raise unexpected(obj.elf, f"the debug information names {address:#x}, where no code lies")
    return Field(offset, size, address)
