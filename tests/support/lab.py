"""The page lab for other tests: build for an architecture, and load or run under its real loader at any page size.

    lab.build("aarch64", tmp_path / "x.so", source, page_size=4096, flags=["-shared"])
    outcome = lab.load("aarch64", 65536, tmp_path / "x.so")            # or loader="glibc-2.31", loader="musl"
    assert outcome.verdict is Verdict.REJECTED
    result = lab.run("aarch64", 65536, [tmp_path / "program", "argument"])

`load` gives the file to dlopen in a small program of the lab, under qemu-user at that page size (this machine's own
architecture at its own page size: natively). Before relocation, the lab compares memory with the file, bss with zero
and the pages' rights with p_flags; after it, RELRO. Nobody's opinion about the file is involved: an `Outcome` is what
the loader did.

Every run makes sure that the page size took effect (AT_PAGESZ); when it did not, that is a LabError and not a finding.
qemu-user can hold no executable to its own segments (it maps them itself): real kernels do that, see `labkernel`.
"""

from __future__ import annotations

import functools
import hashlib
import mmap
import os
import platform
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pagefit.elf import constants as c
from pagefit.loaders.verdict import COMMON_PAGE_SIZES
from support import labelf
from support.laboutcome import Outcome, read_outcomes
from support.labroots import SUITE, LabError, command, locked, root

GUEST = Path(__file__).resolve().parents[1] / "pagelab" / "guest"


@dataclass(frozen=True, slots=True)
class Machine:
    """One architecture of the lab: its cross compiler's prefix, qemu-user's name for it, Debian's name for it."""

    name: str
    triplet: str
    qemu: str
    debian: str = ""

    @property
    def compiler(self) -> str:
        """The C compiler's command."""
        return f"{self.triplet}-gcc"


#: What the lab can load under glibc. Others (s390x, arm, riscv64) have no ld.so that runs at 64K in qemu-user.
MACHINES = {
    machine.name: machine
    for machine in (
        Machine("aarch64", "aarch64-linux-gnu", "aarch64", "arm64"),
        Machine("ppc64le", "powerpc64le-linux-gnu", "ppc64le", "ppc64el"),
        Machine("ppc64", "powerpc64-linux-gnu", "ppc64"),
        Machine("mips", "mips-linux-gnu", "mips"),
        Machine("x86_64", "x86_64-linux-gnu", "x86_64", "amd64"),
        Machine("i386", "i686-linux-gnu", "i386", "i386"),
    )
}

#: The loaders, and for which architectures at which page sizes each can be had. Debian's C libraries for x86 are linked
#: for 4K, which only today's glibc overlooks; musl for x86 has 4K built in.
LOADERS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "glibc": dict.fromkeys(MACHINES, COMMON_PAGE_SIZES),
    "glibc-2.31": {"aarch64": COMMON_PAGE_SIZES, "x86_64": (4096,), "i386": (4096,)},
    "musl": {"aarch64": COMMON_PAGE_SIZES, "ppc64le": COMMON_PAGE_SIZES, "x86_64": (4096,), "i386": (4096,)},
}

#: qemu's log of page tables shares standard output with the guest, so that the two stay in order.
_PAGE_TABLES = ("-d", "page", "-D", "/dev/stdout")


@dataclass(frozen=True, slots=True)
class Result:
    """What a program under the lab printed, and how it ended (negative: by that signal)."""

    returncode: int
    stdout: str
    stderr: str


def build(
    arch: str,
    target: Path,
    source: str | Path,
    *,
    page_size: int = 65536,
    flags: Sequence[str] = (),
    loader: str = "glibc",
) -> Path:
    """Compile C (text, or a path) for `arch`, linked with `-z max-page-size=page_size` (bytes); returns `target`.

    `flags` come last: `-shared`, `-static`, other `-z` options. `loader` chooses the C library.
    """
    machine = MACHINES[arch]
    if isinstance(source, str):
        text, source = source, target.with_name(target.name + ".c")
        source.write_text(text)
    before, after = ([], []) if "-nostdlib" in flags else _c_library(machine, loader, shared="-shared" in flags)
    words = [machine.compiler, "-O1", "-fPIC", "-o", target, *before, source, f"-Wl,-z,max-page-size={page_size}"]
    command(*words, *flags, *after)
    return target


