"""The stand-in that a compiler driver runs where it looks for its linker.

A standalone script: standard library only, Python 3.8 or newer, started with `-I -S` from the trampolines that
`recorder` writes. It never imports pagefit, since it runs in whatever environment the build has made.

Expects    argv: JOURNAL STAND-IN LINKER-ARGUMENTS...
           JOURNAL   the folder that receives the record
           STAND-IN  the trampoline's own path; its base name is the linker asked for (`ld`, `ld.lld`, ...)
Returns    the real linker's exit status, standard output and standard error, always.
Leaves     JOURNAL/links/ID/link.json   one folder a link, renamed into place when it is complete
           JOURNAL/pins/SHA256          the inputs, and the output, by content
           JOURNAL/notes/ID             what the recorder itself could not do: one sentence a file

Whatever fails in here, the real linker runs: a build must not notice that it is being recorded.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # `signal` adds enumerations, which cost a quarter of the start-up time
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Environment = dict[str, str]

MARKER = ".pagefit-stand-ins"

#: The environment that can change what a linker or its LTO plugin does; the rest is nobody's business.
ENVIRONMENT_NAMES = ("PATH", "COMPILER_PATH", "LIBRARY_PATH", "GNUTARGET", "LDEMULATION", "SOURCE_DATE_EPOCH")
ENVIRONMENT_PREFIXES = ("LD_", "LC_", "LANG", "COLLECT_", "GCC_", "LTO_", "MOLD_", "LLD_")

#: Inputs below these stay where they are; a copy is taken of all others.
SYSTEM = ("/usr/", "/lib/", "/lib32/", "/lib64/", "/libx32/")
NOT_SYSTEM = ("/usr/src/",)

#: Options after which a linker links nothing, or nothing that is ever loaded.
PROBES = frozenset(("--version", "--help", "-r", "-i", "--relocatable", "-relocatable", "-Ur"))

#: Options, without dashes and `plugin-opt=`, whose value is a file the linker writes besides its output.
SIDE_OUTPUTS = (
    "Map",
    "dependency-file",
    "fresolution",
    "lto-obj-path",
    "obj-path",
    "opt-remarks-filename",
    "out-implib",
    "print-archive-stats",
    "print-symbol-order",
    "reproduce",
    "stats-file",
    "time-trace-file",
    "why-extract",
)

#: Options, without dashes, whose next argument is a name and no file, even if a file of that name exists.
NAMES_FOLLOW = frozenset(("soname", "h", "e", "entry", "u", "undefined", "init", "fini", "m", "z", "y", "rpath"))

THIN_MAGIC = b"!<thin>\n"
CHUNK = 1 << 20


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


def main(argv: list[str]) -> int:
    """Run the linker that argv asks for; its exit status."""
    journal, stand_in, arguments = argv[1], argv[2], argv[3:]
    environment = without_stand_ins(os.environ)
    try:
        real = real_linker(stand_in, environment)
    except Exception as error:
        note(journal, f"the compiler could not be asked for its linker: {error!r}")
        real = search(os.path.basename(stand_in), environment)
    if real is None:
        sys.stderr.write(f"{os.path.basename(stand_in)}: no such linker is installed\n")
        return 127
    try:
        link = prepare(journal, real, arguments, environment)
    except Exception as error:
        note(journal, f"a link was not recorded: {error!r}")
        link = None
    if link is None:
        restore_signals()
        os.execve(real, [real, *arguments], environment)
    try:
        child = spawn([real, *arguments, *link.extra], environment)
    except OSError as error:
        # One argument more can be one too many.
        note(journal, f"the link of {link.output} was not recorded: {error!r}")
        remove_folder(link.scratch)
        restore_signals()
        os.execve(real, [real, *arguments], environment)
    status = wait(child)
    try:
        if status == 0:
            commit(journal, link)
    except Exception as error:
        note(journal, f"the link of {link.output} was not recorded: {error!r}")
    remove_folder(link.scratch)
    return leave(status)


# --- finding the real linker -----------------------------------------------------------------------------------------


def is_stand_in_folder(folder: str) -> bool:
    """Whether a folder on a search path is one of ours, of this recording or of one around it."""
    return os.path.exists(os.path.join(folder, MARKER))


def without_stand_ins(environment: Mapping[str, str]) -> Environment:
    """The environment as it would be had nobody recorded: what the real linker and its children get to see."""
    clean = dict(environment)
    folders = clean.get("COMPILER_PATH")
    if folders is not None:
        kept = [folder for folder in folders.split(":") if not (folder and is_stand_in_folder(folder))]
        if kept:
            clean["COMPILER_PATH"] = ":".join(kept)
        else:
            del clean["COMPILER_PATH"]
    return clean


def real_linker(stand_in: str, environment: Environment) -> str | None:
    """The linker the driver would have started without us, or None.

    Each driver is asked itself, since only it knows: gcc's collect2 looks for `ld` in its own folders but for
    `TARGET-ld` on PATH, clang prefixes the names with the target, and both honour -B.
    """
    name = os.path.basename(stand_in)
    driver, command = parent()
    found = None
    if os.path.basename(driver) == "collect2":
        found = ask_collect2(driver, command, environment)
    elif is_clang(os.path.basename(driver)):
        found = ask_clang(driver, command, stand_in, environment)
    if found is None or is_stand_in_folder(os.path.dirname(found)) or not os.access(found, os.X_OK):
        found = search(name, environment)
    return found


def parent() -> tuple[str, list[str]]:
    """Executable and command of the process that started the stand-in; empty where /proc does not tell."""
    try:
        with open(f"/proc/{os.getppid()}/cmdline", "rb") as stream:
            command = [os.fsdecode(word) for word in stream.read().split(b"\0")[:-1]]
        return os.readlink(f"/proc/{os.getppid()}/exe"), command
    except OSError:
        return "", []


def is_clang(name: str) -> bool:
    """Whether a driver answers `-print-prog-name` as clang does. Starting any other parent again could do harm."""
    return "clang" in name or "flang" in name or name in ("icx", "icpx", "ifx", "dpcpp")


def ask_collect2(driver: str, command: list[str], environment: Environment) -> str | None:
    """`collect2 -debug` names the linker it has chosen (gcc/collect2.c)."""
    flags = [word for word in command[1:] if word.startswith("-fuse-ld=")]
    for line in output_of([driver, "-debug", "--version", *flags], driver, environment, 2).splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "ld_file_name":
            return absolute_command(value.strip(), environment)
    return None


def ask_clang(driver: str, command: list[str], stand_in: str, environment: Environment) -> str | None:
    """The same clang command with `-print-prog-name` prints the path and stops before it does anything."""
    folder, name = os.path.split(stand_in)
    own = (folder, folder + "/")
    again = [word for word in command if not (word.startswith("-B") and word[2:] in own)]
    printed = output_of([*again, "-print-prog-name=" + name], driver, environment, 1).strip().rpartition("\n")[2]
    return absolute_command(printed, environment)


def absolute_command(name: str, environment: Environment) -> str | None:
    """A program as a driver prints it: a path, or a bare name that the system finds on PATH."""
    if "/" in name:
        return os.path.abspath(name)
    return search(name, environment) if name else None


def search(name: str, environment: Environment) -> str | None:
    """The first executable of this name in COMPILER_PATH and PATH that is no stand-in, or None."""
    folders = environment.get("COMPILER_PATH", "").split(":") + environment.get("PATH", os.defpath).split(":")
    for folder in folders:
        path = os.path.join(folder or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK) and not is_stand_in_folder(folder or "."):
            return os.path.abspath(path)
    return None


# --- recording -------------------------------------------------------------------------------------------------------


def prepare(journal: str, real: str, arguments: list[str], environment: Environment) -> Link | None:
    """What is to be recorded of this call, or None when it is a probe. Makes the scratch folder."""
    expanded = expand(arguments)
    output = option_value(expanded, "-o", "--output")
    if output is None or not PROBES.isdisjoint(expanded):
        return None
    scratch = os.path.join(journal, "links", f".{time.time_ns()}-{os.getpid()}")
    link = Link(real, expanded, environment, output, scratch)
    os.mkdir(scratch)
    link.dependencies = option_value(expanded, "--dependency-file", "-dependency-file")
    if link.dependencies is None and knows_dependency_file(journal, real, environment):
        link.dependencies = os.path.join(scratch, "dependencies")
        with open(link.dependencies, "wb"):
            pass  # a linker that cannot write it would fail the link
        link.extra = ["--dependency-file=" + link.dependencies]
    return link


def expand(arguments: list[str], depth: int = 0) -> list[str]:
    """The arguments with every readable @file replaced by what it holds, as linkers do it."""
    expanded: list[str] = []
    for argument in arguments:
        words = read_response_file(argument[1:]) if argument.startswith("@") and depth < 100 else None
        expanded.extend([argument] if words is None else expand(words, depth + 1))
    return expanded


def read_response_file(path: str) -> list[str] | None:
    """The words of a response file, or None when it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return split_response(os.fsdecode(stream.read()))
    except OSError:
        return None  # libiberty keeps the argument literally


