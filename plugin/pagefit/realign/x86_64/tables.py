"""Relative lookup tables: 32-bit distances in read-only data that lead into moved pieces, without any relocation.

LLVM turns a `switch` that returns addresses into such a table (its RelLookupTableConverter pass). Values alone say
nothing: many an integer could be a distance. So the tables are those that code reads as tables, as far as its guard
lets the index grow; what values are good for is to leave all other code alone.
"""

from __future__ import annotations

import re
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from pagefit.elf.sections import SHT_PROGBITS, Section
from pagefit.errors import Refused
from pagefit.realign.moves import Moves
from pagefit.realign.x86_64.flow import jumps_through, only_jumps, table_reads
from pagefit.realign.x86_64.operands import Window, lea_sites, one_of
from pagefit.realign.x86_64.program import Code, Program
from pagefit.realign.x86_64.transfer import Read

_WORD: Final = 4
_TOPS: Final = range(-128, 128)
#: The longest table (words).
_LONGEST: Final = 1 << 16
#: `movslq mem, %r64`, which loads a distance; a function without it reads no relative table.
_LOADS: Final = re.compile(rb"[\x48-\x4f]\x63[\x00-\xbf]")
#: Constants among instructions are looked at no further than this (bytes).
_TEXT_REACH: Final = 4096
_REMEDY: Final = "Compile it again with clang's -mllvm -relative-lookup-table-converter=false, or link it again."


class Table(NamedTuple):
    """`length` words at address `entry`, each the distance of its target from `base`."""

    base: int
    entry: int
    length: int


class _Words:
    """Bytes at an address as 32-bit words, and those of them that could lead from there into the window."""

    def __init__(self, start: int, data: bytes, image_end: int, wanted: Window) -> None:
        self._start, self._wanted = start, wanted
        self._values = array("i", data[: len(data) // _WORD * _WORD])
        if sys.byteorder == "big":
            self._values.byteswap()
        #: The most significant byte of each word tells of most that they are no entries; the search runs in C.
        self._tops = data[_WORD - 1 :: _WORD]
        end = start + len(data)
        outside = (top for top in _TOPS if not -end >> 24 <= top <= image_end - start >> 24)
        self._invalid = re.compile(one_of(outside), re.DOTALL)
        low, high = wanted.start - end, wanted.end - start
        inside = (top for top in _TOPS if low >> 24 <= top <= high >> 24)
        found = (match.start() for match in re.finditer(one_of(inside), self._tops, re.DOTALL))
        self._suspects = array("I", [index for index in found if low <= self._values[index] < high])

    def leads_there(self, base: int) -> bool:
        """Whether a table at `base`, as long as its words could be entries, has one that leads into the window."""
        first = (base - self._start) // _WORD
        following = self._invalid.search(self._tops, first)
        last = following.start() if following else len(self._values)
        inside = self._suspects[bisect_left(self._suspects, first) : bisect_left(self._suspects, last)]
        return any(base + self._values[index] in self._wanted for index in inside)


class TableSearch:
    """Finds the relative tables of one program that have entries in moved pieces."""

    def __init__(self, iced: Any, program: Program, moves: Moves, wanted: Window) -> None:
        self._iced = iced
        self._program = program
        self._file = program.file
        self._moves = moves
        self._wanted = wanted
        #: Where each address is formed that may be a table's.
        self._sites: dict[int, list[int]] = {}
        for site, target in lea_sites(program):
            if (piece := moves.piece(target)) and not piece.delta and not program.functions.at(target):
                self._sites.setdefault(target, []).append(site)

    def tables(self) -> list[Table]:
        """All relative tables with an entry in a moved piece, by address.

        Raises Refused when the length of one is not proved.
        """
        suspects = frozenset(base for base in self._suspects() if not self._is_jump_table(base))
        readers: dict[int, Code] = {}
        for base in suspects:
            for site in self._sites[base]:
                code = self._program.functions.at(site)
                if code is None and (code := self._program.gaps.at(site)) and _LOADS.search(code.data):
                    raise self._refuse(base, f"the code at {site:#x} that uses it has no unwind table")
                if code and _LOADS.search(code.data):
                    readers[code.start] = code
        found: set[Table] = set()
        for code in readers.values():
            if only_jumps(self._iced, code):
                continue
            reads = table_reads(self._iced, code, suspects, partial(self._jump_targets, code))
            if reads is None:
                raise self._refuse(code.start, "the data flow of this function is too involved")
            found.update(self._prove(read) for read in reads if read.base in suspects)
        return sorted(found)

    def entries(self, table: Table) -> Iterator[tuple[int, int]]:
        """The address of each entry of a table, and the address it leads to."""
        words = self._file.read(table.entry, table.length * _WORD)
        if words is None:
            raise self._refuse(table.base, "its guard lets the index leave the file")
        for index in range(table.length):
            word = int.from_bytes(words[index * _WORD : (index + 1) * _WORD], "little", signed=True)
            yield table.entry + index * _WORD, table.base + word

    def _suspects(self) -> Iterator[int]:
        """The addresses formed by code that would be tables with entries in moved pieces, if they were tables."""
        image_end = max(segment.vend for segment in self._file.image.loads)
        for section in self._file.sections:
            if not section.alloc or section.writable or section.type != SHT_PROGBITS or _is_unwind(section):
                continue
            data = self._file.contents(section)
            inside = sorted(base for base in self._sites if section.addr <= base < section.end)
            if section.executable:
                for base in inside:
                    place = base - section.addr
                    words = _Words(base, data[place : place + _TEXT_REACH], image_end, self._wanted)
                    if words.leads_there(base):
                        yield base
                continue
            for shift in range(_WORD):
                if bases := [base for base in inside if (base - section.addr) % _WORD == shift]:
                    words = _Words(section.addr + shift, data[shift:], image_end, self._wanted)
                    yield from filter(words.leads_there, bases)

    def _is_jump_table(self, base: int) -> bool:
        """Whether code jumps where a table leads: then its entries are code, however many there are."""
        program = self._program
        codes = ((site, program.functions.at(site) or program.gaps.at(site)) for site in self._sites[base])
        return any(code and jumps_through(self._iced, code, site, base) for site, code in codes)

    def _prove(self, read: Read) -> Table:
        if read.entry is None or read.bound is None:
            raise self._refuse(read.base, f"nothing bounds the index at {read.reader:#x}")
        table = Table(read.base, read.entry, read.bound.limit + 1)
        if table.length > _LONGEST:
            raise self._refuse(table.base, f"nothing useful bounds the index at {read.reader:#x}")
        for place, target in self.entries(table):
            if place > table.entry and place in self._sites:
                raise self._refuse(
                    table.base, f"its guard lets the index run into {place:#x}, which code uses by itself"
                )
            if not any(s.alloc and not s.tls and s.addr <= target <= s.end for s in self._file.sections):
                raise self._refuse(table.base, f"the entry at {place:#x} leads nowhere")
        return table

    def _jump_targets(self, code: Code, base: int) -> Iterator[int]:
        place = base
        while (word := self._file.read(place, _WORD)) is not None:
            target = base + int.from_bytes(word, "little", signed=True)
            if not code.start <= target < code.end:
                return
            yield target
            place += _WORD

    def _refuse(self, address: int, why: str) -> Refused:
        return Refused(
            f"the words at {address:#x} are read as a table of distances into data that would move, and {why}",
            where=self._file.where,
            remedy=_REMEDY,
        )


def _is_unwind(section: Section) -> bool:
    return section.name in (".eh_frame", ".eh_frame_hdr", ".gcc_except_table")
