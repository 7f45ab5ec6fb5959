"""The stand-in that a compiler driver runs where it looks for its linker.

`recorder` copies this module and those it imports (`drivers`, `inputs`, `options`), compiled, into the journal. The
scripts called `ld` start it there as `python -I -S`, in whatever environment the build has made. So: standard library
only, Python 3.8 or newer, and nothing that takes long to import.

Expects    argv: JOURNAL STAND-IN LINKER-ARGUMENTS...
           JOURNAL   the folder that receives the record
           STAND-IN  the script's own path; its base name is the linker asked for (`ld`, `ld.lld`, ...)
           environment: PAGEFIT_CAPTURE, if set, records the link that has made the output and links nothing
Returns    the real linker's exit status, standard output and standard error, always.
Leaves     JOURNAL/links/ID/link.json   one folder a link, renamed into place when it is complete
           JOURNAL/pins/SHA256          the inputs, and the output, by content
           JOURNAL/notes/ID             what the recorder itself could not do: one sentence a file
           JOURNAL/tools/SHA256         what drivers and linkers have answered, to ask each only once

Whatever fails in here, the real linker runs: a build must not notice that it is being recorded.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # `signal` takes half as long to import as Python to start
import os
import sys
import time

from pagefit.links import drivers, inputs, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    Environment = dict[str, str]

#: The environment that can change what a linker or its LTO plugin does; the rest is nobody's business.
ENVIRONMENT_NAMES = ("PATH", "COMPILER_PATH", "LIBRARY_PATH", "GNUTARGET", "LDEMULATION", "SOURCE_DATE_EPOCH")
ENVIRONMENT_PREFIXES = ("LD_", "LC_", "LANG", "COLLECT_", "GCC_", "LTO_", "MOLD_", "LLD_")

#: Options after which a linker links nothing, or nothing that is ever loaded.
PROBES = frozenset(("--version", "--help", "-r", "-i", "--relocatable", "-relocatable", "-Ur"))


class Link:
    """One call of a linker, while it runs."""

    def __init__(self, linker: str, arguments: list[str], environment: Environment, output: str, scratch: str) -> None:
        self.linker = linker
        self.arguments = arguments
        self.environment = environment
        self.directory = os.getcwd()
        self.output = os.path.abspath(output)
        self.scratch = scratch
        self.dependencies: str | None = None  # where the linker lists the files it has opened
        self.extra: list[str] = []  # what we add to the command for that
        self.pinned: dict[str, str | None] = {}  # inputs and their digests; None for the system's own


def start(argv: list[str]) -> NoReturn:
    """What the scripts run: `main`, without the time an orderly end of Python takes."""
    status = main(argv)
    sys.stderr.flush()
    os._exit(status)


def main(argv: list[str]) -> int:
    """Run the linker that argv asks for; its exit status."""
    journal, stand_in, arguments = argv[1], argv[2], argv[3:]
    environment = drivers.without_stand_ins(os.environ)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # an ignored SIGCHLD would hide exit statuses
    try:
        real = drivers.real_linker(stand_in, arguments, environment, os.path.join(journal, "tools"))
    except Exception as error:
        note(journal, f"the compiler could not be asked for its linker: {error!r}")
        real = next(iter(drivers.search(os.path.basename(stand_in), environment)), None)
    if real is None:
        sys.stderr.write(f"{os.path.basename(stand_in)}: no such linker is installed\n")
        return 1
    try:
        link = prepare(journal, real, arguments, environment)
    except Exception as error:
        note(journal, f"a link was not recorded: {error!r}")
        link = None
    if link is None:
        become(real, arguments, environment)
    if os.environ.get("PAGEFIT_CAPTURE"):
        commit(journal, link)
        return 0
    try:
        child = spawn([real, *arguments, *link.extra], environment)
    except OSError as error:  # one argument more can be one too many
        note(journal, f"the link of {link.output} was not recorded: {error!r}")
        discard(link)
        become(real, arguments, environment)
    pass_signals_on(child)
    try:
        pin(journal, link, options.files_of(link.arguments, link.directory))  # while the linker runs
    except Exception:
        link.pinned.clear()  # `commit` tries again, and says what is wrong
    status = os.waitpid(child, 0)[1]
    try:
        if status == 0:
            commit(journal, link)
    except Exception as error:
        note(journal, f"the link of {link.output} was not recorded: {error!r}")
    discard(link)
    return leave(status)


def prepare(journal: str, real: str, arguments: list[str], environment: Environment) -> Link | None:
    """What is to be recorded of this call, or None when it is a probe. Makes the scratch folder."""
    expanded = options.expand(arguments)
    output = options.option_value(expanded, "-o", "--output")
    if output is None or not PROBES.isdisjoint(expanded):
        return None
    scratch = os.path.join(journal, "links", f".{time.time_ns()}-{os.getpid()}")
    link = Link(real, expanded, environment, output, scratch)
    os.mkdir(scratch)
    link.dependencies = options.option_value(expanded, "--dependency-file", "-dependency-file")
    if link.dependencies is None and knows_dependency_file(journal, real, environment):
        link.dependencies = os.path.join(scratch, "dependencies")
        with open(link.dependencies, "wb"):
            pass  # a linker that cannot write it would fail the link
        link.extra = [f"--dependency-file={link.dependencies}"]
    return link


def knows_dependency_file(journal: str, real: str, environment: Environment) -> bool:
    """Whether the linker has `--dependency-file` (GNU ld 2.35, lld 12, mold 1.0). Asked once per linker and journal."""
    status = os.stat(real)
    answer = os.path.join(journal, "tools", f"{status.st_dev}-{status.st_ino}-{status.st_mtime_ns}")
    try:
        with open(answer, "rb") as stream:
            return stream.read() == b"yes"
    except OSError:
        known = "--dependency-file" in drivers.output_of([real, "--help"], real, environment, 1)
        inputs.write(answer, b"yes" if known else b"no")
        return known


def commit(journal: str, link: Link) -> None:
    """Pin the inputs and the output, and move the record into place."""
    if not os.path.isfile(link.output) or not inputs.is_elf(link.output):
        return
    found = options.files_of(link.arguments, link.directory)
    found += inputs.dependencies_of(link.dependencies, link.directory)
    pin(journal, link, found)
    pins = os.path.join(journal, "pins")
    for archive in [path for path, digest in link.pinned.items() if digest]:
        for member in inputs.thin_members(archive):
            link.pinned.setdefault(member, inputs.pin(pins, member))
    kept = [name for name in link.environment if name in ENVIRONMENT_NAMES or name.startswith(ENVIRONMENT_PREFIXES)]
    record = {
        "schema": 1,
        "linker": link.linker,
        "arguments": link.arguments,
        "directory": link.directory,
        "environment": {name: link.environment[name] for name in sorted(kept)},
        "output": link.output,
        "sha256": inputs.pin(pins, link.output),
        "inputs": link.pinned,
    }
    inputs.write(os.path.join(link.scratch, "link.json"), os.fsencode(as_json(record)))
    # The name starts with the time, so that sorted names are in the order of the links.
    os.rename(link.scratch, os.path.join(journal, "links", os.path.basename(link.scratch)[1:]))


def pin(journal: str, link: Link, paths: list[str]) -> None:
    """Pin those of the inputs that are not pinned yet."""
    pins = os.path.join(journal, "pins")
    for path in paths:
        if path not in link.pinned and os.path.abspath(path) != link.output:
            link.pinned[path] = None if inputs.is_system(path, link.directory) else inputs.pin(pins, path)


def as_json(value: object) -> str:
    """JSON of strings, numbers, None, lists and dicts; `json` would take longer to import than a short link takes.

    Control characters and bytes that are no UTF-8 stay as they are: read it with `surrogateescape` and `strict=False`.
    """
    if isinstance(value, dict):
        return "{" + ",\n".join([f"{as_json(key)}: {as_json(item)}" for key, item in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",\n".join([as_json(item) for item in value]) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return "null" if value is None else str(value)


def note(journal: str, sentence: str) -> None:
    """Leave a sentence for the report; when even that is impossible, stay silent."""
    try:
        path = os.path.join(journal, "notes", f"{time.time_ns()}-{os.getpid()}")
        inputs.write(path, sentence.encode("utf-8", "replace"))
    except Exception:
        return


def discard(link: Link) -> None:
    """Remove the scratch folder, unless it has become the record."""
    try:
        for entry in os.listdir(link.scratch):
            os.unlink(os.path.join(link.scratch, entry))
        os.rmdir(link.scratch)
    except OSError:
        return


def become(real: str, arguments: list[str], environment: Environment) -> NoReturn:
    """Replace this process by the linker, as if it had been started in the first place."""
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):  # Python ignores these two; a linker must not inherit that
        _signal.signal(number, _signal.SIG_DFL)
    os.execve(real, [real, *arguments], environment)


def spawn(command: list[str], environment: Environment) -> int:
    """Start the linker, with the signals a driver would have given it; its process id. Raises OSError."""
    return os.posix_spawn(command[0], command, environment, setsigdef=[_signal.SIGPIPE, _signal.SIGXFSZ])


def pass_signals_on(child: int) -> None:
    """Let signals that would end us go to the linker, so that it can remove its output."""
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        _signal.signal(number, lambda received, _frame: os.kill(child, received))


def leave(status: int) -> int:
    """The exit status for a wait status; dies by a signal where the linker did."""
    if os.WIFSIGNALED(status):
        _signal.signal(os.WTERMSIG(status), _signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    return os.WEXITSTATUS(status)
