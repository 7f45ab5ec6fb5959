"""Wheels of an inner backend that cannot be mended: one sentence, an exit code, and no wheel that looks finished."""

from __future__ import annotations

import base64
import hashlib
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pagefit.config import Settings
from pagefit.hooks import wheel
from support import lab

NAME = "x-1-cp310-cp310-linux_x86_64.whl"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A library linked for 4K that can be mended without a recorded link, and one that cannot."""
    folder = tmp_path_factory.mktemp("elf")
    source = "int x = 1; int y[9000]; int *f(void) { return &x + y[0]; }"
    built = (lab.build(arch, folder / arch, source, page_size=4096, flags=["-shared"]) for arch in ("aarch64", "mips"))
    mendable, unmendable = (path.read_bytes() for path in built)
    return mendable, unmendable


def record_of(members: dict[str, bytes]) -> bytes:
    lines = []
    for name, data in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}\n")
    return "".join([*lines, "x-1.dist-info/RECORD,,\n"]).encode()


def written(
    path: Path, members: dict[str, bytes], *, record: bytes | None = None, twice: str = "", without_record: bool = False
) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        if twice:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                archive.writestr(twice, members[twice])
        if not without_record:
            archive.writestr("x-1.dist-info/RECORD", record_of(members) if record is None else record)


def built(folder: Path, prepare: Any, unresolved: Any = "error") -> str:
    folder.mkdir()

    def inner_build() -> str:
        prepare(folder / NAME)
        return NAME

    return str(wheel.build(inner_build, folder, Settings(unresolved=unresolved), tarball=False))


def bad_wheels(elf: bytes, unmendable: bytes) -> dict[str, tuple[Any, str]]:
    whole = {"x.so": elf, "x-1.dist-info/WHEEL": b"Wheel-Version: 1.0\n"}

    def cut(path: Path) -> None:
        written(path, whole)
        path.write_bytes(path.read_bytes()[:-40])

    hostile = elf[:32] + b"\xff\xff\xff\x7f" + elf[36:]  # e_phoff far behind the end
    return {
        "nothing": (lambda path: None, "cannot be read"),
        "cut": (cut, "archive"),
        "hostile ELF": (lambda path: written(path, whole | {"x.so": hostile}), "x.so: "),
        "cut ELF": (lambda path: written(path, whole | {"x.so": elf[:20]}), "x.so: "),
        "climbing": (lambda path: written(path, {**whole, "../y.so": elf}), "../y.so"),
        "twice": (lambda path: written(path, whole, twice="x.so"), "x.so"),
        "wrong RECORD": (lambda path: written(path, whole, record=record_of({"x.so": b""})), "RECORD"),
        "no RECORD": (lambda path: written(path, whole, without_record=True), "RECORD"),
        "unfit": (lambda path: written(path, whole | {"x.so": unmendable}), "above: x.so. Link for pages of 64K"),
    }


@pytest.mark.parametrize("case", bad_wheels(b"", b""))
def test_a_bad_wheel_fails_the_build(
    tmp_path: Path,
    files: tuple[bytes, bytes],
    case: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare, words = bad_wheels(*files)[case]
    with pytest.raises(SystemExit) as end:
        built(tmp_path / "out", prepare)
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("pagefit: error: ")
    assert words in last
    assert end.value.code == (3 if case == "unfit" else 2)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("unresolved", ["warn", "ignore"])
@pytest.mark.parametrize("case", sorted(set(bad_wheels(b"", b"")) - {"nothing"}))
def test_a_bad_wheel_is_left_as_it_is_where_the_user_says_so(
    tmp_path: Path, files: tuple[bytes, bytes], case: str, unresolved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare, _ = bad_wheels(*files)[case]
    before: list[bytes] = []

    def prepare_and_look(path: Path) -> None:
        prepare(path)
        before.append(path.read_bytes())

    assert built(tmp_path / "out", prepare_and_look, unresolved) == NAME
    assert [(tmp_path / "out" / NAME).read_bytes()] == before
