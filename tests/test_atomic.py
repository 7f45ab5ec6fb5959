"""A write that fails leaves what was there, and nothing else."""

from __future__ import annotations

import errno
import io
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pagefit.atomic import copy_range, copy_with_holes, replacing, write_with_holes
from pagefit.errors import InputError, OutputError
from support.limits import no_file_longer_than


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "x.whl"
    path.write_bytes(b"old")
    path.chmod(0o640)
    return path


def test_the_new_file_takes_the_old_ones_place_and_permissions(target: Path) -> None:
    with replacing(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
        assert [path.suffix for path in target.parent.iterdir() if path != target] == [".tmp"]
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(target.parent.iterdir()) == [target]


def test_a_mode_can_be_asked_for(tmp_path: Path) -> None:
    with replacing(tmp_path / "x", mode=0o755):
        pass
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [InputError("bad"), ValueError("worse"), KeyboardInterrupt()])
def test_any_exception_leaves_the_old_file(error: BaseException, target: Path) -> None:
    with pytest.raises(type(error)), replacing(target) as file:  # noqa: PT012  # the block is what is tested
        file.write(b"new")
        raise error
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_a_full_disk_is_a_clear_error(target: Path) -> None:
    message = r"x\.whl: cannot be written \(File too large\)\. Make room"
    with no_file_longer_than(1000), pytest.raises(OutputError, match=message), replacing(target) as file:
        file.write(bytes(100_000))
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_takes_no_files_is_a_clear_error() -> None:
    with pytest.raises(OutputError, match=r"/proc/x\.whl: cannot be written"), replacing(Path("/proc/x.whl")):
        pass


@pytest.mark.parametrize("size", [0, 1, 4096, 8191, 3 * (1 << 20) + 5])
def test_padding_becomes_a_hole_and_reads_as_zeros(size: int, tmp_path: Path) -> None:
    data = b"head" + bytes(size) + b"tail" + bytes(size)
    target = tmp_path / "x"
    with replacing(target) as file:
        write_with_holes(io.BytesIO(data), file)
    assert target.read_bytes() == data
    assert target.stat().st_blocks * 512 <= 16384
    with target.open("rb") as source, replacing(tmp_path / "y") as file:
        copy_with_holes(source.fileno(), file.fileno())
    assert (tmp_path / "y").read_bytes() == data
    assert (tmp_path / "y").stat().st_blocks * 512 <= 16384


def _cannot(*_: object) -> int:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


@pytest.mark.parametrize("kernel", [os.copy_file_range, _cannot, lambda *_: 0])
@pytest.mark.parametrize(("start", "at", "length"), [(1000, 7, 1_200_000), (65536, 131072, 3 << 20), (5, 0, 70_000)])
def test_any_range_is_copied_to_any_place_whatever_the_kernel_can(
    start: int, at: int, length: int, kernel: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random.Random(0).randbytes(4 << 20)
    (tmp_path / "x").write_bytes(data)
    monkeypatch.setattr(os, "copy_file_range", kernel)
    with (tmp_path / "x").open("rb") as source, (tmp_path / "y").open("w+b") as file:
        copy_range(source.fileno(), file.fileno(), start, at, length)
        assert (tmp_path / "y").read_bytes() == bytes(at) + data[start : start + length]
        with pytest.raises(OSError, match="became shorter"):
            copy_range(source.fileno(), file.fileno(), start, at, len(data))
