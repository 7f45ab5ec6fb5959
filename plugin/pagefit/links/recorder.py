"""Recording every link of a build: a context in which compiler drivers find our stand-ins where they look for `ld`.

Sets environment variables, nothing else: `COMPILER_PATH`, which gcc and clang search before their own folders,
`PAGEFIT_JOURNAL` for the stand-ins, and for cargo a linker driver. Command lines, flags and results stay what they are.
"""

from __future__ import annotations

import marshal
import os
import shlex
import sys
from contextlib import contextmanager, suppress
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from pagefit.errors import Refused
from pagefit.links import drivers
from pagefit.links.journal import Journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

    from pagefit.links.recipe import Recipe

LINKERS: Final = ("ld", "ld.bfd", "ld.gold", "ld.lld", "ld.mold")

#: Passes on to the real linker by itself: where nothing is being recorded, or Python is gone in the middle of a build.
_STAND_IN: Final = f"""\
#!/bin/sh
# Stands in for a linker while pagefit records a build; at any other time, runs the real one.
[ -n "$PAGEFIT_JOURNAL" ] && [ -r "$PAGEFIT_JOURNAL/record" ] && . "$PAGEFIT_JOURNAL/record"
IFS=:
set -f
for folder in $COMPILER_PATH $PATH; do
  [ -e "$folder/{drivers.MARKER}" ] || [ ! -x "$folder/${{0##*/}}" ] || exec "$folder/${{0##*/}}" "$@"
done
echo "${{0##*/}}: no such linker is installed" >&2
exit 127
"""

#: rustc names its own linker with `-B`, which goes before COMPILER_PATH; a `-B` before that one goes first.
_CARGO_DRIVER: Final = """\
#!/bin/sh
exec cc "-B${0%/*}/" "$@"
"""

#: What a stand-in reads from the journal.
_RECORD: Final = """\
[ -x {python} ] && exec {python} -I -S {start} {library} {journal} "$0" "$@"
"""

#: Starts the shim; or the stand-in again, without a journal, when the shim is damaged or gone.
_START: Final = """\
import os, sys
try:
    sys.path.insert(0, sys.argv[1])
    from pagefit.links import shim
except BaseException:
    os.environ.pop("PAGEFIT_JOURNAL")
    os.execv(sys.argv[3], sys.argv[3:])
shim.start(sys.argv[1:])
"""

#: What runs in the stand-in, copied next to it and compiled once: the build may hide or remove this package.
_SHIM: Final = ("__init__", "links/__init__", "links/shim", "links/drivers", "links/inputs", "links/options")
#: Of a compiled file that is never compared with its source: the flag for a hash, and any hash (PEP 552).
_UNCHECKED: Final = (1).to_bytes(4, "little") + bytes(8)


