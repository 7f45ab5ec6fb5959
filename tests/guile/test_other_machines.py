"""Debian's Guile for other machines, under an emulator with that machine's pages: no imitation of ours in between.

Its modules have no source beside them here, so what does not load from its .go file does not load at all.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from pagefit.guile import realign
from support import lab, labkernel
from support.guiles import HERE
from support.labroots import root

WORK = HERE / "modules/work.scm"
TRIPLETS = {
    "arm64": "aarch64-linux-gnu",
    "s390x": "s390x-linux-gnu",
    "i386": "i386-linux-gnu",
    "ppc64el": "powerpc64le-linux-gnu",
}

#: What a kernel's guest needs to run Guile: the loader, the libraries, the C.UTF-8 locale and the program.
KERNEL_TREE = (
    "lib*/ld*",
    "lib/*/*.so*",
    "usr/lib/*/lib*.so*",
    "usr/lib/locale/C.utf8/**/*",
    "usr/lib/*/guile/3.0/bin/guile",
)


class Debian(NamedTuple):
    """An unpacked Debian of some architecture with Guile, and its modules taken to 4K and back by pagefit."""

    root: Path
    installed: Path
    small: Path
    back: Path


def debian(arch: str, folder: Path) -> Debian:
    where = root(arch, ["guile-3.0", "libc-bin"])
    found = Debian(where, where / f"usr/lib/{TRIPLETS[arch]}/guile/3.0/ccache", folder / "4K", folder / "64K")
    paths = [path.relative_to(found.installed) for path in found.installed.rglob("*.go")]
    assert len(paths) > 300
    for path in paths:
        for parent in (found.small / path, found.back / path):
            parent.parent.mkdir(parents=True, exist_ok=True)
        realign(found.installed / path, found.small / path, 4096)
        realign(found.small / path, found.back / path, 65536)
        assert (found.back / path).read_bytes() == (found.installed / path).read_bytes()
    return found


def environment(ccache: Path) -> dict[str, str]:
    return {
        "GUILE_AUTO_COMPILE": "0",
        "GUILE_SYSTEM_COMPILED_PATH": str(ccache),
        "GUILE_SYSTEM_PATH": "/nonexistent",
        "LC_ALL": "C.UTF-8",
    }


def work(machine: str, guest: Debian, ccache: Path, page_size: int) -> lab.Result:
    argv = [guest.root / "usr/bin/guile-3.0", "-s", WORK]
    return lab.run(machine, page_size, argv, environment(ccache), prefix=guest.root)


@pytest.fixture(scope="module")
def arm64(tmp_path_factory: pytest.TempPathFactory) -> Debian:
    return debian("arm64", tmp_path_factory.mktemp("arm64"))


@pytest.mark.network
def test_on_arm64_with_64k_pages_4k_files_die_and_relinked_ones_run(arm64: Debian) -> None:
    expected = work("aarch64", arm64, arm64.installed, 4096)
    assert expected.returncode == 0, expected.stderr
    assert "(name . pagefit)" in expected.stdout

    assert work("aarch64", arm64, arm64.small, 65536).returncode == -signal.SIGSEGV
    for ccache, page_size in ((arm64.small, 4096), (arm64.back, 65536)):
        done = work("aarch64", arm64, ccache, page_size)
        assert "loading compiled file" not in done.stderr
        assert (done.returncode, done.stdout) == (0, expected.stdout)


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(("arch", "machine"), [("s390x", "s390x"), ("i386", "i386")])
def test_big_endian_and_32_bit_guiles_run_what_went_to_4k_and_back(arch: str, machine: str, tmp_path: Path) -> None:
    """There are no large pages for these two; that the files work at all is what byte order and size put at risk."""
    guest = debian(arch, tmp_path)
    outputs = {}
    for ccache in (guest.installed, guest.small, guest.back):
        env = environment(ccache)
        words = [
            f"qemu-{machine}",
            "-L",
            guest.root,
            *(word for item in env.items() for word in ("-E", "=".join(item))),
        ]
        done = subprocess.run(
            [*words, guest.root / "usr/bin/guile-3.0", "-s", WORK], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        outputs[ccache] = done.stdout
    assert len(set(outputs.values())) == 1
    assert "(name . pagefit)" in outputs[guest.small]


@pytest.mark.network
@pytest.mark.kernel
@pytest.mark.slow
@pytest.mark.parametrize(("arch", "kernel"), [("arm64", "aarch64-64k"), ("ppc64el", "ppc64le-64k")])
def test_on_a_real_kernel_with_64k_pages(arch: str, kernel: str, tmp_path: Path) -> None:
    """Nothing is imitated: Debian's Guile as the kernel maps and protects its files."""
    guest = debian(arch, tmp_path)
    tree = tmp_path / "tree"
    for pattern in KERNEL_TREE:
        for path in guest.root.glob(pattern):
            if path.is_dir():
                continue
            copy = tree / path.relative_to(guest.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy, follow_symlinks=False)
    for name, ccache in (("4K", guest.small), ("64K", guest.back)):
        shutil.copytree(ccache, tree / name)
    shutil.copy(WORK, tree / "work.scm")

    program = f"/usr/lib/{TRIPLETS[arch]}/guile/3.0/bin/guile -s /work.scm"
    commands = []
    for name in ("4K", "64K"):
        words = [f"{key}={value}" for key, value in environment(Path("/", name)).items()]
        commands.append(" ".join((*words, program)))
    text = labkernel.boot(labkernel.KERNELS[kernel], {}, commands, tree=tree)

    small, large = re.findall(r"(.*?)lab exit (\d+)\n", text, re.DOTALL)
    assert int(small[1]) & 0x7F == signal.SIGSEGV
    expected = work(labkernel.KERNELS[kernel].arch, guest, guest.installed, 4096)
    assert expected.returncode == 0
    assert large == (expected.stdout, "0")
