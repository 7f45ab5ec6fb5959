"""Relinking a .go file as Guile's own linker would have linked it for another page size, larger or smaller.

`.data` moves to the next page behind the read-only segment, and all that follows it moves along. Headers and tables
hold plain addresses (`pagefit.guile.addresses`); the bytecode reaches its constants by distance, and so does Guile
3.0's `jit_data`, which lies in `.data` and names its function. The result is byte for byte what Guile makes.
"""

from __future__ import annotations

from dataclasses import dataclass

from pagefit.errors import Refused
from pagefit.guile.addresses import Editor, Move, loaded_and_table_fields
from pagefit.guile.bytecode import Code, Isa, Kind, file_bytes, sweep
from pagefit.guile.format import ObjectFile, align_up, read_object, unexpected


@dataclass(frozen=True, slots=True)
class _Placement:
    """Where a linker put the writable segment (None: there is none), and the p_align it wrote for each LOAD segment."""

    data: int | None
    aligns: tuple[int, ...]


def link(obj: ObjectFile, isa: Isa, page_size: int) -> bytes:
    """The file that Guile's linker makes from the same objects when its `*lcm-page-size*` is `page_size` (bytes).

    The result has been read and decoded again, and moved back to the bytes of the original. Raises Refused with the
    reason when anything in the file is not understood.
    """
    if not obj.text_is_first:
        raise unexpected(obj.elf, "there is a hole before .rtl-text")
    data = None if obj.data is None else align_up(obj.readonly.filesz, page_size)
    result = _place(obj, isa, _Placement(data, (page_size,) * len(obj.elf.image.loads)))
    _prove(obj, isa, result)
    return result


def _place(obj: ObjectFile, isa: Isa, placement: _Placement) -> bytes:
    editor = Editor(obj)
    for segment, align in zip(obj.elf.image.loads, placement.aligns, strict=True):
        editor.segment(segment.index, "align", align)
    if obj.data and placement.data:
        move = Move(gap=obj.readonly.file_end, start=obj.data.addr, delta=placement.data - obj.data.addr)
    else:
        move = Move(gap=len(editor.image), start=len(editor.image), delta=0)
    editor.relocate(loaded_and_table_fields(obj), move)
    code = sweep(obj, isa)
    if isa.instrument_entry is not None:
        _relocate_jit_data(obj, code, editor, move.delta)
    _relocate_labels(obj, code, move.delta)
    editor.image[obj.text.offset : obj.text.file_end] = file_bytes(code.words, obj.elf)
    return editor.moved(move)


def _relocate_labels(obj: ObjectFile, code: Code, delta: int) -> None:
    """Lengthen by `delta` bytes every label operand in `code.words` that leads into `.data`."""
    words, starts, text = code.words, code.starts, obj.text.addr
    data_start, data_end = (obj.data.addr, obj.data.end) if obj.data else (0, 0)
    rodata = obj.elf.by_name.get(".rodata")
    rodata_start, rodata_end = (rodata.addr, rodata.end) if rodata else (0, 0)
    for operand, instruction, kind in code.operands:
        offset = 4 * (instruction + words[operand])
        target = text + offset
        if data_start <= target < data_end and kind is not Kind.CODE:
            words[operand] += delta // 4
            continue
        is_rodata = rodata_start <= target < rodata_end
        is_code = 0 <= offset < obj.text.size and starts[offset // 4]
        if not (is_rodata and kind in (Kind.CONSTANT, Kind.ANY)) and not (is_code and kind in (Kind.CODE, Kind.ANY)):
            where = text + 4 * instruction
            raise Refused(
                f"the instruction at {where:#x} leads to {target:#x}, where {kind.value} should be and is not",
                where=obj.elf.where,
                remedy="Guile itself miscompiles for machines of the other byte order: compile the module on one.",
            )


def _relocate_jit_data(obj: ObjectFile, code: Code, editor: Editor, delta: int) -> None:
    """Correct the distances in every `struct jit_data` of `.data`: word mcode, u32 counter, s32 start, s32 end.

    Source: libguile/jit.h. They bear no tag. There is one for each function, which its `instrument-entry` leads to;
    check that it leads back.
    """
    data_start, data_end = (obj.data.addr, obj.data.end) if obj.data else (0, 0)
    place = obj.elf.header.bits // 8 + 4
    record = obj.elf.struct("ii")
    found: dict[int, tuple[int, int]] = {}
    for operand, instruction, _kind in code.entries:
        address = obj.text.addr + 4 * (instruction + code.words[operand])
        if not data_start <= address <= data_end - place - record.size:
            raise unexpected(obj.elf, f"the jit_data at {address:#x} does not lie in .data")
        found[address] = record.unpack_from(obj.elf.data, address + place)
    functions = [(obj.text.addr + 4 * start, obj.text.addr + 4 * end) for start, end in code.functions]
    named = sorted((address + start, address + end) for address, (start, end) in found.items())
    if named != functions or len(found) != len(code.entries):
        raise unexpected(obj.elf, "the jit_data in .data do not name each function of .symtab once")
    for address, (start, end) in found.items():
        record.pack_into(editor.image, address + place, start - delta, end - delta)


def _prove(obj: ObjectFile, isa: Isa, result: bytes) -> None:
    """Read the result afresh and move it back: only the original may come out."""
    again = read_object(result, where=obj.elf.where)
    original = _Placement(obj.data.addr if obj.data else None, tuple(segment.align for segment in obj.elf.image.loads))
    if _place(again, isa, original) != obj.elf.data:
        raise Refused("moving the result back did not give the original file", where=obj.elf.where)
