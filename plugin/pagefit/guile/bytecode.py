"""The instructions of Guile's virtual machine, as far as a linker must know them: lengths and label operands.

An instruction is one or more 32-bit words in the file's byte order; the low 8 bits of the first are its opcode. A label
operand is a word that holds the distance from the instruction's first word to its target, counted in words
(module/system/vm/assembler.scm, `process-relocs`; libguile/vm-engine.c). Jumps (L24) stay within a function and
never change.

A linear sweep is exact: `.rtl-text` holds nothing but instructions, and the functions of `.symtab` tile it.
"""

from __future__ import annotations

import enum
import sys
from array import array
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from pagefit.elf.sections import ElfFile
from pagefit.guile.format import ObjectFile, Version, unexpected


class Kind(enum.Enum):
    """What a label operand may lead to."""

    CODE = "an instruction"
    CONSTANT = "a constant"  # .rodata or .data
    SLOT = "a word of .data"  # written when the module is loaded
    ANY = "an instruction or a constant"


class Label(NamedTuple):
    """A label operand of an instruction: which of its words, and what that may lead to."""

    word: int
    kind: Kind


@dataclass(frozen=True)
class Isa:
    """One instruction set. `lengths` holds a digit for each opcode: words; `.` where there is no such instruction.

    `jtable`, where there is one, has a variable length: its second word counts the words that follow.
    `instrument_entry` is the opcode whose label leads to a function's jit_data.
    """

    lengths: str
    labels: dict[int, tuple[Label, ...]]
    jtable: int | None = None
    instrument_entry: int | None = None

    @cached_property
    def _length_table(self) -> bytes:
        return bytes(0 if digit == "." else int(digit) for digit in self.lengths.ljust(256, "."))

    @cached_property
    def _label_table(self) -> bytes:
        return bytes(opcode in self.labels for opcode in range(256))

    def length_by_word(self, opcodes: bytes) -> bytes:
        """For each word, the length of the instruction that would start there (0: none would)."""
        return opcodes.translate(self._length_table)

    def labelled_by_word(self, opcodes: bytes) -> bytes:
        """For each word, 1 when the instruction that would start there has label operands."""
        return opcodes.translate(self._label_table)


_CODE_1, _CODE_2 = (Label(1, Kind.CODE),), (Label(2, Kind.CODE),)
_CONSTANT_1 = (Label(1, Kind.CONSTANT),)
_CONSTANT_3 = (Label(3, Kind.CONSTANT),)
_SLOT_1 = (Label(1, Kind.SLOT),)
_PATCH = (Label(1, Kind.SLOT), Label(2, Kind.ANY))

# `halt` (opcode 0) is left out of both tables: only libguile's own boot code has it. In the files that a stock Guile
# compiles for machines of the other byte order, jumps turn into it.
_GUILE_2_2: Final = Isa(
    ".2312122.1111111112221111111113411222222233.33331221113221232223"
    "1215531111111111111111111111111111111111111111111154111111111111"
    "1111111111111111113331111113311311111111113333311111123111133333"
    "1",
    {
        2: _CODE_2,  # call-label
        4: _CODE_1,  # tail-call-label
        31: _CONSTANT_3,  # bind-kwargs
        54: _CODE_1,  # make-closure
        60: _CONSTANT_1,  # make-non-immediate
        61: _CONSTANT_1,  # static-ref
        62: _SLOT_1,  # static-set!
        63: _PATCH,  # static-patch!
        67: (Label(1, Kind.SLOT), Label(2, Kind.CONSTANT), Label(3, Kind.CONSTANT)),  # toplevel-box
        68: (Label(1, Kind.SLOT), Label(2, Kind.CONSTANT), Label(3, Kind.CONSTANT)),  # module-box
        114: _CONSTANT_3,  # load-typed-array
    },
)
_GUILE_3_0: Final = Isa(
    ".222312122111112411112211111111111311221122222222222222212322333"
    "1111111111111111113422311111111111111111111111111111111111112211"
    "11111111111111111111111111122111222211411",
    {
        1: _SLOT_1,  # instrument-entry
        2: _SLOT_1,  # instrument-loop
        4: _CODE_2,  # call-label
        6: _CODE_1,  # tail-call-label
        16: _CONSTANT_3,  # bind-kwargs
        37: _CONSTANT_1,  # throw/value
        38: _CONSTANT_1,  # throw/value+data
        59: _CONSTANT_1,  # make-non-immediate
        60: _CODE_1,  # load-label
        84: _CONSTANT_1,  # static-ref
        85: _SLOT_1,  # static-set!
        86: _PATCH,  # static-patch!
        166: (Label(1, Kind.CONSTANT), Label(2, Kind.CONSTANT)),  # call-scm<-scmn-scmn
    },
    jtable=163,
    instrument_entry=1,
)


