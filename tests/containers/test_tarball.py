"""Prebuilt tarballs: every tool unpacks them, the manifest tells the truth, and the same input gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import subprocess
import tarfile
import zipfile
from pathlib import Path

import jsonschema
import pytest

from pagefit.cli import pack
from pagefit.containers import compression, tarball
from pagefit.containers.walk import walk
from pagefit.errors import ConfigError, InputError, OutputError
from pagefit.manifest import Origin
from support import packages
from support.limits import no_file_longer_than
from support.zips import ELF, zip_of

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "manifest.schema.json"
NAME = "x-1.0-cp312-cp312-linux_aarch64.whl"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 64-bit little-endian library with a build-id, linked for 64K."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "x.c").write_text('const char text[] = "text"; int value = 1; int f(void) { return value; }')
    command = "aarch64-linux-gnu-gcc -shared -fPIC -Wl,--build-id,-z,max-page-size=65536 -o x.so x.c"
    subprocess.run(command, shell=True, cwd=folder, check=True)
    return folder / "x.so"


@pytest.fixture
def wheel(library: Path, tmp_path: Path) -> Path:
    path = tmp_path / NAME
    data = library.read_bytes()
    members = {
        "x/z.so": data,
        "x/a.so": ELF,
        "x/__init__.py": b"",
        "x-1.0.data/platlib/x/p.so": ELF,
        "x-1.0.data/scripts/tool": ELF,
        "x-1.0.data/data/lib/d.so": ELF,
        "x/nested.zip": zip_of({"n.so": ELF}),
    }
    path.write_bytes(zip_of(members))
    return path


def manifest(path: Path) -> dict:
    content = json.loads(subprocess.check_output(["tar", "-xOf", path, "manifest.json"]))
    jsonschema.validate(content, json.loads(SCHEMA.read_text()))
    return content


TESTERS = {"xz": "xz", "gz": "gzip", "zst": "zstd"}


@pytest.mark.parametrize("kind", TESTERS)
def test_the_files_are_there_under_their_installed_paths(kind: str, wheel: Path, library: Path, tmp_path: Path) -> None:
    path = tarball.write(wheel, tmp_path / "new" / "folder", compression=kind)
    assert path == tmp_path / "new" / "folder" / f"x-1.0-cp312-cp312-linux_aarch64.prebuilt.tar.{kind}"
    subprocess.run([TESTERS[kind], "-qt", path], check=True)
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", path, "-C", tmp_path / "out"], check=True)
    found = {str(f.relative_to(tmp_path / "out")): f.read_bytes() for f in (tmp_path / "out").rglob("*") if f.is_file()}
    content = manifest(path)
    del found["manifest.json"]
    assert found == {
        "x/z.so": library.read_bytes(),
        **dict.fromkeys(("x/a.so", "x/p.so", "bin/tool", "lib/d.so"), ELF),
    }
    assert [entry["path"] for entry in content["files"]] == sorted(found)
    assert {e["path"]: e["sha256"] for e in content["files"]} == {
        name: hashlib.sha256(data).hexdigest() for name, data in found.items()
    }
    listing = subprocess.check_output(["tar", "-tvf", path], text=True).splitlines()
    assert listing[0].split()[-1] == "manifest.json"
    assert {(line[:10], *line.split()[1:2]) for line in listing} == {("-rw-r--r--", "root/root")}


def test_the_manifest_says_what_readelf_says(wheel: Path, library: Path, tmp_path: Path) -> None:
    origin = Origin("relink", "recorded link replayed", (4096, 4096), {"linker": "ld"})
    content = manifest(tarball.write(wheel, tmp_path, compression="gz", origins={"x/z.so": origin}))
    assert (content["name"], content["version"], content["tag"]) == ("x", "1.0", "cp312-cp312-linux_aarch64")
    entries = {entry["path"]: entry for entry in content["files"]}
    entry = entries["x/z.so"]
    text = subprocess.check_output(["readelf", "-hlnW", library], text=True)
    loads = [line.split() for line in text.splitlines() if line.strip().startswith("LOAD ")]
    assert entry["alignments"] == {"before": [4096, 4096], "after": [int(load[-1], 16) for load in loads]}
    assert entry["build_id"] == re.search(r"Build ID: (\w+)", text)[1]
    assert (entry["class"], entry["byte_order"], entry["machine"]) == (64, "little", "EM_AARCH64")
    # GNU ld leaves nothing but zeros between its two segments.
    starts = [int(load[1], 16) for load in loads]
    assert entry["padding"] == starts[1] - int(loads[0][4], 16) > 60_000
    assert entry["mended"] == {
        "engine": "relink",
        "detail": "recorded link replayed",
        "provenance": {"linker": "ld"},
    }
    assert entries["x/a.so"]["mended"] is None


def test_programs_are_executable(tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text("int main(void) { return 0; }")
    subprocess.run(["gcc", "-o", "x", "x.c"], cwd=tmp_path, check=True)
    path = tarball.write_tree([("bin/x", tmp_path / "x"), ("x.c", tmp_path / "x.c")], tmp_path, stem="tool")
    assert path.name == "tool.prebuilt.tar.xz"
    with tarfile.open(path) as archive:
        assert {member.name: member.mode for member in archive} == {"manifest.json": 0o644, "bin/x": 0o755}
    assert manifest(path)["name"] == "tool"


def test_a_tree_of_many_files_needs_few_descriptors(tmp_path: Path) -> None:
    (tmp_path / "a.so").write_bytes(ELF)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (50, limits[1]))
    try:
        files = [(f"{number}.so", tmp_path / "a.so") for number in range(100)]
        path = tarball.write_tree(files, tmp_path, stem="x", compression="gz")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(manifest(path)["files"]) == 100


def test_the_same_input_gives_the_same_bytes(wheel: Path, tmp_path: Path, monkeypatch) -> None:
    # Small parts, so that several threads have something to do.
    monkeypatch.setattr(compression, "_PARTS", dict.fromkeys(("gz", "bz2", "xz"), 10_000))
    for kind, tester in TESTERS.items():
        results = set()
        for count in (1, 2, 3, 2):
            monkeypatch.setattr(os, "sched_getaffinity", lambda _, count=count: range(count))
            results.add(tarball.write(wheel, tmp_path / str(count), compression=kind).read_bytes())
        assert len(results) == 1
        subprocess.run([tester, "-qt", next((tmp_path / "1").glob(f"*.{kind}"))], check=True)


def test_dates_come_from_source_date_epoch(wheel: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    with tarfile.open(tarball.write(wheel, tmp_path, compression="gz")) as archive:
        assert {member.mtime for member in archive} == {1700000000}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH is 'yesterday'"):
        tarball.write(wheel, tmp_path, compression="gz")


UNFIT = {
    "not a wheel's name": ("x.whl", {"a.so": ELF}, "not the name of a wheel"),
    "no ELF files": (NAME, {"a.py": b"pass"}, "holds no ELF files"),
    "a broken ELF file": (NAME, {"a.so": ELF[:30]}, r"a\.so: the ELF header is cut off"),
    "the same path twice": (
        NAME,
        {"a.so": ELF, "x-1.0.data/platlib/a.so": ELF},
        r"two ELF files are installed as a\.so",
    ),
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_what_cannot_be_packed_is_a_clear_error_and_leaves_nothing(unfit: str, tmp_path: Path) -> None:
    name, members, message = UNFIT[unfit]
    (tmp_path / name).write_bytes(zip_of(members))
    with pytest.raises(InputError, match=message):
        tarball.write(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_full_disk_leaves_no_half_tarball(wheel: Path, tmp_path: Path) -> None:
    with no_file_longer_than(100), pytest.raises(OutputError, match=r"tar\.gz: cannot be written"):
        tarball.write(wheel, tmp_path / "out", compression="gz")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_in_the_folders_place_is_a_clear_error(wheel: Path) -> None:
    with pytest.raises(OutputError, match=r"whl: cannot be written \(File exists\)"):
        tarball.write(wheel, wheel)


@pytest.mark.network
def test_a_published_wheel_comes_back_out(tmp_path: Path) -> None:
    source = packages.numpy_clean()
    path = tarball.write(source, tmp_path, compression="zst")
    packed = {member.names[1]: hashlib.sha256(member.read_at(0, member.size)).hexdigest() for member in walk(path)}
    assert packed == {entry["path"]: entry["sha256"] for entry in manifest(path)["files"]}
    with zipfile.ZipFile(source) as archive:
        for name, digest in packed.items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest
    assert len(packed) == 21


def test_the_command_packs_wheels_and_folders(wheel: Path, tmp_path: Path, capsys) -> None:
    import argparse

    folder = tmp_path / "tree"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "a.so").write_bytes(ELF)
    (folder / "lib" / "link.so").symlink_to("a.so")
    parser = argparse.ArgumentParser()
    pack.add_parser(parser.add_subparsers())
    arguments = ["pack", str(wheel), str(folder), "-o", str(tmp_path / "out"), "--compression", "zst"]
    args = parser.parse_args([*arguments, "--json"])
    assert args.run(args) == 0
    written = json.loads(capsys.readouterr().out)
    assert [Path(item["tarball"]).name for item in written] == [
        "x-1.0-cp312-cp312-linux_aarch64.prebuilt.tar.zst",
        "tree.prebuilt.tar.zst",
    ]
    assert [item["size"] for item in written] == [Path(item["tarball"]).stat().st_size for item in written]
    assert [entry["path"] for entry in manifest(Path(written[1]["tarball"]))["files"]] == ["lib/a.so"]
    args = parser.parse_args(arguments)
    assert args.run(args) == 0
    assert "tree.prebuilt.tar.zst (" in capsys.readouterr().out
