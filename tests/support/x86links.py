"""x86-64 fixtures: objects linked for 4K and for 64K by any linker, run where the tests run, and their truth."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from pagefit.elf import symbols
from pagefit.elf.sections import SHT_RELA, ElfFile, open_elf
from pagefit.realign.engine import draft_for
from pagefit.realign.moves import Moves

GCC = ("x86_64-linux-gnu-gcc", "-O2", "-fPIC")
GXX = ("x86_64-linux-gnu-g++", "-O2", "-fPIC")
CLANG = ("clang", "--target=x86_64-linux-gnu", "-O2", "-fPIC")
CLANGXX = ("clang++", "--target=x86_64-linux-gnu", "-O2", "-fPIC")
LINKERS = ("bfd", "gold", "lld", "mold")

#: Relocations of 32 bits that are counted from their own place (System V x86-64 ABI, table 4.10): PC32, PLT32,
#: GOTPCREL, TLSGD, TLSLD, GOTTPOFF, GOTPC32, GOTPC32_TLSDESC, GOTPCRELX, REX_GOTPCRELX.
_PC_RELATIVE = frozenset({2, 4, 9, 19, 20, 22, 26, 34, 41, 42})

_RUN = "import ctypes, sys; library = ctypes.CDLL(sys.argv[1]); print([library.run(x) for x in range(32)])"


def build(compiler: Sequence[str], folder: Path, sources: Sequence[Path], *flags: str) -> list[Path]:
    """Compile each source to an object file in `folder`."""
    objects = [folder / f"{source.stem}.o" for source in sources]
    for source, target in zip(sources, objects, strict=True):
        subprocess.run([*compiler, *flags, "-c", "-o", target, source], check=True, capture_output=True)
    return objects


def link(objects: Sequence[Path], output: Path, *flags: str, page_size: int = 4096, linker: str = "bfd") -> Path:
    """Link objects to a shared library (flags may say otherwise). No build-id: it is a hash of the addresses, too."""
    sizes = f"-Wl,-z,max-page-size={page_size},-z,common-page-size={page_size},--build-id=none"
    shape = [] if any(flag in flags for flag in ("-pie", "-static-pie", "-no-pie")) else ["-shared"]
    command = ["g++", f"-fuse-ld={linker}", *shape, sizes, "-o", output, *objects, *flags]
    subprocess.run(command, check=True, capture_output=True)
    return output


def run(library: Path) -> str:
    """What `run(x)` of a library returns for some x, in a process of its own."""
    command = [sys.executable, "-c", _RUN, library]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def address(library: Path, name: str) -> int:
    """The value of a symbol."""
    with open_elf(library) as file:
        for table in symbols.tables(file):
            for symbol in symbols.symbols(file, table):
                if symbols.name(file, table, symbol) == name:
                    return symbol.value
    raise LookupError(name)


def write_word(library: Path, place: int, value: int) -> None:
    """Overwrite four bytes at an address."""
    with open_elf(library) as file:
        offset = file.offset_of(place)
    assert offset is not None
    data = bytearray(library.read_bytes())
    data[offset : offset + 4] = value.to_bytes(4, "little", signed=True)
    library.write_bytes(data)


def compare(path: Path, page_size: int = 65536) -> tuple[int, set[int], set[int]]:
    """(true references from code to what moves, addresses missed, addresses found without cause) of a file.

    The file must have been linked with `--emit-relocs`. PLTs have no relocations: objdump tells of those.
    """
    with open_elf(path) as file:
        plan = draft_for(file, page_size, "dense")[1]
        places = {file.address_of(patch.offset) for patch in plan.code.patches}
        resolved = set(_resolved(file))
        true = {place for place in resolved if _leads_there(file, place, plan.moves)} | set(_in_plts(path, plan.moves))
        return len(true), true - places, places - true


def _resolved(file: ElfFile) -> Iterator[int]:
    for table in file.sections:
        if table.type != SHT_RELA or table.alloc or not table.size:
            continue
        home = file.sections[table.info]
        if home.alloc and not home.writable and home.name not in (".eh_frame", ".gcc_except_table"):
            for place, info, _ in file.struct("QQq").iter_unpack(file.contents(table)):
                if info & 0xFFFFFFFF in _PC_RELATIVE:
                    yield place


def _leads_there(file: ElfFile, place: int, moves: Moves) -> bool:
    word = int.from_bytes(file.read(place, 4) or b"", "little", signed=True)
    # A word in a table counts from the table; the reference finds its target some words away, in the same piece.
    return bool(moves.shift(place + 4 + word))


def _in_plts(path: Path, moves: Moves) -> Iterator[int]:
    """The displacements of the PLTs' operands as objdump sees them: the last four bytes of each instruction."""
    listing = ["objdump", "-d", "-w", "--no-show-raw-insn", *(f"-j{name}" for name in _PLTS), path]
    done = subprocess.run(listing, check=False, capture_output=True, text=True)
    lines = [line.split(None, 1) for line in done.stdout.splitlines() if "\t" in line]
    addresses = [int(line[0].rstrip(":"), 16) for line in lines]
    for (_, text), after in zip(lines, [*addresses[1:], 0], strict=True):
        if "(%rip)" in text and moves.shift(int(text.split("#")[1].split()[0], 16)):
            yield after - 4


_PLTS = (".plt", ".plt.got", ".plt.sec", ".iplt")


def link_like(ours: Path, objects: Sequence[Path], output: Path, *flags: str) -> Path:
    """Link objects with GNU ld so that data lies at the addresses that it has in `ours`, and all else as for 4K pages.

    GNU ld itself then resolves every reference to the moved data. Its own link for 64K pages would do, too, were it not
    for `-z separate-code`, which moves the code as well.
    """
    defaults = [flag.removeprefix("-Wl,") for flag in flags if flag.startswith("-Wl,")]
    ld = ["ld.bfd", "-shared", *(word for flag in defaults for word in flag.split(",")), "--verbose"]
    script = subprocess.run(ld, check=True, capture_output=True, text=True).stdout.split("=" * 50)[1]
    with open_elf(ours) as file:
        data = [s for s in file.sections if s.alloc and s.writable and s.file_size]
        first = min(s.addr for s in data)
        headers = min(s.addr for s in file.sections if s.alloc)
        behind = min(s.addr for s in data if s.name in (".got.plt", ".data"))
    script = re.sub(r"DATA_SEGMENT_ALIGN \(.*\);", f"{first:#x};", script)
    script = re.sub(r"DATA_SEGMENT_RELRO_END \(.*\);", f"{behind:#x};", script)
    script = script.replace("+ SIZEOF_HEADERS", f"+ {headers:#x}")
    path = output.with_suffix(".ld")
    path.write_text(script.replace("DATA_SEGMENT_END (.)", "."))
    return link(objects, output, *flags, "-Wl,-z,norelro", f"-Wl,-T,{path}")