def run(
    arch: str,
    page_size: int,
    argv: Sequence[str | Path],
    env: Mapping[str, str] | None = None,
    *,
    prefix: Path | None = None,
    loader: str = "glibc",
    timeout: float = 120,
) -> Result:
    """Run a dynamically or statically linked program of `arch` at `page_size` (bytes) with only `env` added.

    `prefix`: a folder with the guest's /lib and /usr (see `labroots.root`); by default the C library of `loader`.
    Raises LabError when the program is not linked for the page size: qemu-user would quietly fall back to 4K.
    """
    emulator = _emulator(arch, page_size, prefix or prefix_of(arch, loader), Path(argv[0]), env or {})
    return _run([*emulator, *map(str, argv)], timeout)


def _run(words: list[str], timeout: float) -> Result:
    # A session of its own: what the guest forks must not outlive it either.
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        stderr += f"\nstill running after {timeout} s".encode()
    # qemu returns 128+n, or dies of the guest's signal itself, depending on the signal.
    code = 128 - process.returncode if process.returncode > 128 else process.returncode
    return Result(code, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


def load(
    arch: str, page_size: int, path: Path, loader: str = "glibc", *, env: Mapping[str, str] | None = None
) -> Outcome:
    """Give one shared object to the loader's dlopen at `page_size` (bytes) and see what came of it."""
    return load_all(arch, page_size, [path], loader, env=env)[path]


def load_all(
    arch: str, page_size: int, paths: Iterable[Path], loader: str = "glibc", *, env: Mapping[str, str] | None = None
) -> dict[Path, Outcome]:
    """`load` for many files in one run of the emulator; each file still gets a process of its own.

    A file whose size is no multiple of the page is copied first, with zeros behind it, as a kernel would show it; pad
    files in place (`labelf.padded`) where $ORIGIN matters.
    """
    paths = list(paths)
    files = [Path(path).absolute() for path in paths]
    program, audit = guest_programs(arch, loader)
    with tempfile.TemporaryDirectory(prefix="pagelab-") as folder:
        shown = [_as_a_kernel_shows(path, Path(folder, str(number)), page_size) for number, path in enumerate(files)]
        environment = {**(env or {}), **({"LD_AUDIT": str(audit)} if audit else {})}
        emulator = _emulator(arch, page_size, prefix_of(arch, loader), program, environment)
        tables = _PAGE_TABLES if emulator[0] != "env" else ()
        words = [*emulator, *tables, str(program), *([] if audit else ["-b"]), *map(str, shown)]
        result = _run(words, timeout=60 + 2 * len(files))
        outcomes = read_outcomes(result.stdout, page_size, shown, result.stderr)
    return {given: outcome.beyond_end(file) for given, file, outcome in zip(paths, files, outcomes, strict=True)}


def start_with(arch: str, page_size: int, path: Path, loader: str) -> Outcome:
    """Let the loader load one shared object together with a program (LD_PRELOAD), which may differ from dlopen."""
    program, _ = guest_programs(arch, loader)
    with tempfile.TemporaryDirectory(prefix="pagelab-") as folder:
        shown = _as_a_kernel_shows(path.absolute(), Path(folder, "0"), page_size)
        emulator = _emulator(arch, page_size, prefix_of(arch, loader), program, {"LD_PRELOAD": str(shown)})
        result = _run([*emulator, *_PAGE_TABLES, str(program), "-s", str(shown)], timeout=10)
        if result.returncode < 0:
            # The loader itself fell: nothing of the lab ran.
            return Outcome(loaded=True, signal=-result.returncode)
        if result.returncode and result.stderr.startswith("Error "):
            return Outcome(loaded=False, message=result.stderr.strip())
        (outcome,) = read_outcomes(result.stdout, page_size, [shown], result.stderr)
    return outcome.beyond_end(path)


def _as_a_kernel_shows(path: Path, folder: Path, page_size: int) -> Path:
    if path.stat().st_size % page_size == 0:
        return path
    folder.mkdir()
    copy = folder / path.name
    copy.write_bytes(labelf.padded(path.read_bytes(), page_size))
    return copy


def guest_programs(arch: str, loader: str = "glibc") -> tuple[Path, Path | None]:
    """The lab's own dlopen program and LD_AUDIT library (None under musl) for an architecture; built once."""
    text = b"".join(source.read_bytes() for source in sorted(GUEST.iterdir()))
    digest = hashlib.sha256(text + Path(__file__).read_bytes()).hexdigest()[:12]
    with locked(f"pagelab/{arch}-{loader}-{digest}") as folder:
        program, audit = folder / "load", folder / "audit.so"
        if not (folder / "ready").exists():
            folder.mkdir(exist_ok=True)
            build(arch, program, GUEST / "load.c", loader=loader)
            if loader != "musl":
                build(arch, audit, GUEST / "audit.c", loader=loader, flags=["-shared"])
            for made in (path for path in (program, audit) if path.exists()):
                made.write_bytes(labelf.whole_pages(made.read_bytes()))
            (folder / "ready").touch()
    return program, audit if audit.exists() else None


def _linked_for(program: Path, page_size: int) -> None:
    aligned = max((segment.align for segment in labelf.read(program).loads), default=0)
    if aligned % page_size or not aligned:
        raise LabError(f"{program} is linked for pages of {aligned} bytes; qemu-user would run it at that size")


def _emulator(arch: str, page_size: int, prefix: Path, program: Path, env: Mapping[str, str]) -> list[str]:
    if page_size == mmap.PAGESIZE and arch == platform.machine() and prefix == prefix_of(arch):
        return ["env", *(f"{name}={value}" for name, value in env.items())]
    _linked_for(program, page_size)
    words = [_qemu(MACHINES[arch].qemu), "-p", str(page_size), "-L", str(prefix)]
    return words + [word for name, value in env.items() for word in ("-E", f"{name}={value}")]


@functools.cache
def _qemu(name: str) -> str:
    # QEMU 9 and later ignore -p, so when the machine's own is another version Debian's 7.2 is fetched.
    own = shutil.which(f"qemu-{name}")
    if own and " 7.2." in command(own, "--version"):
        return own
    host = command("dpkg", "--print-architecture").strip()
    return str(root(host, ["qemu-user-static"], SUITE, dependencies=False) / f"usr/bin/qemu-{name}-static")


@functools.cache
def c_library_root(machine: Machine, loader: str) -> Path:
    """Where a C library lies unchanged: the folder with its `lib`."""
    packages = ["libc6", "libc6-dev", "libgcc-s1", "libstdc++6"]
    if loader == "musl":
        return root(machine.debian, ["musl", "musl-dev"], dependencies=False)
    if loader == "glibc-2.31":
        return root(machine.debian, packages, "bullseye", dependencies=False)
    if loader != "glibc":
        raise LabError(f"no loader called {loader}; there are {', '.join(LOADERS)}")
    # There is no cross C library for the machine itself, and its own may be too new for the programs of the lab.
    own = Path("/usr", machine.triplet)
    return own if (own / "lib/libc.so.6").exists() else root(machine.debian, packages, dependencies=False)


@functools.cache
def prefix_of(arch: str, loader: str = "glibc") -> Path:
    """A folder for qemu-user's `-L` with a C library."""
    return emulated(c_library_root(MACHINES[arch], loader), f"prefix-{arch}-{loader}")


def emulated(source: Path, name: str) -> Path:
    """A folder like `source` whose ELF files are as qemu-user 7.2 needs them (see `labelf.whole_pages`); cached."""
    with locked(f"pagelab/{name}") as target:
        if target.is_dir():
            return target
        temporary = target.with_name(target.name + ".new")
        shutil.rmtree(temporary, ignore_errors=True)
        for parent, folders, files in os.walk(source):
            inside = temporary / Path(parent).relative_to(source)
            inside.mkdir(parents=True)
            for path in (Path(parent, entry) for entry in (*folders, *files)):
                copy = inside / path.name
                if path.is_symlink():
                    copy.symlink_to(path.readlink())
                elif not path.is_dir():
                    if ".so" in path.name or path.stat().st_mode & 0o111:
                        data = path.read_bytes()
                        copy.write_bytes(labelf.whole_pages(data) if data.startswith(c.ELF_MAGIC) else data)
                        copy.chmod(0o755)
                    else:
                        copy.symlink_to(path)
        temporary.rename(target)
    return target


def _c_library(machine: Machine, loader: str, *, shared: bool) -> tuple[list[str], list[str]]:
    """The compiler's words before and behind the source. Another C library than its own is named piece by piece."""
    folder = c_library_root(machine, loader)
    if folder == Path("/usr", machine.triplet):
        return [], ["-ldl"]
    (startup,) = {path.parent for path in folder.glob("usr/lib/*/Scrt1.o")}
    begin, end = ([], []) if shared else ([startup / "Scrt1.o", startup / "crti.o"], [startup / "crtn.o"])
    if loader == "musl":
        (linker,) = folder.glob("lib/ld-musl-*.so.1")
        (headers,) = folder.glob("usr/include/*-musl*")
        before = ["-nostdinc", "-isystem", headers, f"-Wl,--dynamic-linker=/lib/{linker.name}"]
        libraries = [linker]
    else:
        before = []
        libraries = [*folder.glob("lib/*/libdl.so.2"), *folder.glob("lib/*/libc.so.6"), startup / "libc_nonshared.a"]
        libraries += folder.glob("lib/*/ld-linux*.so.*")
    return [str(w) for w in ("-nostdlib", *before, *begin)], [str(w) for w in (*libraries, "-lgcc", *end)]
