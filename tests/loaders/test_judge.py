"""Each rule broken alone, loader by loader; and the files no rule may speak of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pagefit.elf import constants as c
from pagefit.loaders.judge import judge
from pagefit.loaders.verdict import Judgement, Verdict
from support.elfs import Elf, R, Seg, W, X, image_of, load, reader, relro

K = 1024
#: What GNU ld makes for aarch64: RX, then RW with bss, 64 KiB apart, RELRO ending on a page of 64 KiB.
CLEAN = Elf(
    (load(R | X, 0, 0, 0x8000), load(R | W, 0xFE00, 0x1FE00, 0x800, 0x2000), relro(0xFE00, 0x1FE00, 0x200)), 0x11000
)


def judged(elf: Elf, *page_sizes: int) -> Judgement:
    data = elf.data()
    return judge(image_of(data), reader(data), page_sizes=page_sizes or None)


def rules(judgement: Judgement, loader: str, page_size: int) -> set[str]:
    return {f.rule for f in judgement.findings if f.loader == loader and f.page_size == page_size}


def test_a_clean_file_fits_under_every_libc_at_every_page_size() -> None:
    judgement = judged(CLEAN)
    assert set(judgement.verdicts.values()) == {Verdict.FITS}
    assert {loader for loader, _ in judgement.verdicts} == {"glibc<2.35", "glibc>=2.35", "musl"}
    assert judgement.page_sizes == (4 * K, 16 * K, 64 * K)
    assert judgement.findings == ()


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_class_and_byte_order_do_not_matter(bits: int, byteorder: str) -> None:
    machine = {32: 20, 64: 21}[bits]
    assert judged(CLEAN.replace(bits=bits, byteorder=byteorder, machine=machine)).worst is Verdict.FITS


def test_a_machine_without_the_page_size_is_not_applicable_unless_asked() -> None:
    small = Elf(
        (load(R | X, 0, 0, 0x800, align=4 * K), load(R | W, 0x800, 0x1800, 0x100, align=4 * K)), 0x900, machine=62
    )
    judgement = judged(small)
    assert judgement.at(4 * K) is Verdict.FITS
    assert judgement.at(64 * K) is Verdict.NOT_APPLICABLE
    assert judged(small, 64 * K).at(64 * K) is Verdict.REJECTED


@pytest.mark.parametrize(
    "elf",
    [
        CLEAN.replace(type=c.ET_REL),
        CLEAN.replace(machine=190),  # CUDA
        CLEAN.replace(machine=224, osabi=64),  # AMDGPU
        CLEAN.replace(osabi=9),  # FreeBSD
        CLEAN.replace(segments=(*CLEAN.segments, Seg(c.PT_DYNAMIC, R | W, 0xFE00, 0x1FE00, 0, 0x180))),  # .debug
    ],
)
def test_what_no_linux_loader_maps_has_no_verdict(elf: Elf) -> None:
    assert judged(elf, 64 * K) == Judgement({}, ())


def test_c1_rejected_by_glibc_wrong_bytes_under_musl() -> None:
    elf = CLEAN.replace(segments=(CLEAN.segments[0], load(R | W, 0x8000, 0x29000, 0x800, align=4 * K)))
    judgement = judged(elf)
    assert judgement.verdicts["glibc<2.35", 64 * K] is Verdict.REJECTED
    assert rules(judgement, "glibc<2.35", 64 * K) == {"C2"}
    assert rules(judgement, "glibc>=2.35", 64 * K) == {"C1"}
    assert judgement.verdicts["musl", 64 * K] is Verdict.CORRUPTS
    assert judgement.at(4 * K) is Verdict.FITS


def test_c2_alone_only_old_glibc_looks_at_p_align() -> None:
    elf = CLEAN.replace(
        segments=tuple(Seg(*(s.type, s.flags, s.offset, s.vaddr, s.filesz, s.memsz, 4 * K)) for s in CLEAN.segments)
    )
    judgement = judged(elf)
    assert judgement.verdicts["glibc<2.35", 64 * K] is Verdict.REJECTED
    assert judgement.verdicts["glibc>=2.35", 64 * K] is Verdict.FITS
    assert judgement.verdicts["musl", 64 * K] is Verdict.FITS


def test_c3_p_align_raised_on_paper_is_refused_by_old_glibc_even_at_4k() -> None:
    elf = CLEAN.replace(segments=(CLEAN.segments[0], load(R | W, 0x8000, 0x29000, 0x800)))
    judgement = judged(elf)
    assert rules(judgement, "glibc<2.35", 4 * K) == {"C3"}
    assert judgement.verdicts["glibc>=2.35", 4 * K] is Verdict.FITS


@pytest.mark.parametrize(("behind", "verdict"), [(b"\0", Verdict.FITS), (b"\1", Verdict.CORRUPTS)])
def test_c8_bss_is_replaced_by_the_file_behind_it(behind: bytes, verdict: Verdict) -> None:
    # A read-only segment appended behind bss, congruent at 64K, in the page where the bss ends.
    tail = load(R, 0x11000, 0x21000, 0x100)
    elf = Elf((CLEAN.segments[0], load(R | W, 0xFE00, 0x1FE00, 0x800, 0x1000), tail), 0x11100)
    elf = elf.replace(content={0x10600: behind * 0x800})
    elf = elf.replace(segments=(*elf.segments[:2], load(R | W, 0x11000, 0x21000, 0x100)))
    judgement = judged(elf)
    for loader in ("glibc<2.35", "glibc>=2.35"):
        assert judgement.verdicts[loader, 64 * K] is verdict
        assert rules(judgement, loader, 64 * K) == ({"C8"} if verdict is Verdict.CORRUPTS else set())
    assert judgement.at(4 * K) is Verdict.FITS


def test_c7_code_in_a_page_that_became_writable_data() -> None:
    elf = Elf(
        (load(R, 0, 0, 0x8000), load(R | X, 0x10000, 0x10000, 0x1000), load(R | W, 0x12000, 0x12000, 0x100)), 0x12100
    )
    judgement = judged(elf)
    assert judgement.verdicts["glibc>=2.35", 64 * K] is Verdict.CRASHES
    assert rules(judgement, "glibc>=2.35", 64 * K) == {"C7"}
    assert judgement.at(4 * K) is Verdict.FITS
    finding = next(f for f in judgement.findings if f.rule == "C7")
    assert (finding.segments, finding.page) == ((1, 2), 0x10000)


def test_c9_the_kernel_wipes_the_page_in_which_a_segment_without_file_bytes_starts() -> None:
    elf = Elf(
        (
            load(R | X, 0, 0x400000, 0x8000),
            load(R | W, 0x9000, 0x419000, 0x800),
            load(R | W, 0xA000, 0x41A000, 0, 0x100),
        ),
        0x9800,
        type=c.ET_EXEC,
    )
    judgement = judged(elf)
    assert judgement.verdicts["kernel", 64 * K] is Verdict.CORRUPTS
    assert rules(judgement, "kernel", 64 * K) == {"C9"}
    assert judgement.verdicts["kernel", 4 * K] is Verdict.FITS


def test_c10_a_hole_of_negative_size() -> None:
    elf = Elf(
        (load(R | X, 0, 0, 0x18000), load(R, 0x18000, 0x18000, 0x100), load(R | W, 0x19000, 0x19000, 0x100)), 0x19100
    )
    judgement = judged(elf)
    assert "C10" in rules(judgement, "glibc>=2.35", 64 * K)
    assert judgement.at(4 * K) is Verdict.FITS


def test_c11_relro_that_begins_inside_a_writable_page() -> None:
    elf = CLEAN.replace(
        segments=(CLEAN.segments[0], load(R | W, 0x10000, 0x20000, 0x11000), relro(0x11000, 0x21000, 0xF000)),
        size=0x21000,
    )
    judgement = judged(elf)
    assert rules(judgement, "glibc>=2.35", 64 * K) == {"C11"}
    assert judgement.verdicts["glibc>=2.35", 4 * K] is Verdict.FITS


def test_relro_that_begins_inside_the_dynamic_section() -> None:
    """mold 1.10 leaves out the first bytes of `.dynamic` when `.tbss` is aligned; nobody writes to those either."""
    dynamic = Seg(c.PT_DYNAMIC, R | W, 0xF008, 0x1F008, 0x200, 0x200, 8)
    segments = (CLEAN.segments[0], load(R | W, 0xF008, 0x1F008, 0x2000), dynamic, relro(0xF010, 0x1F010, 0xFF0))
    assert judged(CLEAN.replace(segments=segments, size=0x12000)).at(4 * K) is Verdict.FITS
    without = judged(CLEAN.replace(segments=(*segments[:2], segments[3]), size=0x12000))
    assert "C11" in rules(without, "glibc>=2.35", 4 * K)


def test_c12_relro_that_ends_inside_a_page_is_weaker_under_glibc() -> None:
    elf = CLEAN.replace(segments=(*CLEAN.segments[:2], relro(0xFE00, 0x1FE00, 0x100)))
    judgement = judged(elf)
    assert set(judgement.verdicts.values()) == {Verdict.RELRO_WEAKER}
    assert rules(judgement, "musl", 64 * K) == {"C12"}


def test_c14_relro_beyond_its_pages_fails_at_the_smaller_size() -> None:
    elf = CLEAN.replace(
        segments=(CLEAN.segments[0], load(R | W, 0xFE00, 0x1FE00, 0x1200), relro(0xFE00, 0x1FE00, 0x10200))
    )
    judgement = judged(elf)
    assert judgement.verdicts["glibc>=2.35", 4 * K] is Verdict.REJECTED
    assert rules(judgement, "glibc>=2.35", 4 * K) == {"C14"}
    assert judgement.at(64 * K) is Verdict.FITS


def test_c16_a_program_below_the_lowest_address() -> None:
    elf = Elf((load(R | X, 0, 0x8000, 0x1000),), 0x1000, type=c.ET_EXEC, bits=32)
    assert rules(judged(elf), "kernel", 4 * K) == {"C16"}
    arm = elf.replace(machine=40)
    assert judged(arm).at(4 * K) is Verdict.FITS
    assert judged(arm, 64 * K).at(64 * K) is Verdict.REJECTED


ANDROID_NOTE = b"\x08\0\0\0\x04\0\0\0\x01\0\0\0Android\0\x1c\0\0\0"


def android(elf: Elf) -> Elf:
    note = Seg(c.PT_NOTE, R, 0x400, 0x400, len(ANDROID_NOTE), len(ANDROID_NOTE), 4)
    return elf.replace(segments=(*elf.segments, note), content={**elf.content, 0x400: ANDROID_NOTE})


def test_bionic_judges_android_files_and_no_others() -> None:
    judgement = judged(android(CLEAN))
    assert judgement.verdicts["bionic", 16 * K] is Verdict.FITS
    assert judgement.verdicts["bionic", 64 * K] is Verdict.NOT_APPLICABLE
    assert {loader for loader, _ in judgement.verdicts} == {"bionic"}


def test_c12_bionic_protects_what_follows_relro() -> None:
    # The data behind RELRO shares its last page.
    elf = android(CLEAN.replace(segments=(*CLEAN.segments[:2], relro(0xFE00, 0x1FE00, 0x100))))
    judgement = judged(elf)
    assert judgement.verdicts["bionic", 4 * K] is Verdict.CRASHES
    assert rules(judgement, "bionic", 4 * K) == {"C12"}


def test_c13_is_a_note_that_changes_no_verdict() -> None:
    # Padding, nothing writable, behind RELRO: it works, and Android still asks for page boundaries.
    elf = android(
        Elf(
            (load(R | X, 0, 0, 0x8000), load(R | W, 0x8000, 0x14000, 0x1000), load(R | W, 0xC000, 0x1C000, 0x100)),
            0xD000,
        )
    )
    elf = elf.replace(segments=(*elf.segments, Seg(c.PT_GNU_RELRO, R, 0x8000, 0x14000, 0x1000, 0x1800, 1)))
    judgement = judged(elf)
    assert rules(judgement, "bionic", 16 * K) == {"C13"}
    assert judgement.at(16 * K) is Verdict.FITS


def test_data_in_the_first_page_is_not_mapped_by_musl_and_refused_by_glibc() -> None:
    elf = Elf((load(R, 0, 0, 0x1000), load(R | W, 0x2000, 0x2000, 0x100)), 0x2100)
    judgement = judged(elf)
    assert rules(judgement, "glibc>=2.35", 64 * K) == {"C10"}
    assert judgement.verdicts["musl", 64 * K] is Verdict.CRASHES


def test_musl_gives_the_bytes_beside_writable_data_to_malloc() -> None:
    elf = Elf((load(R, 0, 0, 0x8000), load(R, 0x10000, 0x10000, 0x1000), load(R | W, 0x12000, 0x12000, 0x100)), 0x12100)
    judgement = judged(elf)
    assert judgement.verdicts["glibc>=2.35", 64 * K] is Verdict.FITS
    assert rules(judgement, "musl", 64 * K) == {"C9"}


def compiled(folder: Path, compiler: str, *flags: str) -> bytes:
    source = folder / "x.c"
    source.write_text(
        "int zero[5000]; int data = 3; int *p = &data; int get(void) { return *p + zero[7]; } int main(void) { "
        "return 0; }"
    )
    subprocess.run([compiler, "-o", folder / "x", source, *flags], check=True)
    return (folder / "x").read_bytes()


@pytest.mark.parametrize(
    ("compiler", "flags", "loaders"),
    [
        ("aarch64-linux-gnu-gcc", ["-shared", "-fPIC"], {"glibc<2.35", "glibc>=2.35", "musl"}),
        ("powerpc64-linux-gnu-gcc", ["-shared", "-fPIC"], {"glibc<2.35", "glibc>=2.35", "musl"}),
        ("mips-linux-gnu-gcc", ["-shared", "-fPIC"], {"glibc<2.35", "glibc>=2.35", "musl"}),
        ("aarch64-linux-gnu-gcc", ["-pie"], {"kernel"}),
        ("aarch64-linux-gnu-gcc", ["-no-pie"], {"kernel"}),
        ("aarch64-linux-gnu-gcc", ["-static-pie"], {"kernel"}),
    ],
)
def test_a_linkers_64k_link_fits_and_its_4k_link_does_not(
    tmp_path: Path, compiler: str, flags: list[str], loaders: set[str]
) -> None:
    good = compiled(tmp_path, compiler, *flags, "-Wl,-z,max-page-size=65536")
    assert judge(image_of(good), reader(good), page_sizes=[4 * K, 16 * K, 64 * K]).worst.loads
    bad = compiled(tmp_path, compiler, *flags, "-Wl,-z,max-page-size=4096")
    judgement = judge(image_of(bad), reader(bad), page_sizes=[4 * K, 64 * K])
    assert judgement.at(4 * K).loads
    assert not judgement.at(64 * K).loads
    assert {loader for loader, _ in judgement.verdicts} >= loaders