def isa_of(version: Version) -> Isa | None:
    """The instruction set of a bytecode version; None when it is not known.

    Guile 2.1.4 to 2.2.7 share one. Guile 3.0 has only ever appended instructions: one table serves 3.0.0 to 3.0.9 and
    what followed by 2025. Guile 2.1.0 to 2.1.3 had others.
    """
    if version.major == 0x0202 and version.minor in (9, 65):
        return _GUILE_2_2
    if version.major == 0x0300 and 2 <= version.minor <= 7:
        return _GUILE_3_0
    return None


def is_newer(version: Version) -> bool:
    """Whether a bytecode version came after the newest that this program knows, in a format it knows."""
    return version.minor > {0x0202: 65, 0x0300: 7}.get(version.major, version.minor)


class Function(NamedTuple):
    """One function of `.symtab`: where its code starts and ends, in words from the start of `.rtl-text`."""

    start: int
    end: int


class Operand(NamedTuple):
    """One label operand found: the index of its word, that of its instruction, and what it may lead to."""

    word: int
    instruction: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Code:
    """A decoded `.rtl-text`: its 32-bit words, native and signed, and what the sweep found in them.

    `starts` has a 1 for each word that starts an instruction; `entries` are the operands of `instrument-entry`.
    """

    words: array[int]
    functions: tuple[Function, ...]
    operands: tuple[Operand, ...]
    entries: tuple[Operand, ...]
    starts: bytearray


def functions(obj: ObjectFile) -> tuple[Function, ...]:
    """The functions of `.symtab`, ascending. Raises Refused unless they tile `.rtl-text`."""
    elf = obj.elf
    # Elf64_Sym: name, info, other, shndx, value, size. Elf32_Sym: name, value, size, info, other, shndx (gABI 4-15).
    record, value = (elf.struct("IBBHQQ"), 4) if elf.header.bits == 64 else (elf.struct("IIIBBH"), 1)
    table = elf.contents(elf.by_name[".symtab"])
    if len(table) % record.size:
        raise unexpected(elf, ".symtab does not hold whole symbols")
    found = sorted((symbol[value], symbol[value] + symbol[value + 1]) for symbol in record.iter_unpack(table))
    end = 0
    for start, after in found:
        if start != end or after <= start or start % 4:
            raise unexpected(elf, f"the functions of .symtab do not tile .rtl-text at byte {end:#x}")
        end = after
    if end != obj.text.size or end % 4:
        raise unexpected(elf, f"the functions of .symtab end at byte {end:#x} of .rtl-text, not at its end")
    return tuple(Function(start // 4, after // 4) for start, after in found)


def sweep(obj: ObjectFile, isa: Isa) -> Code:
    """Decode `.rtl-text`, function by function.

    Raises Refused when an instruction is unknown or a function does not end with a whole one.
    """
    text = obj.elf.contents(obj.text)
    funcs = functions(obj)
    opcodes = text[0::4] if obj.elf.header.byteorder == "little" else text[3::4]
    lengths, labelled = isa.length_by_word(opcodes), isa.labelled_by_word(opcodes)
    words = native_words(text, obj.elf)
    starts = bytearray(len(words))
    operands: list[Operand] = []
    entries: list[Operand] = []
    for start, end in funcs:
        at = start
        while at < end:
            starts[at] = 1
            length = lengths[at]
            if opcodes[at] == isa.jtable and at + 1 < end:
                length += words[at + 1] & 0xFFFFFFFF
            if not length or at + length > end:
                raise _undecodable(obj, at, opcodes[at])
            if labelled[at]:
                found = [Operand(at + label.word, at, label.kind) for label in isa.labels[opcodes[at]]]
                operands += found
                if opcodes[at] == isa.instrument_entry:
                    entries += found
            at += length
    return Code(words, funcs, tuple(operands), tuple(entries), starts)


def native_words(text: bytes, elf: ElfFile) -> array[int]:
    """The 32-bit words of `text` (bytes in the file's order) as signed integers; its own inverse is `file_bytes`."""
    words = array("i", text)
    if elf.header.byteorder != sys.byteorder:
        words.byteswap()
    return words


def file_bytes(words: array[int], elf: ElfFile) -> bytes:
    """The bytes of 32-bit words in the file's order."""
    ordered = array("i", words)
    if elf.header.byteorder != sys.byteorder:
        ordered.byteswap()
    return ordered.tobytes()


def _undecodable(obj: ObjectFile, at: int, opcode: int) -> Exception:
    address = obj.text.addr + 4 * at
    what = f"opcode {opcode} at {address:#x} is not an instruction of bytecode {obj.version} that ends in its function"
    return unexpected(obj.elf, what)