def split_response(text: str) -> list[str]:
    """Split as libiberty's buildargv and LLVM's GNU tokenizer do: blanks separate, quotes group, backslash escapes."""
    words: list[str] = []
    word: str | None = None
    quote, escaped = "", False
    for letter in text:
        if escaped:
            word, escaped = (word or "") + letter, False
        elif letter == "\\":
            word, escaped = word or "", True
        elif quote:
            if letter == quote:
                quote = ""
            else:
                word = (word or "") + letter
        elif letter in "'\"":
            word, quote = word or "", letter
        elif letter in " \t\n\r\f\v\0":
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + letter
    return words if word is None else [*words, word]


def option_value(arguments: list[str], *names: str) -> str | None:
    """The last value of an option, given as `-o X`, `--name X` or `--name=X` (`-oX` too)."""
    value = None
    for index, argument in enumerate(arguments):
        for option in names:
            if argument == option:
                value = arguments[index + 1] if index + 1 < len(arguments) else value
            elif argument.startswith(option + "=") and len(option) > 2:
                value = argument[len(option) + 1 :]
            elif option == "-o" and argument.startswith("-o"):
                value = argument[2:]
    return value


def knows_dependency_file(journal: str, real: str, environment: Environment) -> bool:
    """Whether the linker has `--dependency-file` (GNU ld 2.35, lld 12, mold 1.0). Asked once per linker and journal."""
    status = os.stat(os.path.realpath(real))
    answer = os.path.join(journal, "tools", f"{status.st_dev}-{status.st_ino}-{status.st_mtime_ns}")
    try:
        with open(answer) as stream:
            return stream.read() == "yes"
    except OSError:
        known = "--dependency-file" in output_of([real, "--help"], real, environment, 1)
        write(answer, b"yes" if known else b"no")
        return known


