"""What cannot be proved is refused, with its reason; what only looks dangerous is left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pagefit.elf.sections import open_elf
from pagefit.errors import Refused
from pagefit.realign import realign
from pagefit.realign.report import Realigned
from support import x86links

OWN = Path(__file__).parent / "sources"

#: `run` in assembly, with an unwind table; data it may lead to; and how a relative table is read.
FUNCTION = """
    .text
    .globl run
    .type run, @function
run:
    .cfi_startproc
{body}
    ret
    .cfi_endproc
    .size run, . - run
    .data
    .balign 64
array: .quad 1, 2, 3, 4
    .section .data.rel.ro, "aw"
    .balign 8
constant: .quad array
    .section .rodata
    .balign 4
table: .long constant - table, array - table, other - table
other: .long 5, 6, 7
    .section .note.GNU-stack, "", @progbits
"""
READ = "lea table(%rip), %rcx\n movslq (%rcx,%rax,4), %rax\n add %rcx, %rax\n"
#: The same in a loop, with the base outside of it.
LOOP = """
    lea table(%rip), %rcx
    mov %edi, %eax
2:  cmp $2, %eax
    ja 1f
    movslq (%rcx,%rax,4), %rdx
    lea (%rcx,%rdx), %rdx
    dec %eax
    jmp 2b
1:
"""


def _compile(
    tmp_path: Path, text: str, *flags: str, suffix: str = ".S", compiler: tuple[str, ...] = x86links.GCC
) -> Path:
    source = tmp_path / f"source{suffix}"
    source.write_text(text)
    return x86links.link(x86links.build(compiler, tmp_path, [source]), tmp_path / "x.so", *flags)


def _realign(library: Path) -> Realigned:
    return realign(library, library.with_name("result.so"), 65536)


def _refused(library: Path, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as caught:
        _realign(library)
    assert caught.value.remedy
    assert not library.with_name("result.so").exists()


def test_the_large_code_model(tmp_path: Path) -> None:
    text = "static int x; int *run(int n) { x += n; return &x; }"
    compiler = (*x86links.GCC, "-mcmodel=large")
    _refused(_compile(tmp_path, text, suffix=".c", compiler=compiler), "large code model|may be an operand|in the GOT")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("lea _GLOBAL_OFFSET_TABLE_(%rip), %rbx", "a place in the GOT"),
        ("movabs $array@GOTOFF, %rax\n lea _GLOBAL_OFFSET_TABLE_(%rip), %rbx\n add %rbx, %rax", "a place in the GOT"),
        ("1: lea 1b(%rip), %rbx\n movabs $_GLOBAL_OFFSET_TABLE_-1b, %r11\n add %r11, %rbx", "large code model"),
        ("lea array+0x800(%rip), %rax", "no section holds that"),
        ("mov %edi, %eax\n" + READ, "nothing bounds the index"),
        ("mov %edi, %eax\n cmp $2, %edi\n ja 1f\n 1:\n" + READ, "nothing bounds the index"),
        ("mov %rdi, %rax\n cmp $2, %edi\n ja 1f\n" + READ + "1:", "nothing bounds the index"),
        ("test %edi, %edi\n cmp $2, %edi\n ja 1f\n mov %rdi, %rax\n" + READ + "1:", "nothing bounds the index"),
        ("cmp $2, %edi\n jg 1f\n mov %edi, %eax\n" + READ + "1:", "nothing bounds the index"),
        ("mov %edi, %eax\n and $7, %eax\n lea other(%rip), %rdx\n" + READ, "which code uses by itself"),
        ("movzbl %dil, %eax\n" + READ, "leave the file|leads nowhere|which code uses"),
    ],
)
def test_code_that_nothing_proves(body: str, reason: str, tmp_path: Path) -> None:
    _refused(_compile(tmp_path, FUNCTION.format(body=body)), reason)


@pytest.mark.parametrize(
    "body",
    [
        "mov %edi, %eax\n cmp $2, %edi\n ja 1f\n" + READ + "1:",
        "cmp $2, %rdi\n ja 1f\n mov %rdi, %rax\n" + READ + "1:",
        "cmp $3, %edi\n jae 1f\n movslq %edi, %rax\n" + READ + "1:",
        "cmp $2, %edi\n jbe 2f\n ret\n 2: mov %edi, %eax\n" + READ,
        "movzbl %dil, %eax\n cmp $2, %al\n ja 1f\n" + READ + "1:",
        LOOP,
        "lea table(%rip), %rcx\n movslq table+4(%rip), %rax\n add %rcx, %rax\n movslq (%rcx), %rdx\n add %rcx, %rdx",
    ],
)
def test_a_relative_table_whose_bound_is_proved(body: str, tmp_path: Path) -> None:
    result = _realign(_compile(tmp_path, FUNCTION.format(body=body)))
    # Two entries move; the third leads into read-only data.
    assert result.plan.patched["relative table"] == 2


def test_a_relative_table_that_assembly_reads(tmp_path: Path) -> None:
    """Without an unwind table nobody knows where the function starts, and so what its paths are."""
    body = "mov %edi, %eax\n cmp $2, %edi\n ja 1f\n" + READ + "1:"
    text = FUNCTION.format(body=body).replace(".cfi_startproc", "").replace(".cfi_endproc", "")
    _refused(_compile(tmp_path, text), "has no unwind table")


def test_a_guard_that_is_jumped_around(tmp_path: Path) -> None:
    body = "test %esi, %esi\n je 2f\n cmp $2, %edi\n ja 1f\n 2: mov %edi, %eax\n" + READ + "1:"
    _refused(_compile(tmp_path, FUNCTION.format(body=body)), "nothing bounds the index")


def test_a_base_that_may_be_another(tmp_path: Path) -> None:
    body = "cmp $2, %edi\n ja 1f\n mov %edi, %eax\n lea table(%rip), %rcx\n test %esi, %esi\n"
    body += "je 2f\n mov %rdx, %rcx\n 2: movslq (%rcx,%rax,4), %rax\n add %rcx, %rax\n 1:"
    _refused(_compile(tmp_path, FUNCTION.format(body=body)), "nothing bounds the index")


def test_integers_that_look_like_distances(tmp_path: Path) -> None:
    body = "cmp $2, %edi\n ja 1f\n mov %edi, %eax\n lea table(%rip), %rcx\n movslq (%rcx,%rax,4), %rax\n 1:"
    text = FUNCTION.format(body=body).replace("constant - table, array - table", "1, 2")
    library = _compile(tmp_path, text)
    x86links.write_word(library, x86links.address(library, "table"), x86links.address(library, "array") - 0x2000)
    assert "relative table" not in _realign(library).plan.patched


def test_constants_in_text_that_look_like_an_operand(tmp_path: Path) -> None:
    library = x86links.link(x86links.build(x86links.GCC, tmp_path, [OWN / "asm.S"]), tmp_path / "x.so")
    place = x86links.address(library, "lookalike")
    x86links.write_word(library, place, x86links.address(library, "word") - place - 4)
    _realign(library)
    result = library.with_name("result.so")
    with open_elf(library) as before, open_elf(result) as after:
        assert before.read(place, 4) == after.read(place, 4)
    assert x86links.run(result) == x86links.run(library)


def test_constants_in_text_that_nobody_names(tmp_path: Path) -> None:
    text = (OWN / "asm.S").read_text().replace("lea constants(%rip), %rcx", "xor %ecx, %ecx")
    library = _compile(tmp_path, text)
    place = x86links.address(library, "lookalike")
    x86links.write_word(library, place, x86links.address(library, "word") - place - 4)
    _refused(library, "may be an operand or data")


@pytest.mark.parametrize("junk", ["0xb8", "0x48, 0xb8", "0x48, 0x81, 0x05", "0xe8, 0, 0"])
def test_bytes_between_the_instructions_of_a_function(junk: str, tmp_path: Path) -> None:
    """A decoder that goes straight on takes the `lea` behind the junk for part of another instruction."""
    body = f"jmp 1f\n .byte {junk}\n 1: lea array(%rip), %rax\n mov 8(%rax), %rax"
    text = FUNCTION.format(body=body).replace("constant - table, array - table", "1, 2")
    library = _compile(tmp_path, text, "-Wl,--emit-relocs")
    _, missed, spurious = x86links.compare(library)
    assert not missed
    assert not spurious
    _realign(library)
    assert x86links.run(library.with_name("result.so")) == x86links.run(library)


def test_a_function_that_only_a_computed_call_reaches(tmp_path: Path) -> None:
    hidden = ".balign 16\n first: ret\n .balign 16\n mov array(%rip), %rax\n ret\n    .data\n"
    body = "lea first(%rip), %rax\n add $16, %rax\n call *%rax"
    _refused(_compile(tmp_path, FUNCTION.format(body=body).replace("    .data\n", hidden)), "may be an operand or data")


#: A computed jump behind some bytes, in a function without an unwind table.
JUMP = "here: lea here(%rip), %rax\n add $(there - here), %rax\n jmp *%rax\n {junk}\n there: mov array(%rip), %rax"


@pytest.mark.parametrize("size", [True, False])
@pytest.mark.parametrize("junk", ["", ".byte 0xb8", ".byte 0x06", "jmp there + 1"])
def test_a_place_that_only_a_computed_jump_reaches(junk: str, size: bool, tmp_path: Path) -> None:
    """When a symbol tells the function's size, its bytes have to be instructions, all of them, or nobody knows."""
    text = FUNCTION.format(body=JUMP.format(junk=junk)).replace("constant - table, array - table", "1, 2")
    text = text.replace(".cfi_startproc", "").replace(".cfi_endproc", "")
    library = _compile(tmp_path, text if size else text.replace(".size run, . - run", ""), "-Wl,--emit-relocs")
    if junk or not size:
        _refused(library, "may be an operand or data")
    else:
        count, missed, spurious = x86links.compare(library)
        assert (count > 0, missed, spurious) == (True, set(), set())


