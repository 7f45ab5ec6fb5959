"""Damaged .go files are refused or handled right, never answered with a traceback; relinking composes."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pagefit.elf.headers import read_image
from pagefit.errors import InputError, PagefitError
from pagefit.guile import relink
from pagefit.guile.format import DT_GUILE_VM_VERSION, read_object
from pagefit.loaders.judge import judge
from support.guiles import GUILES, VARIANTS, modules

SIZES = st.sampled_from([8, 64, 4096, 16384, 65536, 1 << 20])
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
thoroughly = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Small files of both Guiles and all variants; the last of each also with bytecode that nobody knows."""
    sources = [source for source in modules() if source.stem in ("keywords", "forward")]
    found = []
    for guile in GUILES:
        for name, triplet in VARIANTS.items():
            linked = guile.link_everywhere(tmp_path_factory.mktemp(f"{guile.version}-{name}"), sources, triplet)
            found += [files[8].read_bytes() for files in linked.values()]
            unknown = bytearray(found[-1])
            obj = read_object(found[-1])
            (entry,) = (entry for entry in obj.dynamic if entry.tag == DT_GUILE_VM_VERSION)
            obj.elf.struct("P").pack_into(unknown, entry.offset, entry.value | 0xFF)
            found.append(bytes(unknown))
    return found


def check(data: bytes, page_size: int) -> None:
    """Refused, or relinked into a file from which the same comes out again."""
    try:
        result, realigned = relink(data, page_size)
    except PagefitError:
        return
    again, _ = relink(result, page_size)
    assert again == result
    assert realigned.new_size == len(result)
    before, after = read_object(data), read_object(result)
    for old, new in zip(before.elf.sections[1:], after.elf.sections[1:], strict=True):
        if old.name in (".rodata", ".symtab", ".strtab", ".guile.docstrs", ".debug_str", ".shstrtab"):
            assert after.elf.contents(new) == before.elf.contents(old)
    assert judge(after.elf.image, lambda offset, length: result[offset : offset + length], page_sizes=[page_size])


def check_judge(data: bytes) -> None:
    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    try:
        image = read_image(read, len(data))
    except InputError:
        return
    judge(image, read)


@thoroughly
@given(st.data())
def test_any_byte_may_be_wrong(samples: list[bytes], data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(samples)))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(damaged), data.draw(SIZES))
    check_judge(bytes(damaged))


@thoroughly
@given(st.data())
def test_any_word_of_the_tables_may_be_wrong(samples: list[bytes], data: st.DataObject) -> None:
    """Headers, section headers, .dynamic and Guile's tables, with the values that are most likely to confuse."""
    original = data.draw(st.sampled_from(samples))
    obj = read_object(original)
    table = obj.elf.header.shoff
    places = [(0, obj.headers_end), (table, table + obj.elf.header.shnum * obj.elf.header.shentsize)]
    tables = (".dynamic", ".guile.arities", ".guile.procprops", ".guile.frame-maps", ".symtab", ".data")
    sections = [obj.elf.by_name[name] for name in tables if name in obj.elf.by_name]
    places += [(section.offset, section.file_end) for section in sections]
    start, end = data.draw(st.sampled_from([place for place in places if place[1] - place[0] >= 4]))
    at = data.draw(st.integers(0, (end - start) // 4 - 1)) * 4 + start
    value = data.draw(
        st.one_of(
            st.sampled_from([0, 1, 7, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(original), len(original) - 8]),
            st.integers(0, len(original)),
        )
    )
    damaged = bytearray(original)
    struct.pack_into(obj.elf.header.endian + "I", damaged, at, value)
    check(bytes(damaged), data.draw(SIZES))
    check_judge(bytes(damaged))


@thoroughly
@given(st.data())
def test_a_file_may_end_anywhere(samples: list[bytes], data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(samples))
    check(whole[: data.draw(st.integers(0, len(whole) - 1))], data.draw(SIZES))
    check(whole + data.draw(st.binary(min_size=1, max_size=64)), data.draw(SIZES))


@thoroughly
@given(data=st.data(), first=SIZES, second=SIZES)
def test_relinking_twice_is_relinking_once(samples: list[bytes], data: st.DataObject, first: int, second: int) -> None:
    original = data.draw(st.sampled_from([sample for sample in samples if is_known(sample)]))
    assert relink(relink(original, first)[0], second)[0] == relink(original, second)[0]


def is_known(data: bytes) -> bool:
    return read_object(data).version.minor < 0xFF