def commit(journal: str, link: Link) -> None:
    """Pin the inputs and the output, and move the record into place."""
    if not os.path.isfile(link.output) or not is_elf(link.output):
        return
    inputs: dict[str, str | None] = {}
    for path in files_of(link.arguments, link.directory) + dependencies_of(link.dependencies, link.directory):
        if path not in inputs and os.path.abspath(path) != link.output:
            inputs[path] = None if is_system(path, link.directory) else pin(journal, path)
    for archive in [path for path, digest in inputs.items() if digest]:
        for member in thin_members(archive):
            inputs.setdefault(member, pin(journal, member))
    kept = [name for name in link.environment if name in ENVIRONMENT_NAMES or name.startswith(ENVIRONMENT_PREFIXES)]
    record = {
        "schema": 1,
        "linker": link.linker,
        "arguments": link.arguments,
        "directory": link.directory,
        "environment": {name: link.environment[name] for name in sorted(kept)},
        "output": link.output,
        "sha256": pin(journal, link.output),
        "inputs": inputs,
    }
    write(os.path.join(link.scratch, "link.json"), os.fsencode(as_json(record)))
    # The name starts with the time, so that sorted names are in the order of the links.
    os.rename(link.scratch, os.path.join(journal, "links", os.path.basename(link.scratch)[1:]))


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


def is_elf(path: str) -> bool:
    """Whether a file starts as ELF files do."""
    with open(path, "rb") as stream:
        return stream.read(4) == b"\x7fELF"


def is_system(path: str, directory: str) -> bool:
    """Whether an input belongs to the system, and will be there when the link is replayed."""
    real = os.path.realpath(path)
    inside = os.path.join(os.path.realpath(directory), "")
    return real.startswith(SYSTEM) and not real.startswith((*NOT_SYSTEM, inside))


def files_of(arguments: list[str], directory: str) -> list[str]:
    """The files named by the arguments: objects, archives, and the values of options such as --version-script=FILE."""
    found = []
    written = {index for index, _prefix, _path in side_outputs(arguments)}
    for index, argument in enumerate(arguments):
        before = arguments[index - 1] if index else ""
        if index in written or (before.startswith("-") and before.lstrip("-") in NAMES_FOLLOW):
            continue
        while argument:
            path = os.path.join(directory, argument)
            if os.path.isfile(path):
                found.append(path)
                break
            argument = argument.partition("=")[2]
    return found


def side_outputs(arguments: list[str]) -> Iterator[tuple[int, str, str]]:
    """Index, text before the path, and path of every argument that names a file written besides the output."""
    for index, argument in enumerate(arguments):
        body = argument.lstrip("-")
        if body.startswith("plugin-opt="):
            body = body[len("plugin-opt=") :].lstrip("-")
        name, equals, path = body.partition("=")
        if argument.startswith("-") and name in SIDE_OUTPUTS:
            if equals:
                yield index, argument[: len(argument) - len(path)], path
            elif index + 1 < len(arguments):
                yield index + 1, "", arguments[index + 1]