def test_relative_vtables(tmp_path: Path) -> None:
    text = "struct A { virtual int f() { return 1; } virtual ~A() {} }; A *make() { return new A; }"
    compiler = (*x86links.CLANGXX, "-fexperimental-relative-c++-abi-vtables")
    _refused(_compile(tmp_path, text, suffix=".cc", compiler=compiler), "vtable")


def test_code_in_writable_data(tmp_path: Path) -> None:
    text = FUNCTION.format(body="").replace("    .data\n", '    .section .writable, "awx"\n nop\n ret\n    .data\n')
    _refused(_compile(tmp_path, text), "writable and executable|executable segment")


def test_code_that_has_relocations(tmp_path: Path) -> None:
    _refused(_compile(tmp_path, FUNCTION.format(body="movabs $run, %rax"), "-Wl,-z,notext"), "TEXTREL")


def test_an_executable_with_fixed_addresses(tmp_path: Path) -> None:
    text = "int x; int main(void) { return x; }"
    _refused(_compile(tmp_path, text, "-no-pie", suffix=".c", compiler=(*x86links.GCC, "-fno-pie")), "ET_EXEC")


def test_a_missing_decoder_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "iced_x86", None)
    _refused(_compile(tmp_path, FUNCTION.format(body="lea array(%rip), %rax")), "without a decoder")
    assert subprocess.run([sys.executable, "-c", "import pagefit.realign.x86_64"], check=False).returncode == 0
