"""Exact or refused: each hazard has a built file that must be refused, with its reason, and nothing may be written."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pagefit.elf.sections import open_elf
from pagefit.errors import Refused
from pagefit.realign import plan, realign
from support import links64

PLAIN = """
int counter = 3; int *pointer = &counter; static char buffer[100];
int run(int x) { buffer[x & 63] = 1; return counter + *pointer + buffer[x & 31]; }
"""
#: Text that leaves no room for doubt about what comes behind it.
HEAD = ".text\n.globl run\n.type run, %function\nrun:\n"
TAIL = '\n.data\ncounter: .word 1\npointer: .xword counter\n.section .note.GNU-stack,"",%progbits\n'


def built(folder: Path, source: str, *flags: str, name: str = "x.c") -> Path:
    (folder / name).write_text(source)
    objects = links64.build(links64.GCC, folder, [folder / name])
    return links64.link(objects, folder / "x.so", 4096, "-nostdlib", *flags)


def assembled(folder: Path, code: str, *flags: str, tail: str = TAIL) -> Path:
    return built(folder, HEAD + code + tail, *flags, name="x.S")


def stripped(path: Path) -> Path:
    subprocess.run(["aarch64-linux-gnu-strip", path], check=True)
    return path


def edited(path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def refusal(path: Path) -> str:
    before = path.read_bytes()
    with pytest.raises(Refused) as caught:
        plan(path, 65536)
    with pytest.raises(Refused):
        realign(path, path, 65536)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir() if "pagefit" in entry.name] == []
    return str(caught.value)


def test_a_program_with_fixed_addresses(tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text("int counter = 3; int main(void) { return counter; }")
    command = ["aarch64-linux-gnu-gcc", "-no-pie", "-Wl,-z,max-page-size=4096", "-o", tmp_path / "x", tmp_path / "x.c"]
    subprocess.run(command, check=True)
    assert "ET_EXEC" in refusal(tmp_path / "x")


def test_text_relocations(tmp_path: Path) -> None:
    path = assembled(tmp_path, "ldr x0, 1f\nret\n.p2align 3\n1: .xword counter", "-Wl,-z,notext")
    assert "TEXTREL" in refusal(path)


def test_a_segment_that_is_writable_and_executable(tmp_path: Path) -> None:
    path = built(tmp_path, PLAIN)

    def make_executable(data: bytearray) -> None:
        (count,) = struct.unpack_from("<H", data, 56)
        for at in range(64, 64 + 56 * count, 56):
            kind, flags = struct.unpack_from("<II", data, at)
            if kind == 1 and flags == 6:
                struct.pack_into("<I", data, at + 4, 7)

    assert "executable" in refusal(edited(path, make_executable))


def test_a_file_without_section_headers(tmp_path: Path) -> None:
    path = edited(built(tmp_path, PLAIN), lambda data: struct.pack_into("<QI", data, 40, 0, 0))
    assert "no section headers" in refusal(edited(path, lambda data: struct.pack_into("<HHH", data, 58, 64, 0, 0)))


def test_a_prelinked_file(tmp_path: Path) -> None:
    path = built(tmp_path, PLAIN, "-Wl,-z,now")
    with open_elf(path) as file:
        dynamic = file.by_name[".dynamic"]

    def prelink(data: bytearray) -> None:
        for at in range(dynamic.offset, dynamic.file_end, 16):
            if struct.unpack_from("<q", data, at)[0] == 0x6FFFFFFB:  # DT_FLAGS_1
                struct.pack_into("<q", data, at, 0x6FFFFDF5)

    assert "prelinked" in refusal(edited(path, prelink))


def test_code_that_would_have_to_move(tmp_path: Path) -> None:
    script = tmp_path / "script.ld"
    script.write_text("""
        PHDRS { head PT_LOAD FILEHDR PHDRS FLAGS(4); data PT_LOAD FLAGS(6); text PT_LOAD FLAGS(5);
                dynamic PT_DYNAMIC FLAGS(6); stack PT_GNU_STACK FLAGS(6); }
        SECTIONS { . = SIZEOF_HEADERS; .hash : { *(.hash) } :head .gnu.hash : { *(.gnu.hash) } :head
                   .dynsym : { *(.dynsym) } :head .dynstr : { *(.dynstr) } :head .rela.dyn : { *(.rela*) } :head
                   . = ALIGN(4096); .data : { *(.data*) } :data .dynamic : { *(.dynamic) } :data :dynamic
                   .got : { *(.got*) } :data .bss : { *(.bss*) } :data
                   . = ALIGN(4096); .text : { *(.text*) } :text }""")
    assert "executable segment" in refusal(built(tmp_path, PLAIN, f"-Wl,-T,{script}"))


def test_a_section_aligned_to_more_than_a_page(tmp_path: Path) -> None:
    path = built(tmp_path, PLAIN)
    with open_elf(path) as file:
        row = file.header.shoff + 64 * file.by_name[".data"].index
    assert "aligned to 0x20000" in refusal(edited(path, lambda data: struct.pack_into("<Q", data, row + 48, 0x20000)))


def test_a_literal_load_from_data_that_moves(tmp_path: Path) -> None:
    assert "literal load" in refusal(assembled(tmp_path, "ldr w0, counter\nret"))


def test_an_adr_out_of_reach(tmp_path: Path) -> None:
    far = "adr x0, counter\nldr w0, [x0]\nret\n.space 0xfc000"
    assert "cannot reach" in refusal(assembled(tmp_path, far))


def test_an_adrp_to_where_nothing_is(tmp_path: Path) -> None:
    gap = "here: adrp x0, here + 0x8000\nldr w0, [x0, #8]\nret"
    path = assembled(tmp_path, gap, "-Wl,-z,separate-code", "-Wl,--section-start=.data=0x20000")
    assert "where nothing is" in refusal(path)


def test_a_word_that_may_be_code_or_data(tmp_path: Path) -> None:
    """Without mapping symbols and unwind table, behind a return, used by nothing: an ADRP, or two constants?"""
    path = assembled(tmp_path, "adrp x1, counter\nldr w0, [x1, #:lo12:counter]\nret\nadrp x9, counter\nmov x0, x1\nret")
    assert plan(path, 65536).cls == "c"
    assert "may be ADRP or data" in refusal(stripped(path))


def test_a_relative_table_without_a_bound(tmp_path: Path) -> None:
    code = "adrp x8, table\nadd x8, x8, :lo12:table\nldrsw x9, [x8, w0, sxtw #2]\nadd x0, x8, x9\nret"
    tail = TAIL + ".section .rodata\n.p2align 2\ntable: .word counter - table, pointer - table\n"
    assert "length is not proved" in refusal(stripped(assembled(tmp_path, code, tail=tail)))


def test_a_relative_table_with_an_entry_that_leads_nowhere(tmp_path: Path) -> None:
    code = """cmp w0, #2\nb.hi 1f
        adrp x8, table\nadd x8, x8, :lo12:table\nldrsw x9, [x8, w0, sxtw #2]\nadd x0, x8, x9\nret\n1: mov x0, #0\nret"""
    tail = TAIL + ".section .rodata\n.p2align 2\ntable: .word counter - table, pointer - table, 0x7fff0000\n"
    assert "leads nowhere" in refusal(assembled(tmp_path, code, tail=tail))


def test_a_distance_in_text_whose_use_is_not_understood(tmp_path: Path) -> None:
    code = "ldr x9, 1f\nldr x9, [x9]\nret\n.p2align 3\n1: .xword counter - ."
    assert "may be the distance" in refusal(assembled(tmp_path, code))


def test_a_word_of_the_got_that_nothing_explains(tmp_path: Path) -> None:
    path = built(tmp_path, PLAIN)
    with open_elf(path) as file:
        got, counter = file.by_name[".got.plt"], file.by_name[".data"].addr
        moving = file.struct("Q").pack(counter)
    assert "no relocation explains it" in refusal(
        edited(path, lambda data: data.__setitem__(slice(got.offset + 8, got.offset + 16), moving))
    )


@pytest.mark.parametrize(
    ("section", "at", "value", "reason"),
    [
        (".eh_frame", 9, b"zQ\0", "augmentation"),
        (".eh_frame", 8, b"\2", "CIE version 2"),
        (".eh_frame", 16, b"\x2b", "pointer encoding 0x2b"),
        (".eh_frame", 0, b"\xff\xff\0\0", "reaches out of its section"),
        (".eh_frame_hdr", 3, b"\x1b", "an encoding that is not understood"),
    ],
)
def test_an_unwind_table_of_an_unknown_kind(section: str, at: int, value: bytes, reason: str, tmp_path: Path) -> None:
    code = ".cfi_startproc\nadrp x1, counter\nldr w0, [x1, #:lo12:counter]\nret\n.cfi_endproc"
    path = assembled(tmp_path, code, "-Wl,--eh-frame-hdr", tail=TAIL + '.section .eh_frame, "aw"\n')
    with open_elf(path) as file:
        start = file.by_name[section].offset + at
    assert re.search(
        reason, refusal(edited(path, lambda data: data.__setitem__(slice(start, start + len(value)), value)))
    )


def test_the_tiny_code_model(tmp_path: Path) -> None:
    """It reads the GOT, which moves, by literal loads of 1 MB reach."""
    (tmp_path / "x.c").write_text(PLAIN)
    objects = links64.build([*links64.GCC, "-mcmodel=tiny"], tmp_path, [tmp_path / "x.c"])
    assert "literal load" in refusal(links64.link(objects, tmp_path / "x.so", 4096, "-nostdlib"))


def test_relative_references_of_swift(tmp_path: Path) -> None:
    tail = TAIL + '.section swift5_types,"a",%progbits\n.word counter - .\n'
    assert "swift5_types" in refusal(assembled(tmp_path, "ret", tail=tail))


def test_relative_vtables(tmp_path: Path) -> None:
    source = "struct A { virtual int f(); int x; }; int A::f() { return x; } A a; int run() { return a.f(); }"
    (tmp_path / "x.cc").write_text(source)
    compiler = [*links64.CLANGXX, "-fexperimental-relative-c++-abi-vtables"]
    objects = links64.build(compiler, tmp_path, [tmp_path / "x.cc"])
    path = links64.link(objects, tmp_path / "x.so", 4096, "-nostdlib", "-Wl,-z,undefs", linker="lld")
    assert "relative vtables" in refusal(path)


def test_a_machine_whose_code_nobody_here_reads(tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text(PLAIN)
    command = ["powerpc64le-linux-gnu-gcc", "-shared", "-fPIC", "-nostdlib", "-Wl,-z,max-page-size=4096"]
    subprocess.run([*command, "-o", tmp_path / "x.so", tmp_path / "x.c"], check=True)
    assert "e_machine 21" in refusal(tmp_path / "x.so")


@pytest.mark.parametrize("compressed", ["zlib", "zlib-gnu"])
def test_compressed_debugging_information(compressed: str, tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text(PLAIN)
    objects = links64.build([*links64.GCC, "-g"], tmp_path, [tmp_path / "x.c"])
    flags = ("-nostdlib", f"-Wl,--compress-debug-sections={compressed}")
    path = links64.link(objects, tmp_path / "x.so", 4096, *flags)
    assert "compressed" in refusal(path)
    assert plan(path, 65536, drop_debug=True).cls == "c"


def test_debugging_information_of_a_draft(tmp_path: Path) -> None:
    """Split DWARF 4, as GNU had it: its table of addresses has no header that tells their size."""
    (tmp_path / "x.c").write_text(PLAIN)
    objects = links64.build([*links64.GCC, "-gdwarf-4", "-gsplit-dwarf"], tmp_path, [tmp_path / "x.c"])
    path = links64.link(objects, tmp_path / "x.so", 4096, "-nostdlib")
    assert ".debug_addr is not of DWARF 5" in refusal(path)


@pytest.mark.parametrize("at", [4, 10, 0])
def test_a_table_of_address_ranges_of_an_unknown_kind(at: int, tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text(PLAIN)
    objects = links64.build([*links64.GCC, "-g"], tmp_path, [tmp_path / "x.c"])
    path = links64.link(objects, tmp_path / "x.so", 4096, "-nostdlib")
    with open_elf(path) as file:
        place = file.by_name[".debug_aranges"].offset + at
    assert ".debug_aranges is of an unknown kind" in refusal(
        edited(path, lambda data: data.__setitem__(place, data[place] + 77))
    )
