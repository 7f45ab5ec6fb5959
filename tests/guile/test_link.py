"""What pagefit relinks is, byte for byte, what Guile's own linker makes of the same objects."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest

from pagefit.guile import relink, variant
from pagefit.guile.bytecode import isa_of
from pagefit.guile.format import read_object
from support.guiles import GUILES, SIZES, VARIANTS, Guile, modules

Linked = dict[str, dict[int, Path]]

#: Installed modules with many kinds of constants, as source.
INSTALLED = ("web/uri", "ice-9/q", "rnrs/bytevectors", "srfi/srfi-9")


def assert_all_pairs_equal(linked: Linked) -> None:
    assert linked
    for files in linked.values():
        images = {size: path.read_bytes() for size, path in files.items()}
        for old, new in itertools.product(images, repeat=2):
            result, realigned = relink(images[old], new, where=str(files[old]))
            assert result == images[new], f"{files[old]} to {new}"
            assert realigned.strategy == "link"
            assert (realigned.old_size, realigned.new_size) == (len(images[old]), len(result))


def test_every_ordered_pair_of_sizes_equals_guiles_own_link(linked: Linked) -> None:
    assert_all_pairs_equal(linked)
    obj = read_object(linked["keywords"][4096].read_bytes())
    kinds = {obj.elf.by_name[name].size > 0 for name in (".rodata", ".guile.procprops", ".guile.docstrs")}
    assert kinds == {True}, "the module has every kind of table"


def test_installed_modules_too(guile: Guile, tmp_path: Path) -> None:
    sources = [guile.sources / f"{name}.scm" for name in INSTALLED]
    assert_all_pairs_equal(guile.link_everywhere(tmp_path, sources))


@pytest.mark.parametrize("target", VARIANTS)
def test_all_four_variants(guile: Guile, target: str, tmp_path: Path) -> None:
    sources = [source for source in modules() if source.stem != "work"]
    linked = guile.link_everywhere(tmp_path, sources, VARIANTS[target])
    assert_all_pairs_equal(linked)
    for path in linked["keywords"].values():
        assert variant(read_object(path.read_bytes()).elf.image) == target


def test_a_module_without_constants_to_patch_has_no_data_in_guile_2_2(tmp_path: Path) -> None:
    linked = GUILES[1].link_everywhere(tmp_path, [s for s in modules() if s.stem == "forty-two"])
    assert all(read_object(path.read_bytes()).data is None for path in linked["forty-two"].values())


def test_any_power_of_two_will_do_and_leads_back(linked: Linked) -> None:
    original = linked["work"][65536].read_bytes()
    for size in (16, 512, 8192, 32768, 131072, 2 << 20):
        there, _ = relink(original, size)
        obj = read_object(there)
        assert obj.data is not None
        assert obj.data.addr % size == 0
        assert {load.align for load in obj.elf.image.loads} == {size}
        assert relink(there, 65536)[0] == original


def test_padding_of_any_width_on_the_way_in_is_no_obstacle(linked: Linked) -> None:
    """p_align raised without moving anything: the usual false remedy. The layout itself says where things are."""
    naive = bytearray(linked["work"][4096].read_bytes())
    for index in range(2):
        naive[64 + 56 * index + 48 : 64 + 56 * index + 56] = (65536).to_bytes(8, "little")
    assert relink(bytes(naive), 65536)[0] == linked["work"][65536].read_bytes()


def test_the_instruction_tables_are_guiles_own(guile: Guile, linked: Linked) -> None:
    listing = guile.run(
        "-c",
        "(use-modules (language bytecode) (ice-9 match))"
        "(for-each (match-lambda ((name opcode _ . words)"
        '  (format #t "~a ~a ~a~%" name opcode words))) (instruction-list))',
    ).stdout
    isa = isa_of(read_object(linked["work"][4096].read_bytes()).version)
    assert isa is not None
    seen = 0
    for line in listing.splitlines():
        name, number, words = line.split(" ", 2)
        opcode, operands = int(number), words.strip("()").split()
        labels = {index for index, operand in enumerate(operands) if operand in ("L32", "N32", "R32", "LO32")}
        assert {label.word for label in isa.labels.get(opcode, ())} == labels, name
        assert isa.lengths[opcode] == (str(len(operands)) if name != "halt" else "."), name
        assert (operands[-1] == "V32_X8_L24") == (opcode == isa.jtable), name
        seen += 1
    assert seen > 160


@pytest.mark.slow
def test_every_third_installed_module_is_what_guile_links(guile: Guile, tmp_path: Path) -> None:
    """Of Guile's sources, those that compile by themselves, linked by Guile at four sizes. Minutes go to compiling."""
    paths = sorted(path for path in guile.sources.rglob("*.scm") if path.relative_to(guile.sources).parts[0] != "site")
    checked = 0
    for number, path in enumerate(paths[::3]):
        folder = tmp_path / str(number)
        try:
            linked = guile.link_everywhere(folder, [path])
        except subprocess.CalledProcessError:
            continue  # parts of other files, which do not compile alone
        if not all(linked[path.stem][size].exists() for size in SIZES):
            continue
        assert_all_pairs_equal(linked)
        checked += 1
    assert checked > 60