@contextmanager
def record(folder: Path) -> Iterator[Journal]:
    """Record every link that happens inside the `with`, by this process's children, into `folder`.

    Yields the journal, which reads what is there when asked. Never fails because of what it cannot do: that becomes a
    note in the journal, and the build runs unrecorded. The environment is restored exactly.
    """
    journal = Journal(folder)
    changes: dict[str, str] = {}
    if sys.platform == "linux":
        try:
            changes = _prepare(folder.absolute())
        except Exception as error:
            journal = Journal(folder, (f"links could not be recorded: {error}",))
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield journal
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def capture(command: Sequence[str], directory: Path, folder: Path) -> Recipe:
    """Record into `folder` the link that has made a file, from the compiler driver's command for it.

    For build folders that are still there, such as Meson's: nothing is linked, and nothing in the folder changes.
    Raises Refused when the command leads to no link, or its output is not there.
    """
    import subprocess

    with record(folder) as journal:
        before = {recipe.name for recipe in journal.recipes()}
        try:
            done = subprocess.run(
                command,
                cwd=directory,
                env={**os.environ, "PAGEFIT_CAPTURE": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise Refused(f"its link command cannot be run: {error}", where=shlex.join(command)[:200]) from error
    captured = [recipe for recipe in journal.recipes() if recipe.name not in before]
    if done.returncode or not captured:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise Refused(
            f"its link command cannot be recorded: {reason or 'no linker that pagefit knows was started'}",
            where=shlex.join(command)[:200],
            remedy="Build it first, with gcc or clang and without -B or --ld-path.",
        )
    return captured[-1]


def _prepare(journal: Path) -> dict[str, str]:
    """Make the folders of a journal, and the stand-ins; the environment variables to set."""
    for name in ("links", "pins", "notes", "tools"):
        (journal / name).mkdir(parents=True, exist_ok=True)
    _write_shim(journal)
    stand_ins = _stand_ins(journal)
    theirs = os.environ.get("COMPILER_PATH")
    changes = {
        "COMPILER_PATH": str(stand_ins) if theirs is None else f"{stand_ins}:{theirs}",
        "PAGEFIT_JOURNAL": str(journal),
    }
    return changes | _cargo(stand_ins, os.environ)


def _write_shim(journal: Path) -> None:
    """Write the shim, compiled for this Python, and the line that starts it."""
    if not sys.executable:
        raise OSError("this Python does not know its own path")
    library = journal / "library"
    package = Path(drivers.__file__).parents[1]
    for module in _SHIM:
        target = library / "pagefit" / f"{module}.pyc"
        target.parent.mkdir(parents=True, exist_ok=True)
        # What Python has compiled already is not compiled again.
        name = f"pagefit/{module}".removesuffix("/__init__").replace("/", ".")
        code = SourceFileLoader(name, str(package / f"{module}.py")).get_code(name)
        target.write_bytes(MAGIC_NUMBER + _UNCHECKED + marshal.dumps(code))
    start = library / "start.py"
    start.write_text(_START)
    words = {
        "python": os.path.realpath(sys.executable),  # a virtual environment can be gone before its base
        "start": start,
        "library": library,
        "journal": journal,
    }
    (journal / "record").write_text(_RECORD.format(**{name: shlex.quote(str(word)) for name, word in words.items()}))


def _stand_ins(journal: Path) -> Path:
    """The folder with the stand-ins: in the user's cache, else in the journal.

    A path that stays the same from build to build, because ccache takes COMPILER_PATH for a part of every compiler's
    identity, and because libtool writes down which `ld` gcc has named.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    for folder in (home / "pagefit" / "stand-ins", journal / "stand-ins"):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / drivers.MARKER).touch()
            for linker in LINKERS:
                _write_program(folder / linker, _STAND_IN)
            _write_program(folder / "cargo-cc", _CARGO_DRIVER)
            # A file system can be mounted without the right to run programs.
            if ":" not in str(folder) and os.access(folder / "ld", os.X_OK):
                return folder
    raise OSError("no folder for the stand-ins, without a colon in its name, lets programs run")


def _write_program(path: Path, text: str) -> None:
    """Write a program, unless it is there: another recording may be running it."""
    if path.exists() and path.read_text() == text and os.access(path, os.X_OK):
        return
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text)
    unfinished.chmod(0o755)
    unfinished.replace(path)


def _cargo(stand_ins: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The variable that makes cargo link through our driver; nothing when the user has chosen a linker.

    rustc has its own lld since 1.90 on x86-64, and names it by `-B`; on other machines COMPILER_PATH is enough.
    """
    variable = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER"
    flags = " ".join(value for name, value in environment.items() if name.endswith("RUSTFLAGS"))
    if os.uname().machine != "x86_64" or variable in environment or "linker" in flags:
        return {}
    home = Path(environment.get("CARGO_HOME") or Path.home() / ".cargo")
    here = Path.cwd()
    folders = [home, *(folder / ".cargo" for folder in (here, *here.parents))]
    folders += [folder for depth in ("*", "*/*", "*/*/*") for folder in here.glob(f"{depth}/.cargo")]
    configs = (folder / name for folder in folders for name in ("config", "config.toml"))
    return {} if any(map(_chooses_a_linker, configs)) else {variable: str(stand_ins / "cargo-cc")}


def _chooses_a_linker(config: Path) -> bool:
    import re

    # Rather let a link go unrecorded than overrule a choice that is hard to read.
    try:
        return re.search(rb"\blinker\b", config.read_bytes()) is not None
    except FileNotFoundError:
        return False
    except OSError:
        return True
