"""Archives of every kind, folders and nesting: the walk finds what the system's own tools put in."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import random
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagefit.containers import decompression, kinds
from pagefit.containers.member import Member
from pagefit.containers.walk import walk
from pagefit.errors import InputError
from support.zips import ELF, zip_of

#: Longer than any decoder's block, and no shorter compressed.
LARGE = ELF + random.Random(1).randbytes(3 << 20)


def found(path: Path) -> dict[str, bytes]:
    return {member.path.removeprefix(str(path)): member.read_at(0, member.size) for member in walk(path)}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with two ELF files among others, one of them with a long name and 3 MB long."""
    folder = tmp_path / "tree"
    (folder / "pkg" / ("long" * 24)).mkdir(parents=True)
    (folder / "pkg" / "a.so").write_bytes(ELF + b"a")
    (folder / "pkg" / ("long" * 24) / "b.so").write_bytes(LARGE)
    (folder / "pkg" / "__init__.py").write_text("import a\n")
    (folder / "pkg" / "link.so").symlink_to("a.so")
    return folder


EXPECTED = {"pkg/a.so": ELF + b"a", f"pkg/{'long' * 24}/b.so": LARGE}


@pytest.mark.parametrize("option", ["", "z", "j", "J", "--zstd"])
@pytest.mark.parametrize("layout", ["gnu", "posix", "ustar"])
def test_tar_archives_of_gnu_tar(option: str, layout: str, tree: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    switch = option if option.startswith("--") else f"-{option}v"
    subprocess.run(["tar", f"--format={layout}", switch, "-c", "-f", path, "-C", tree, "."], check=True)
    assert found(path) == {f"!{name}": data for name, data in EXPECTED.items()}


@pytest.mark.parametrize("command", ["xz -T2 --block-size=65536", "gzip", "bzip2", "zstd -T2"])
def test_streams_in_several_parts_are_one(command: str, tree: Path, tmp_path: Path) -> None:
    script = f"tar cf a.tar -C tree . && split -b 100K a.tar part. && for p in part.*; do {command} -c $p; done > all"
    subprocess.run(script, shell=True, check=True, cwd=tmp_path)
    assert found(tmp_path / "all") == {f"!{name}": data for name, data in EXPECTED.items()}


def test_sparse_files_in_a_tar_are_read_with_their_holes(tmp_path: Path) -> None:
    with (tmp_path / "s.so").open("wb") as file:
        file.write(ELF)
        file.truncate(1 << 20)
        file.seek(1 << 20)
        file.write(b"end")
    subprocess.run(["tar", "-S", "-cf", "a.tar", "s.so"], check=True, cwd=tmp_path)
    assert (tmp_path / "a.tar").stat().st_size < 1 << 18
    assert found(tmp_path / "a.tar") == {"!s.so": (tmp_path / "s.so").read_bytes()}


def test_debian_packages(tree: Path, tmp_path: Path) -> None:
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN" / "control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    for kind, suffix in (("xz", "xz"), ("gzip", "gz"), ("zstd", "zst")):
        path = tmp_path / f"{kind}.deb"
        subprocess.run(["dpkg-deb", f"-Z{kind}", "--build", tree, path], check=True, capture_output=True)
        assert found(path) == {f"!data.tar.{suffix}!{name}": data for name, data in EXPECTED.items()}


def test_static_libraries_hold_nothing_that_is_loaded_but_plugins_in_them_are_seen(tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text("int x;")
    script = (
        "gcc -c x.c && gcc -shared -o a_shared_object_with_a_long_name.so x.c && ar rc a.a x.o *.so && ar rcT t.a *.so"
    )
    subprocess.run(script, shell=True, check=True, cwd=tmp_path)
    name = "a_shared_object_with_a_long_name.so"
    assert found(tmp_path / "a.a") == {f"!{name}": (tmp_path / name).read_bytes()}
    assert found(tmp_path / "t.a") == {}
    subprocess.run(["llvm-ar", "--format=bsd", "rc", "bsd.a", "x.o", name], check=True, cwd=tmp_path)
    assert found(tmp_path / "bsd.a") == {f"!{name}": (tmp_path / name).read_bytes()}


def test_conda_packages_and_a_wheel_in_a_tar_in_a_zip(tree: Path, tmp_path: Path) -> None:
    wheel = zip_of({"pkg/x.so": ELF})
    (tree / "x-1-py3-none-any.whl").write_bytes(wheel)
    subprocess.run(["tar", "--zstd", "-cf", "a.tar.zst", "-C", tree, "."], check=True, cwd=tmp_path)
    path = tmp_path / "x.conda"
    path.write_bytes(zip_of({"metadata.json": b"{}", "pkg-x.tar.zst": (tmp_path / "a.tar.zst").read_bytes()}, 0))
    inside = {f"!pkg-x.tar.zst!{name}": data for name, data in EXPECTED.items()}
    assert found(path) == inside | {"!pkg-x.tar.zst!x-1-py3-none-any.whl!pkg/x.so": ELF}


def test_a_plain_tar_in_a_zip(tree: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "-cf", "a.tar", "-C", tree, "."], check=True, cwd=tmp_path)
    path = tmp_path / "a.zip"
    path.write_bytes(zip_of({"a.tar": (tmp_path / "a.tar").read_bytes()}))
    assert found(path) == {f"!a.tar!{name}": data for name, data in EXPECTED.items()}


def test_nesting_has_an_end(tmp_path: Path) -> None:
    data = zip_of({"x.so": ELF})
    for _ in range(3):
        data = zip_of({"a.zip": data})
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    assert found(path) == {"!a.zip!a.zip!a.zip!x.so": ELF}
    path.write_bytes(zip_of({"a.zip": data}))
    with pytest.raises(InputError, match="more than 4 archives within each other"):
        found(path)


def test_folders_are_walked_in_order_links_are_not_followed_and_pipes_are_left_alone(tree: Path) -> None:
    (tree / "loop").symlink_to(tree)
    os.mkfifo(tree / "pipe")
    (tree / "wheel.whl").write_bytes(zip_of({"x.so": ELF}))
    (tree / "broken.zip").write_bytes(b"PK\3\4")
    paths = [member.path.removeprefix(f"{tree}/") for member in walk(tree)]
    assert paths == ["broken.zip", "wheel.whl!x.so", "pkg/a.so", f"pkg/{'long' * 24}/b.so"]
    broken = next(walk(tree))
    with pytest.raises(InputError, match=r"broken\.zip: the end record"):
        broken.read_at(0, 64)


def test_one_file_is_itself_and_what_is_no_file_is_an_error(tree: Path) -> None:
    assert found(tree / "pkg" / "link.so") == {"": ELF + b"a"}
    assert found(tree / "pkg" / "__init__.py") == {}
    os.mkfifo(tree / "pipe")
    for path, message in ((tree / "none", "No such file"), (tree / "pipe", "neither a file nor a folder")):
        with pytest.raises(InputError, match=message):
            found(path)


def tar_of(name: str, data: bytes, **fields: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        for field, value in fields.items():
            setattr(info, field, value)
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


TAR = tar_of("a.so", ELF)
BROKEN = {
    "data cut off": TAR[:520],
    "second header damaged": TAR[:1024] + b"x" * 512 + TAR[1024:],
    "gzip cut off": gzip.compress(TAR)[:-9],
    "gzip checksum": gzip.compress(TAR)[:-8] + bytes(8),
    "xz cut off": lzma.compress(TAR)[:-40],
    "xz damaged": lzma.compress(TAR)[:-30] + bytes(30),
    "ar cut off": b"!<arch>\nx.so/           0           0     0     644     9999      `\nshort",
    "ar without header": b"!<arch>\n" + bytes(60),
    "ar with a hostile name": b"!<arch>\n#1/9999         0           0     0     644     4         `\nabcd",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_archive_is_one_clear_error(broken: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(BROKEN[broken])
    with pytest.raises(InputError, match=r"/a: .+\. Fetch or build"):
        found(path)


def test_extended_tar_headers_of_hostile_length_are_not_read(tmp_path: Path) -> None:
    header = bytearray(tar_of("x", b"", type=tarfile.XHDTYPE)[:512])
    header[124:136] = b"%011o\0" % (4 << 30)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(header + bytes(64 << 20)))
    tracemalloc.start()
    with pytest.raises(InputError, match="extension of 4294967296 bytes"):
        found(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress])
def test_stream_bombs_are_unpacked_in_small_pieces(pack, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.bin"
    path.write_bytes(pack(tar_of("bomb", bytes(1 << 25)) + tar_of("x.so", ELF)))
    tracemalloc.start()
    assert found(path) == {}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20  # xz keeps its dictionary of 8 MiB


def test_zstd_missing_names_the_extra(monkeypatch) -> None:
    for name in ("compression", "backports", "backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"pagefit\[zstd\]"):
        decompression.zstd("a.tar.zst")


@given(st.integers(0, len(TAR) - 1), st.integers(0, 255), st.integers(0, len(TAR)))
def test_one_changed_byte_or_a_lost_tail_of_a_tar_is_no_traceback(at: int, value: int, cut: int) -> None:
    from contextlib import suppress

    from pagefit.containers.tarmembers import members

    for data in (TAR[:at] + bytes([value]) + TAR[at + 1 :], TAR[:cut]):
        archive = Member(("a.tar",), len(data), lambda offset, length, data=data: data[offset : offset + length])
        with suppress(InputError):
            for member in members(archive, "tar"):
                member.read_at(0, member.size)


@given(st.binary(max_size=2000))
def test_tar_headers_are_told_by_their_checksum_as_tarfile_does(data: bytes) -> None:
    assert kinds.is_tar_header(TAR[:512])
    assert not kinds.is_tar_header(TAR[:511])
    assert kinds.kind_of(data) in (None, *kinds.SIGNATURES.values())
