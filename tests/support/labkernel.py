"""Real kernels with large pages, under qemu-system, and what they make of shared objects and programs.

    kernel = labkernel.KERNELS["ppc64le-64k"]
    outcomes = labkernel.load_all(kernel, files)       # dlopen under glibc
    outcomes = labkernel.start_all(kernel, programs)   # execve, looked at before the first instruction
    console = labkernel.boot(kernel, {"/hello": path}, ["/hello argument"])

The guest is an initramfs with a static init that runs commands and switches off; results are lines on the serial
console. Debian's kernels are downloaded; for arm64 with 64K pages, which Debian has no kernel for, one is built from
Debian's source. Everything is kept under `.cache/`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support import lab, labelf
from support.laboutcome import Outcome, read_outcomes
from support.labroots import LabError, command, locked, root


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel: the lab's name of its architecture, its page size (bytes), where it comes from, how to start it.

    `package` and `suite` name Debian's package; without, the kernel is built by `_build_arm64_64k`.
    """

    arch: str
    page_size: int
    machine: tuple[str, ...]
    console: str
    package: str = ""
    suite: str = "bookworm"

    def image(self) -> Path:
        """The kernel's image; downloaded or built once."""
        if not self.package:
            return _build_arm64_64k()
        folder = root(lab.MACHINES[self.arch].debian, [self.package], self.suite, dependencies=False)
        (image,) = [*folder.glob("boot/vmlinuz-*"), *folder.glob("boot/vmlinux-*")]
        return image


_VIRT = ("qemu-system-aarch64", "-M", "virt", "-cpu", "max,pauth-impdef=on", "-m", "1024")
_PSERIES = ("qemu-system-ppc64", "-M", "pseries,x-vof=on", "-m", "1024", "-vga", "none")

KERNELS = {
    "aarch64-64k": Kernel("aarch64", 65536, _VIRT, "ttyAMA0"),
    "aarch64-16k": Kernel("aarch64", 16384, _VIRT, "ttyAMA0", "linux-image-arm64-16k", "bookworm-backports"),
    "ppc64le-64k": Kernel("ppc64le", 65536, _PSERIES, "hvc0", "linux-image-powerpc64le"),
}


def boot(
    kernel: Kernel,
    files: Mapping[str, Path],
    commands: Sequence[str],
    *,
    tree: Path | None = None,
    timeout: float = 240,
) -> str:
    """Start a kernel with `files` (guest path to file) and a whole `tree`, run `commands`; returns the console's text.

    A command is words separated by single spaces, after `NAME=VALUE` words for its environment. Raises LabError when
    the guest does not come to its end.
    """
    with tempfile.TemporaryDirectory(prefix="pagelab-") as folder:
        listing = Path(folder, "commands")
        listing.write_text("".join(f"{line}\n" for line in commands))
        archive = Path(folder, "initramfs")
        _initramfs(archive, {"/init": _static(kernel.arch, "init"), "/commands": listing, **files}, tree)
        words = [
            *kernel.machine, "-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", "none", "-no-reboot",
            "-kernel", str(kernel.image()), "-initrd", str(archive),
            "-append", f"console={kernel.console} quiet loglevel=0 panic=-1 norandmaps",
        ]  # fmt: skip
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as late:
            text = (late.stdout or b"").decode(errors="replace")
            raise LabError(f"{kernel} did not finish within {timeout} s\n{text[-3000:]}") from None
    text = done.stdout.decode(errors="replace").replace("\r", "")
    if "lab finished" not in text:
        raise LabError(f"{kernel} stopped early\n{text[-3000:]}{done.stderr.decode(errors='replace')[-2000:]}")
    return text


def load_all(kernel: Kernel, paths: Iterable[Path]) -> dict[Path, Outcome]:
    """What glibc's dlopen makes of shared objects on this kernel: `lab.load_all`, without an emulated system call."""
    paths = list(paths)
    program, audit = lab.guest_programs(kernel.arch)
    assert audit
    guest = [Path(f"/files/{number}/{path.name}") for number, path in enumerate(paths)]
    files = {
        **dict(zip(map(str, guest), paths, strict=True)),
        "/load": program,
        "/audit.so": audit,
        **_libraries(kernel),
    }
    text = boot(kernel, files, [f"LD_AUDIT=/audit.so /load {' '.join(map(str, guest))}"])
    return _outcomes(kernel, text, paths, guest)


def start_all(kernel: Kernel, paths: Iterable[Path], others: Mapping[str, Path] | None = None) -> dict[Path, Outcome]:
    """What the kernel makes of programs: memory and rights before their first instruction, and how they end.

    `others`: what they need besides, by its path in the guest, such as an interpreter.
    """
    paths = list(paths)
    guest = [Path(f"/files/{number}/{path.name}") for number, path in enumerate(paths)]
    files = {
        **dict(zip(map(str, guest), paths, strict=True)),
        "/start": _static(kernel.arch, "start"),
        **(others or {}),
    }
    text = boot(kernel, files, [f"/start {' '.join(map(str, guest))}"])
    return _outcomes(kernel, text, paths, guest)


