"""Addresses of moved variables in DWARF: DW_OP_addr in `.debug_info` and location lists, and whole tables of addresses.

Those are `.debug_addr`, and `.debug_aranges` where LLVM lists data in it, too (clang on request, rustc always). For
expressions, a search for bytes that could be such an address comes first; only compile units with a hit are read, by
pyelftools. Code does not move, so line tables and ranges stay.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_right

from pagefit.elf.sections import SHF_COMPRESSED, ElfFile, Section
from pagefit.errors import Refused
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Final

    from elftools.dwarf.dwarfinfo import DWARFInfo

_DW_OP_ADDR: Final = 0x03
_BLOCKS: Final = frozenset({"DW_FORM_exprloc", "DW_FORM_block", "DW_FORM_block1", "DW_FORM_block2", "DW_FORM_block4"})
_REMEDY: Final = "Strip the debugging information, or allow it to be dropped (drop-debug)."
_KIND: Final = "DWARF"


def is_debug(section: Section) -> bool:
    """Whether a section is debugging information: what `drop_debug` leaves out."""
    name = section.name.removeprefix(".rela").removeprefix(".rel")
    return not section.alloc and name.startswith((".debug", ".zdebug", ".gdb_index"))


def references(file: ElfFile, moves: Moves) -> Iterator[Reference]:
    """Every DW_OP_addr and entry of `.debug_addr` and `.debug_aranges` that leads into a moved piece.

    Raises Refused for compressed or split information that would have to change, and for what pyelftools can't read.
    """
    if not moves.moved:
        return
    for section in file.sections:
        if is_debug(section) and (section.flags & SHF_COMPRESSED or section.name.startswith(".zdebug")):
            raise Refused("the debugging information is compressed", where=file.where, remedy=_REMEDY)
    yield from _address_table(file, moves)
    yield from _range_table(file, moves)
    info = file.by_name.get(".debug_info")
    hits = {
        name: found
        for name in (".debug_info", ".debug_loc", ".debug_loclists")
        if (home := file.by_name.get(name)) and (found := list(_hits(file, home, moves)))
    }
    if not hits or info is None:
        return
    try:
        yield from _parsed(file, hits, moves)
    except (AssertionError, AttributeError, KeyError, IndexError, ValueError, NotImplementedError) as error:
        # What pyelftools raises for information it does not understand is not one class.
        raise Refused(
            f"the debugging information is not understood ({error})", where=file.where, remedy=_REMEDY
        ) from error


def _hits(file: ElfFile, section: Section, moves: Moves) -> Iterator[int]:
    """Offsets in a section of bytes that read DW_OP_addr and an address that moves: all there are, and perhaps more."""
    word = file.header.bits // 8
    largest = max(piece.end for piece in moves.moved)
    varying = (largest.bit_length() + 7) // 8
    zeros, rest = rb"\x00{%d}" % (word - varying), rb"[\x00-\xff]{%d}" % varying
    address = rest + zeros if file.header.byteorder == "little" else zeros + rest
    data = file.contents(section)
    for match in re.finditer(rb"(?=\x03(" + address + rb"))", data, re.DOTALL):
        if _moves(int.from_bytes(match[1], file.header.byteorder), moves):
            yield match.start()


def _moves(address: int, moves: Moves) -> bool:
    return moves.owns(address) and moves.delta(address) != 0


def _parsed(file: ElfFile, hits: dict[str, list[int]], moves: Moves) -> Iterator[Reference]:
    from elftools.dwarf.dwarf_expr import DWARFExprParser
    from elftools.elf.elffile import ELFFile

    stream: Any = io.BytesIO(file.data) if isinstance(file.data, bytes) else file.data
    dwarf: DWARFInfo = ELFFile(stream).get_dwarf_info(relocate_dwarf_sections=False, follow_links=False)
    units = list(dwarf.iter_CUs())
    starts = [unit.cu_offset for unit in units]
    wanted = sorted({bisect_right(starts, hit) - 1 for hit in hits.get(".debug_info", ())})
    info = file.by_name[".debug_info"]
    for number in wanted:
        parser = DWARFExprParser(units[number].structs)
        for die in units[number].iter_DIEs():
            for attribute in die.attributes.values():
                if attribute.form in _BLOCKS:
                    expression = bytes(attribute.value)
                    at = info.offset + _behind_length(attribute)
                    yield from _operations(file, parser, expression, at, moves)
    if hits.keys() - {".debug_info"}:
        parser = DWARFExprParser(units[0].structs)
        yield from _location_lists(file, dwarf, parser, moves)


def _behind_length(attribute: Any) -> int:
    """The offset in `.debug_info` of a block's first byte: its length comes before it."""
    size = len(attribute.value)
    fixed = {"DW_FORM_block1": 1, "DW_FORM_block2": 2, "DW_FORM_block4": 4}.get(attribute.form)
    return int(attribute.offset) + (fixed or max(1, (size.bit_length() + 6) // 7))


def _location_lists(file: ElfFile, dwarf: DWARFInfo, parser: Any, moves: Moves) -> Iterator[Reference]:
    from elftools.dwarf.locationlists import LocationEntry

    lists: Any = dwarf.location_lists()
    sections = [file.by_name[name] for name in (".debug_loc", ".debug_loclists") if name in file.by_name]
    if len(sections) != 1:
        raise Refused("location lists of two versions of DWARF are mixed", where=file.where, remedy=_REMEDY)
    for entries in lists.iter_location_lists():
        for entry in entries:
            if isinstance(entry, LocationEntry):
                expression = bytes(entry.loc_expr)
                at = sections[0].offset + entry.entry_offset + entry.entry_length - len(expression)
                yield from _operations(file, parser, expression, at, moves)


def _operations(file: ElfFile, parser: Any, expression: bytes, at: int, moves: Moves) -> Iterator[Reference]:
    """The references in one expression, whose first byte is at file offset `at`."""
    if _DW_OP_ADDR not in expression:
        return
    word = file.header.bits // 8
    if file.data[at : at + len(expression)] != expression:
        raise ValueError("an expression is not where it was expected")
    for operation in parser.parse_expr(expression):
        if operation.op == _DW_OP_ADDR and _moves(operation.args[0], moves):
            yield Reference(at + operation.offset + 1, word, None, operation.args[0], _KIND)
        elif any(_nested(operation.args)):
            raise ValueError("an address inside a nested expression")


def _nested(arguments: Iterable[Any]) -> Iterator[bool]:
    for argument in arguments:
        if isinstance(argument, list):
            yield any(getattr(operation, "op", None) == _DW_OP_ADDR for operation in argument)


def _address_table(file: ElfFile, moves: Moves) -> Iterator[Reference]:
    """The words of `.debug_addr` (DWARF 5, 7.27): every one is an address."""
    section = file.by_name.get(".debug_addr")
    if section is None:
        return
    word, at = file.header.bits // 8, section.offset
    while at + 8 <= section.file_end:
        length, version, size, segment = file.struct("IHBB").unpack_from(file.data, at)
        if (version, size, segment) != (5, word, 0) or at + 4 + length > section.file_end:
            raise Refused("the table .debug_addr is not of DWARF 5", where=file.where, remedy=_REMEDY)
        yield from _addresses(file, moves, range(at + 8, at + 4 + length, word))
        at += 4 + length


def _addresses(file: ElfFile, moves: Moves, places: range) -> Iterator[Reference]:
    """The addresses at these offsets that move."""
    for place in places:
        (target,) = file.struct("P").unpack_from(file.data, place)
        if _moves(target, moves):
            yield Reference(place, file.header.bits // 8, None, target, _KIND)


def _range_table(file: ElfFile, moves: Moves) -> Iterator[Reference]:
    """The addresses in `.debug_aranges` (DWARF 5, 6.1.2): pairs of address and length, aligned to their size."""
    section = file.by_name.get(".debug_aranges")
    if section is None:
        return
    word, at = file.header.bits // 8, section.offset
    while at + 12 <= section.file_end:
        length, version, _, size, segment = file.struct("IHIBB").unpack_from(file.data, at)
        end = at + 4 + length
        if (version, size, segment) != (2, word, 0) or end > section.file_end:
            raise Refused("the table .debug_aranges is of an unknown kind", where=file.where, remedy=_REMEDY)
        yield from _addresses(file, moves, range(at + (12 + 2 * word - 1) // (2 * word) * (2 * word), end, 2 * word))
        at = end
