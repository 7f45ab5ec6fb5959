"""Which loaders judge which file, and that the dynamic section is read only when the answer hangs on it."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from pagefit.elf import constants as c
from pagefit.loaders.allocators import Allocator, find_allocator, judge_allocator
from pagefit.loaders.judge import judge
from pagefit.loaders.machines import ANDROID_PAGE_SIZES, MACHINES
from pagefit.loaders.rules import RULES
from pagefit.loaders.verdict import Verdict
from pagefit.survey import Options, survey
from support.elfs import Elf, R, Seg, W, X, image_of, load, reader
from support.packages import wheel

K = 1024
DOCS = Path(__file__).resolve().parents[2] / "docs" / "explanation"
NEEDED, STRTAB, SONAME, FLAGS_1 = 1, 5, 14, 0x6FFFFFFB


def with_dynamic(needed: str = "", *, soname: bool = False, pie: bool = False, interp: str = "", entry: int = 0) -> Elf:
    """A file that glibc loads at 64K and musl corrupts: read-only data and writable data share a page."""
    strings = b"\0" + needed.encode() + b"\0"
    entries = [(STRTAB, 0x10100), (NEEDED, 1)] if needed else [(STRTAB, 0x10100)]
    entries += [(SONAME, 0)] if soname else []
    entries += [(FLAGS_1, 0x08000000)] if pie else []
    table = b"".join(struct.pack("<QQ", *entry) for entry in [*entries, (0, 0)])
    segments = [
        load(R, 0, 0, 0x8000),
        load(R, 0x10000, 0x10000, 0x1000),
        load(R | W, 0x12000, 0x12000, 0x1000),
        Seg(c.PT_DYNAMIC, R | W, 0x12000, 0x12000, len(table), len(table), 8),
    ]
    content = {0x10100: strings, 0x12000: table}
    if interp:
        segments.append(Seg(c.PT_INTERP, R, 0x800, 0x800, len(interp) + 1, len(interp) + 1, 1))
        content[0x800] = interp.encode() + b"\0"
    return Elf(tuple(segments), 0x13000, entry=entry, content=content)


def loaders(elf: Elf, *page_sizes: int) -> set[str]:
    data = elf.data()
    return {loader for loader, _ in judge(image_of(data), reader(data), page_sizes=page_sizes or None).verdicts}


GLIBC = {"glibc<2.35", "glibc>=2.35"}


@pytest.mark.parametrize(
    ("elf", "expected"),
    [
        (with_dynamic("libc.so.6"), GLIBC),
        (with_dynamic("ld-linux-aarch64.so.1"), GLIBC),
        (with_dynamic("libm.so.6"), GLIBC),
        (with_dynamic("libc.musl-aarch64.so.1"), {"musl"}),
        (with_dynamic("libc.so"), {"musl"}),
        (with_dynamic("libother.so"), {*GLIBC, "musl"}),
        (with_dynamic(pie=True, entry=0x100), {"kernel"}),
        (with_dynamic("libc.so.6", entry=0x100), GLIBC),
        (with_dynamic("libc.so.6", interp="/lib/ld-linux-aarch64.so.1", pie=True, entry=0x100), {"kernel"}),
        (with_dynamic(interp="/lib/ld-linux-aarch64.so.1", soname=True, entry=0x100), {*GLIBC, "musl", "kernel"}),
    ],
)
def test_the_dynamic_section_settles_whom_a_file_meets(elf: Elf, expected: set[str]) -> None:
    assert loaders(elf, 64 * K) == expected


def test_a_glibc_library_does_not_fail_for_musl() -> None:
    data = with_dynamic("libc.so.6").data()
    assert judge(image_of(data), reader(data)).worst is Verdict.FITS
    data = with_dynamic("libc.musl-aarch64.so.1").data()
    assert judge(image_of(data), reader(data)).at(64 * K) is Verdict.CORRUPTS


def test_headers_are_all_that_is_read_of_a_file_that_fits() -> None:
    data = (
        with_dynamic("libc.so.6")
        .replace(segments=(load(R | X, 0, 0, 0x8000), load(R | W, 0x10000, 0x10000, 0x3000)))
        .data()
    )

    def unread(offset: int, length: int) -> bytes:
        raise AssertionError((offset, length))

    assert judge(image_of(data), unread).worst is Verdict.FITS


def test_c17_a_library_stored_in_an_apk_must_begin_at_a_page(tmp_path: Path) -> None:
    note = struct.pack("<3I", 8, 4, 1) + b"Android\0" + struct.pack("<I", 35)
    elf = Elf(
        (load(R | X, 0, 0, 0x8000), load(R | W, 0xC000, 0xC000, 0x100), Seg(c.PT_NOTE, R, 0x400, 0x400, 24, 24, 4)),
        0xC100,
        content={0x400: note},
    )
    found: dict[str, dict[int, Verdict]] = {}
    for name, compression in (
        ("a.apk", zipfile.ZIP_STORED),
        ("b.apk", zipfile.ZIP_DEFLATED),
        ("c.zip", zipfile.ZIP_STORED),
    ):
        with zipfile.ZipFile(tmp_path / name, "w", compression) as archive:
            archive.writestr("lib/arm64-v8a/libx.so", elf.data())
        (report,) = survey([tmp_path / name], Options())
        found[name] = {size: report.judgement.at(size) for size in (4 * K, 16 * K, 64 * K)}
    assert found["a.apk"] == {4 * K: Verdict.REJECTED, 16 * K: Verdict.REJECTED, 64 * K: Verdict.NOT_APPLICABLE}
    assert (
        found["b.apk"] == found["c.zip"] == {4 * K: Verdict.FITS, 16 * K: Verdict.FITS, 64 * K: Verdict.NOT_APPLICABLE}
    )


def test_c18_says_what_it_knows_and_no_more() -> None:
    elf = Elf((load(R | X, 0, 0, 0x20000),), 0x20000, filler=0)
    message = b"<jemalloc>: Unsupported system page size\n"
    asks = struct.pack(
        "<4I", 0x528003C0, 0x94000000, 0xB100041F, 0xF140041F
    )  # mov w0, #30; bl; cmn; cmp x0, #1, lsl #12

    def found(content: dict[int, bytes], machine: int = c.EM_AARCH64) -> Allocator | None:
        data = elf.replace(content=content, machine=machine).data()
        return find_allocator(image_of(data), reader(data))

    assert found({0x5000: asks}) is None
    assert found({0x1F000: message}) == Allocator("jemalloc", None)
    assert found({0x1F000: message, 0x5000: asks}) == Allocator("jemalloc", 4096)
    assert found({0x1F000: message, 0x5002: asks}) == Allocator("jemalloc", None)
    assert found({0x1F000: message, 0x5000: asks}, machine=62) is None
    data = elf.data()
    judgement = judge(image_of(data), reader(data))
    unknown = judge_allocator(judgement, Allocator("jemalloc", None))
    assert unknown.worst is Verdict.FITS
    assert {finding.rule for finding in unknown.findings} == {"C18"}
    assert judge_allocator(judgement, Allocator("jemalloc", 16 * K)).at(16 * K) is Verdict.FITS
    assert judge_allocator(judgement, Allocator("jemalloc", 16 * K)).at(64 * K) is Verdict.CRASHES


@pytest.mark.network
def test_a_musl_wheel_is_judged_by_musl() -> None:
    path = wheel("markupsafe", "3.0.2", "musllinux_1_2_x86_64", "312")
    (report,) = survey([path], Options((64 * K,)))
    assert not report.judgement.at(64 * K).loads


def test_every_page_size_is_one_and_every_rule_is_documented() -> None:
    for sizes in [*(machine.page_sizes for machine in MACHINES.values()), *ANDROID_PAGE_SIZES.values()]:
        assert list(sizes) == sorted(sizes)
        assert all(size >= 4096 and size & (size - 1) == 0 for size in sizes)
    assert set(ANDROID_PAGE_SIZES) < set(MACHINES)
    text = (DOCS / "loader-rules.md").read_text()
    for rule in RULES.values():
        assert rule.remedy.endswith(".")
        assert rule.id.startswith("G") or f"| {rule.id} |" in text
