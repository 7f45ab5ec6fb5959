"""The judge and Guile's own loader agree about every .go file, page size by page size."""

from __future__ import annotations

import signal
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pagefit.elf.headers import read_image
from pagefit.guile.format import read_object
from pagefit.loaders.guile import COPYING, GENERATIONS, GUILE_2_1_0, GUILE_2_1_6, judge_guile
from pagefit.loaders.judge import judge
from pagefit.loaders.rules import RULES
from pagefit.loaders.verdict import COMMON_PAGE_SIZES, Judgement, Verdict
from support.guiles import GUILES, Guile, large_pages, modules

K = 1024
PHDR = struct.Struct("<IIQQQQQQ")
R, RW, DYNAMIC = 0, 1, 2
FIELDS = {"type": 0, "flags": 1, "offset": 2, "vaddr": 3, "paddr": 4, "filesz": 5, "memsz": 6, "align": 7}


@pytest.fixture(scope="module", params=GUILES, ids=lambda guile: guile.version)
def guile(request: pytest.FixtureRequest) -> Guile:
    found: Guile = request.param
    return found


@pytest.fixture(scope="module")
def linked(guile: Guile, tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    sources = [source for source in modules() if source.stem == "keywords"]
    files = guile.link_everywhere(tmp_path_factory.mktemp("linked"), sources)["keywords"]
    return {size: path.read_bytes() for size, path in files.items()}


def judged(data: bytes, *page_sizes: int) -> Judgement:
    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    return judge(read_image(read, len(data)), read, page_sizes=page_sizes or None)


def changed(data: bytes, segment: int, **values: int) -> bytes:
    copy = bytearray(data)
    fields = list(PHDR.unpack_from(copy, 64 + segment * PHDR.size))
    for name, value in values.items():
        fields[FIELDS[name]] = value
    PHDR.pack_into(copy, 64 + segment * PHDR.size, *fields)
    return bytes(copy)


def real_verdict(guile: Guile, data: bytes, page_size: int, folder: Path) -> Verdict:
    """What becomes of a Guile that loads the file on pages of that size."""
    path = folder / "module.go"
    path.write_bytes(data)
    done = guile.run("-c", f'(load-compiled "{path}") (display "loaded")', env=large_pages(page_size), check=False)
    if done.returncode == 0:
        assert done.stdout.endswith("loaded")
        return Verdict.FITS
    if done.returncode == -signal.SIGSEGV:
        return Verdict.CRASHES
    assert "load-thunk-from-memory" in done.stderr or "Invalid argument" in done.stderr, done.stderr
    return Verdict.REJECTED


@pytest.mark.parametrize("page_size", COMMON_PAGE_SIZES)
def test_files_linked_at_any_size_fare_as_judged(
    guile: Guile, linked: dict[int, bytes], page_size: int, tmp_path: Path
) -> None:
    for data in linked.values():
        assert judged(data).at(page_size) is real_verdict(guile, data, page_size, tmp_path)


def raised(files: dict[int, bytes]) -> bytes:
    """4K layout with p_align written over: the usual false remedy."""
    return changed(changed(files[4096], RW, align=65536), R, align=65536)


CRAFTED: dict[str, tuple[Callable[[dict[int, bytes]], bytes], dict[int, set[str]]]] = {
    "p_align raised, nothing moved": (raised, {4096: set(), 65536: {"G4"}}),
    "aligned, but p_align says 4K": (lambda f: changed(f[65536], RW, align=4096), {4096: set(), 65536: {"G1"}}),
    "p_align of the read-only segment": (lambda f: changed(f[65536], R, align=8), {4096: set(), 65536: set()}),
    "p_align is no power of two": (lambda f: changed(f[65536], RW, align=65537), {4096: set(), 65536: set()}),
    "p_align is larger than needed": (lambda f: changed(f[65536], RW, align=2 << 20), {4096: set(), 65536: set()}),
    "bss": (lambda f: changed(f[65536], RW, filesz=16), {4096: {"G5"}, 65536: {"G5"}}),
    "no rights": (lambda f: changed(f[65536], RW, flags=0), {4096: {"G5"}, 65536: {"G5"}}),
    "unknown segment": (lambda f: changed(f[65536], RW, type=0x6474E551), {4096: {"G5"}, 65536: {"G5"}}),
    "two PT_DYNAMIC": (lambda f: changed(f[65536], RW, type=2), {4096: {"G5"}, 65536: {"G5"}}),
    "not at address 0": (lambda f: changed(f[65536], R, vaddr=65536), {4096: {"G5", "G6"}, 65536: {"G5", "G6"}}),
    "beyond the end": (lambda f: changed(f[65536], RW, filesz=1 << 20, memsz=1 << 20), {4096: {"G5"}, 65536: {"G5"}}),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_headers_fare_as_judged(guile: Guile, linked: dict[int, bytes], name: str, tmp_path: Path) -> None:
    craft, expected = CRAFTED[name]
    data = craft(linked)
    for page_size, rules in expected.items():
        judgement = judged(data, page_size)
        assert {finding.rule for finding in judgement.findings} == rules
        assert judgement.at(page_size) is real_verdict(guile, data, page_size, tmp_path)


def test_the_address_is_taken_for_the_offset(guile: Guile, linked: dict[int, bytes], tmp_path: Path) -> None:
    """.data one page further on in memory than in the file, as any other loader would accept it."""
    data = linked[65536]
    writable = read_object(data).writable
    assert writable is not None
    moved = changed(data, RW, vaddr=writable.vaddr + 65536) + bytes(65536)
    assert {finding.rule for finding in judged(moved).findings} == {"G6"}
    assert judged(moved).worst is Verdict.CORRUPTS
    assert not real_verdict(guile, moved, 4096, tmp_path).loads


def test_a_failing_mprotect_is_a_warning_and_the_source_runs(
    guile: Guile, linked: dict[int, bytes], tmp_path: Path
) -> None:
    (tmp_path / "keywords.scm").write_text("(define-module (keywords) #:export (area)) (define (area) 'from-source)")
    (tmp_path / "keywords.go").write_bytes(raised(linked))
    env = {"GUILE_LOAD_PATH": str(tmp_path), "GUILE_LOAD_COMPILED_PATH": str(tmp_path)}
    done = guile.run("-c", "(use-modules (keywords)) (write (area))", env={**env, **large_pages(65536)})
    assert ";;; WARNING: loading compiled file" in done.stderr
    assert done.stdout == "from-source"


def test_the_finding_says_where_and_how_much(linked: dict[int, bytes]) -> None:
    (finding,) = judged(linked[4096], 65536).findings
    assert (finding.rule, finding.loader, finding.segments, finding.page) == ("G1", "guile>=2.1.8", (RW,), 0)
    assert "0x1000" in finding.message
    assert "64K" in finding.message
    assert "pagefit align" in RULES[finding.rule].remedy


def test_each_generation_of_the_loader_has_its_own_condition(linked: dict[int, bytes]) -> None:
    def fits(size: int, page_size: int) -> set[str]:
        data = linked[size]

        def read(offset: int, length: int) -> bytes:
            return data[offset : offset + length]

        verdicts = judge_guile(read_image(read, len(data)), read, [page_size], generations=GENERATIONS).verdicts
        return {loader for (loader, _), verdict in verdicts.items() if verdict is Verdict.FITS}

    everywhere = {COPYING.name}
    assert fits(65536, 4096) == everywhere | {"guile>=2.1.8"}
    assert fits(65536, 65536) == everywhere | {"guile>=2.1.8", GUILE_2_1_6.name}
    assert fits(4096, 4096) == everywhere | {"guile>=2.1.8", GUILE_2_1_6.name, GUILE_2_1_0.name}
    assert fits(4096, 65536) == everywhere
    assert fits(8, 4096) == everywhere


def test_the_bytecode_version_tells_which_generation_counts(linked: dict[int, bytes]) -> None:
    tag = struct.pack("<Q", 0x37146003)
    loaders = {}
    for version in ((0x0202, 6), (0x0202, 8), (0x0202, 9), (0x0202, 65), (0x0300, 1), (0x0300, 9), (0x0400, 0)):
        at = linked[4096].index(tag) + 8
        data = linked[4096][:at] + struct.pack("<Q", version[0] << 16 | version[1]) + linked[4096][at + 8 :]
        loaders[version] = {loader for loader, _ in judged(data).verdicts}
    assert loaders[0x0202, 6] == loaders[0x0202, 8] == {GUILE_2_1_0.name}
    del loaders[0x0202, 6], loaders[0x0202, 8]
    assert set(map(frozenset, loaders.values())) == {frozenset({"guile>=2.1.8"})}
