"""Padding costs an archive of prebuilt files nothing, and every tar gives the files back."""

from __future__ import annotations

import hashlib
import io
import lzma
import random
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagefit.errors import InputError
from pagefit.prebuilt import sparse, use
from pagefit.prebuilt.variant import ARCHIVE, File, Variant

#: Lengths around blocks, around the shortest hole, and of what 64K pages pad.
LENGTHS = st.sampled_from([0, 1, 511, 512, 513, 4095, 4096, 4097, 4608, 65536, 65543])
#: Runs of zeros and of something else, in turn.
CONTENTS = st.lists(LENGTHS, max_size=7).map(
    lambda lengths: b"".join(bytes([7 * (index % 2)]) * length for index, length in enumerate(lengths))
)


def packed(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", format=tarfile.PAX_FORMAT) as archive:
        for name, data in contents.items():
            sparse.add(archive, tarfile.TarInfo(name), data)
    return buffer.getvalue()


@given(CONTENTS)
def test_python_reads_back_what_was_added(data: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed({"a/file": data, "after": b"x"}))) as archive:
        (member, after) = archive.getmembers()
        assert (member.name, member.size, member.isreg()) == ("a/file", len(data), True)
        assert archive.extractfile(member).read() == data
        assert archive.extractfile(after).read() == b"x"


def test_gnu_tar_unpacks_the_same_files(tmp_path: Path) -> None:
    choice = random.Random(0)
    lengths = [0, 1, 511, 512, 513, 4095, 4096, 4097, 4608, 65536, 65543]
    contents = {
        f"folder {number}/file": b"".join(
            bytes([choice.randrange(2)]) * choice.choice(lengths) for _ in range(choice.randrange(8))
        )
        for number in range(100)
    }
    (tmp_path / "archive.tar.xz").write_bytes(packed(contents))
    subprocess.run(["tar", "-xJf", "archive.tar.xz"], cwd=tmp_path, check=True)
    assert {name: (tmp_path / name).read_bytes() for name in contents} == contents


def test_padding_costs_a_library_less_than_its_zeros_would(tmp_path: Path) -> None:
    sample = Path(__file__).parents[2] / "sample_project/meson"
    ours, zeros = [], []
    for page_size in (4096, 65536):
        pages = f"-Wl,-z,max-page-size={page_size},-z,common-page-size={page_size}"
        command = ["g++", "-shared", "-fPIC", "-O2", f"-I{sample}/tokenizer", pages, "-o", "lib.so"]
        subprocess.run([*command, sample / "index/index.cpp"], cwd=tmp_path, check=True)
        data = (tmp_path / "lib.so").read_bytes()
        ours.append(len(packed({"lib.so": data})))
        zeros.append(len(lzma.compress(data)))
    assert ours[1] - ours[0] < zeros[1] - zeros[0]


def variant(data: bytes) -> Variant:
    file = File("x.so", len(data), hashlib.sha256(data).hexdigest(), 0o755)
    return Variant("x-1-py3-none-any.whl", ("py3-none-any",), (), "", {}, (file,))


@pytest.mark.parametrize(
    ("table", "realsize"),
    [
        (b"1\n0\n4\n", "1152921504606846976"),
        (b"1\n0\n99999\n", "99999"),
        (b"1\n99999\n4\n", "4"),
        (b"2\n0\n4\n0\n4\n", "8"),
        (b"1\n-4\n4\n", "4"),
        (b"x\n0\n4\n", "4"),
        (b"999999999\n0\n4\n", "4"),
        (b"", "4"),
        (b"1\n0\n4\n", "many"),
    ],
)
def test_a_hostile_map_of_holes_is_an_error_that_names_the_archive(tmp_path: Path, table: bytes, realsize: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", format=tarfile.PAX_FORMAT) as archive:
        stored = table + bytes(-len(table) % 512) + b"code"
        entry = tarfile.TarInfo("x.so")
        entry.size = len(stored)
        entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": realsize}
        archive.addfile(entry, io.BytesIO(stored))
    (tmp_path / ARCHIVE).write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=ARCHIVE):
        use.assemble(variant(b"other"), tmp_path, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [ARCHIVE]
