"""Bytecode newer than this program: pages grow without anything being decoded, and real Guile runs the result.

Files of the installed Guile get a version that nobody knows yet, are shifted, and get their version back to be run.
"""

from __future__ import annotations

import io
import itertools
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from pagefit.errors import Refused
from pagefit.guile import relink
from pagefit.guile.format import DT_GUILE_VM_VERSION, read_object
from support.guiles import HERE, VARIANTS, Guile, large_pages, modules

Linked = dict[str, dict[int, Path]]


def with_minor(data: bytes, minor: int) -> bytes:
    """The same file for another minor version of the bytecode, wherever `.dynamic` and its byte order put it."""
    obj = read_object(data)
    (entry,) = (entry for entry in obj.dynamic if entry.tag == DT_GUILE_VM_VERSION)
    copy = bytearray(data)
    obj.elf.struct("P").pack_into(copy, entry.offset, obj.version.major << 16 | minor)
    return bytes(copy)


def shifted(data: bytes, page_size: int) -> bytes:
    """`data` relinked as though its bytecode were unknown."""
    known = read_object(data).version.minor
    result, realigned = relink(with_minor(data, 99), page_size)
    assert realigned.strategy == "shift"
    assert realigned.new_size - len(data) < page_size
    return with_minor(result, known)


def debug_information(data: bytes) -> Iterator[tuple[str, object]]:
    """What a debugger reads, with code addresses counted from the start of `.rtl-text`."""
    elf = ELFFile(io.BytesIO(data))
    text = elf.get_section_by_name(".rtl-text")["sh_addr"]
    dwarf = elf.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        for entry in unit.iter_DIEs():
            for name, attribute in entry.attributes.items():
                yield name, attribute.value - text if attribute.form == "DW_FORM_addr" else attribute.value
        for row in dwarf.line_program_for_CU(unit).get_entries():
            if row.state is not None:
                yield "line", (row.state.address - text, row.state.file, row.state.line, row.state.column)


def sources_of(guile: Guile, page_size: int, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the module, and ask Guile for the source lines of its procedures and what an error's backtrace says."""
    program = """
      (use-modules (keywords) (system vm program))
      (write (run-keywords))
      (write (map (lambda (s) (list (source:addr s) (source:line s) (source:column s))) (program-sources area)))
      (write (procedure-minimum-arity area))
      (write (program-arguments-alist area))
      (write (procedure-name describe))"""
    return guile.run("-c", program, env={**env, **large_pages(page_size)})


def test_guile_runs_and_inspects_shifted_modules_on_large_pages(guile: Guile, linked: Linked, tmp_path: Path) -> None:
    env = {"GUILE_LOAD_PATH": str(HERE / "modules"), "GUILE_LOAD_COMPILED_PATH": str(tmp_path)}
    target = tmp_path / "keywords.go"
    target.write_bytes(linked["keywords"][65536].read_bytes())
    expected = sources_of(guile, 65536, env)
    target.write_bytes(shifted(linked["keywords"][4096].read_bytes(), 65536))
    for page_size in (4096, 65536):
        done = sources_of(guile, page_size, {**env, "MAPPED_LIST": str(tmp_path / "mapped")})
        assert str(target) in (tmp_path / "mapped").read_text().splitlines()
        assert done.stdout == expected.stdout
        assert "WARNING" not in done.stderr
    assert "#:height" in expected.stdout or "(height" in expected.stdout


@pytest.mark.parametrize("target", VARIANTS)
def test_the_four_variants_keep_code_data_and_debug_information(guile: Guile, target: str, tmp_path: Path) -> None:
    linked = guile.link_everywhere(tmp_path, [s for s in modules() if s.stem != "work"], VARIANTS[target])
    for stem, (old, new) in itertools.product(linked, [(8, 4096), (8, 65536), (4096, 16384), (4096, 65536)]):
        before = linked[stem][old].read_bytes()
        after = shifted(before, new)
        a, b = read_object(before), read_object(after)
        for name, section in a.elf.by_name.items():
            if name in (".rtl-text", ".rodata", ".data", ".symtab", ".strtab", ".guile.docstrs", ".debug_str"):
                assert b.elf.contents(b.elf.by_name[name]) == a.elf.contents(section), name
        if a.data and b.data:
            assert b.data.addr % new == 0
            assert b.data.addr - b.text.addr == a.data.addr - a.text.addr
        assert list(debug_information(after)) == list(debug_information(before))


def test_shifting_again_is_possible_and_linking_such_a_file_is_refused(linked: Linked) -> None:
    data = linked["keywords"][8].read_bytes()
    twice = shifted(shifted(data, 4096), 65536)
    assert read_object(twice).data.addr % 65536 == 0
    with pytest.raises(Refused, match="hole"):
        relink(shifted(data, 65536), 4096)


def test_smaller_pages_are_refused(linked: Linked) -> None:
    with pytest.raises(Refused, match="only be made larger"):
        relink(with_minor(linked["keywords"][65536].read_bytes(), 99), 4096)


def test_a_table_that_names_no_constant_is_refused(linked: Linked) -> None:
    data = with_minor(linked["keywords"][4096].read_bytes(), 99)
    props = read_object(data).elf.by_name[".guile.procprops"]
    assert props.size
    broken = bytearray(data)
    struct.pack_into("<I", broken, props.offset + 4, 12)
    with pytest.raises(Refused, match="procprops"):
        relink(bytes(broken), 65536)


def test_damaged_debug_information_is_refused(linked: Linked) -> None:
    data = with_minor(linked["keywords"][4096].read_bytes(), 99)
    abbreviations = read_object(data).elf.by_name[".debug_abbrev"]
    for place in range(abbreviations.size):
        broken = bytearray(data)
        broken[abbreviations.offset + place] ^= 0xFF
        try:
            relink(bytes(broken), 65536)
        except Refused:
            continue