def _outcomes(kernel: Kernel, text: str, paths: Sequence[Path], guest: Sequence[Path]) -> dict[Path, Outcome]:
    outcomes = read_outcomes(text, kernel.page_size, guest, images=paths)
    return {path: outcome.beyond_end(path) for path, outcome in zip(paths, outcomes, strict=True)}


def _libraries(kernel: Kernel) -> dict[str, Path]:
    folder = lab.c_library_root(lab.MACHINES[kernel.arch], "glibc") / "lib"
    program, _ = lab.guest_programs(kernel.arch)
    interpreter = labelf.interpreter(program)
    names = (Path(interpreter).name, "libc.so.6", "libdl.so.2", "libm.so.6", "libgcc_s.so.1")
    return {interpreter: folder / names[0], **{f"/lib/{name}": folder / name for name in names}}


def _static(arch: str, name: str) -> Path:
    source = lab.GUEST / f"{name}.c"
    text = source.read_bytes() + (lab.GUEST / "inspect.h").read_bytes()
    digest = hashlib.sha256(text).hexdigest()[:12]
    with locked(f"pagelab/{arch}-{name}-{digest}") as target:
        if not target.exists():
            lab.build(arch, target.with_suffix(".new"), source, flags=["-static", "-no-pie"])
            target.with_suffix(".new").rename(target)
    return target


def _initramfs(archive: Path, files: Mapping[str, Path], tree: Path | None) -> None:
    """Write a cpio archive in the kernel's `newc` form (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    with archive.open("wb") as out:
        inode = 0

        def member(name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
            nonlocal inode
            inode += 1
            path = name.lstrip("/").encode() + b"\0"
            fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
            out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + path)
            out.write(bytes(-out.tell() % 4) + data)
            out.write(bytes(-out.tell() % 4))

        folders = {str(parent) for name in files for parent in Path(name).parents} | {"/proc", "/sys", "/dev", "/tmp"}
        for name in sorted(folders - {"/"}):
            member(name, stat.S_IFDIR | 0o755)
        member("/dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        for parent, subfolders, names in os.walk(tree) if tree else ():
            for name in (*subfolders, *names):
                path = Path(parent, name)
                inside = "/" + str(path.relative_to(tree or path))
                if path.is_symlink():
                    member(inside, stat.S_IFLNK | 0o777, os.readlink(path).encode())
                elif path.is_dir():
                    if inside not in folders:
                        member(inside, stat.S_IFDIR | 0o755)
                else:
                    member(inside, stat.S_IFREG | path.stat().st_mode & 0o777, path.read_bytes())
        for name, path in files.items():
            member(name, stat.S_IFREG | 0o755, path.read_bytes())
        member("TRAILER!!!", 0)


#: allnoconfig and these make a kernel that starts an initramfs on `-M virt` and prints to its serial port. The lowest
#: address for programs is what Debian's other kernels enforce.
_ARM64_64K = (
    "EXPERT", "ARM64_64K_PAGES", "ARM64_VA_BITS_48", "MULTIUSER", "PRINTK", "TTY", "SERIAL_AMBA_PL011",
    "SERIAL_AMBA_PL011_CONSOLE", "BLK_DEV_INITRD", "BINFMT_ELF", "BINFMT_SCRIPT", "PROC_FS", "PROC_SYSCTL", "SYSFS",
    "TMPFS", "SHMEM", "DEVTMPFS", "DEVTMPFS_MOUNT", "POSIX_TIMERS", "FUTEX", "EPOLL", "SIGNALFD", "TIMERFD", "EVENTFD",
    "ADVISE_SYSCALLS", "FILE_LOCKING", "MEMBARRIER", "NET", "UNIX", "FHANDLE", "CC_OPTIMIZE_FOR_SIZE",
)  # fmt: skip


def _build_arm64_64k() -> Path:
    package = "linux-source-6.12"
    with locked("kernels/arm64-64k") as image:
        if image.exists():
            return image
        (tarball,) = root("arm64", [package], "bookworm-backports", dependencies=False).glob("usr/src/*.tar.xz")
        with tempfile.TemporaryDirectory(prefix="pagelab-kernel-") as folder:
            command("tar", "-xJf", tarball, "-C", folder)
            source = Path(folder, package)
            wanted = [f"CONFIG_{name}=y" for name in _ARM64_64K] + ["CONFIG_DEFAULT_MMAP_MIN_ADDR=65536"]
            fragment = Path(folder, "fragment")
            fragment.write_text("\n".join(wanted) + "\n")
            make = ["make", "-s", f"-j{os.cpu_count()}", "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"]
            command(*make, f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig", cwd=source)
            missing = set(wanted) - set((source / ".config").read_text().splitlines())
            if missing:
                raise LabError(f"the kernel's configuration has no place for {sorted(missing)}")
            command(*make, "Image", cwd=source, timeout=3600)
            shutil.copy(source / "arch/arm64/boot/Image", image.with_suffix(".new"))
        image.with_suffix(".new").rename(image)
    return image