def dependencies_of(path: str | None, directory: str) -> list[str]:
    """The files a linker has opened. Each is a rule of its own, `name:`, which all four linkers write alike."""
    if path is None or not os.path.isfile(os.path.join(directory, path)):
        return []
    with open(os.path.join(directory, path), "rb") as stream:
        lines = os.fsdecode(stream.read()).splitlines()
    names = [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")]
    candidates = [os.path.join(directory, form) for name in names for form in (name, unescape_make(name))]
    return [candidate for candidate in candidates if os.path.isfile(candidate)]


def unescape_make(name: str) -> str:
    """lld writes names as make reads them; GNU ld, gold and mold write them as they are."""
    return name.replace("\\ ", " ").replace("\\#", "#").replace("$$", "$")


def thin_members(archive: str) -> list[str]:
    """The files a thin archive stands for; linkers do not list them. Empty for any other file (binutils/arsup)."""
    with open(archive, "rb") as stream:
        if stream.read(len(THIN_MAGIC)) != THIN_MAGIC:
            return []
        names, folder = b"", os.path.dirname(archive)
        members: list[str] = []
        while True:
            header = stream.read(60)
            if len(header) < 60:
                return members
            label, size = header[:16].rstrip(), int(header[48:58])
            if label in (b"/", b"/SYM64/"):
                stream.seek(size + size % 2, 1)
            elif label == b"//":
                names = stream.read(size + size % 2)
            else:
                name = label.rstrip(b"/")
                if label.startswith(b"/"):
                    start = int(label[1:].partition(b":")[0])
                    name = names[start : names.index(b"/\n", start)]
                members.append(os.path.normpath(os.path.join(folder, os.fsdecode(name))))


def pin(journal: str, path: str) -> str:
    """Keep a copy of a file by content; its sha256. A copy, not a link: `ar r` rewrites archives in place."""
    digest = digest_of(path)
    if not os.path.exists(os.path.join(journal, "pins", digest)):
        import hashlib

        copy = os.path.join(journal, "pins", f".{time.time_ns()}-{os.getpid()}")
        sha256 = hashlib.sha256()
        with open(path, "rb") as source, open(copy, "wb") as target:
            for chunk in iter(lambda: source.read(CHUNK), b""):
                sha256.update(chunk)
                target.write(chunk)
        digest = sha256.hexdigest()
        os.replace(copy, os.path.join(journal, "pins", digest))
    return digest


def digest_of(path: str) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    import hashlib

    sha256 = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            sha256.update(chunk)
    return sha256.hexdigest()


def note(journal: str, sentence: str) -> None:
    """Leave a sentence for the report; when even that is impossible, stay silent."""
    try:
        write(os.path.join(journal, "notes", f"{time.time_ns()}-{os.getpid()}"), sentence.encode("utf-8", "replace"))
    except Exception:
        return


def write(path: str, data: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing."""
    unfinished = f"{path}.{os.getpid()}"
    with open(unfinished, "wb") as stream:
        stream.write(data)
    os.replace(unfinished, path)


def remove_folder(folder: str) -> None:
    """Remove a flat folder, if it is still there."""
    try:
        for entry in os.listdir(folder):
            os.unlink(os.path.join(folder, entry))
        os.rmdir(folder)
    except OSError:
        pass


# --- processes -------------------------------------------------------------------------------------------------------


def restore_signals() -> None:
    """Python ignores SIGPIPE and SIGXFSZ; a linker must not inherit that."""
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)


def spawn(command: list[str], environment: Environment) -> int:
    """Start the linker, with the signals a driver would have given it; its process id. Raises OSError."""
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # an ignored SIGCHLD would hide the exit status
    return os.posix_spawn(command[0], command, environment, setsigdef=[_signal.SIGPIPE, _signal.SIGXFSZ])


def wait(child: int) -> int:
    """The wait status of the linker. Signals that would end us go to it, so that it can remove its output."""
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        _signal.signal(number, lambda received, _frame: os.kill(child, received))
    return os.waitpid(child, 0)[1]


def leave(status: int) -> int:
    """The exit status for a wait status; dies by a signal where the linker did."""
    if os.WIFSIGNALED(status):
        _signal.signal(os.WTERMSIG(status), _signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    return os.WEXITSTATUS(status)


def output_of(command: list[str], executable: str, environment: Environment, descriptor: int) -> str:
    """What a command writes to one descriptor (1 or 2); the other one and its input are /dev/null.

    `subprocess` would cost more time to import than the command takes to run.
    """
    receive, send = os.pipe()
    quiet = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, quiet, number) for number in (0, 1, 2) if number != descriptor]
    actions.append((os.POSIX_SPAWN_DUP2, send, descriptor))
    try:
        child = os.posix_spawn(executable, command, environment, file_actions=actions)
    finally:
        os.close(send)
        os.close(quiet)
    with open(receive, "rb") as stream:
        text = os.fsdecode(stream.read())
    os.waitpid(child, 0)
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv))
