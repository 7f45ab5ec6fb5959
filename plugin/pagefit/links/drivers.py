"""Which linker a compiler driver would have started, had our stand-in not been there.

Picking another one is the worst that recording could do to a build, so every driver is asked itself: gcc's collect2
looks for `ld` in the folders of its target but for `TARGET-ld` on PATH, clang prefixes names with the target in both,
and either honours -B, -fuse-ld and its own configuration.

Runs in the stand-in: standard library only, Python 3.8 or newer, and nothing that takes long to import.
"""

from __future__ import annotations

import os

from pagefit.links.inputs import is_relocatable, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Environment = Mapping[str, str]

#: The file that makes a folder one of ours, of this recording or of one around it.
MARKER = ".pagefit-stand-ins"

#: A prime; questions to drivers are told apart by what is left of them.
_NAMES = (1 << 61) - 1

#: What a driver answers when it has no linker of that name: then there is none, wherever else one may be.
NOT_FOUND = ""

#: Arguments of clang that do not matter for the choice of a linker, and would make every link a question of its own.
_UNRELATED = ("-l", "-L", "-D", "-I", "-U", "-O", "-W", "-g")
_FILES = (".o", ".a", ".so", ".lo", ".c", ".cc", ".cpp", ".cxx", ".obj")


def without_stand_ins(environment: Environment) -> dict[str, str]:
    """The environment as it would be had nobody recorded: what the real linker and its children get to see."""
    clean = dict(environment)
    folders = clean.get("COMPILER_PATH")
    if folders is not None:
        kept = [folder for folder in folders.split(":") if not (folder and _is_ours(folder))]
        if kept:
            clean["COMPILER_PATH"] = ":".join(kept)
        else:
            del clean["COMPILER_PATH"]
    return clean


def real_linker(stand_in: str, arguments: Sequence[str], environment: Environment, memory: str) -> str | None:
    """The linker to run in place of `stand_in`, or None when there is none.

    `environment` is already without stand-ins; answers are kept in the folder `memory`.
    """
    name = os.path.basename(stand_in)
    try:
        answer = _ask(*_parent(), stand_in, environment, memory)
    except (LookupError, OSError):
        return _for_these_objects(name, arguments, environment)
    return None if answer == NOT_FOUND or _is_ours(os.path.dirname(answer)) else os.path.abspath(answer)


def search(name: str, environment: Environment) -> list[str]:
    """The executables of this name in COMPILER_PATH and PATH that are no stand-ins."""
    paths = [
        os.path.abspath(os.path.join(folder, name)) for folder in _search_path(environment) if not _is_ours(folder)
    ]
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)]


def output_of(command: list[str], executable: str, environment: Environment, descriptor: int) -> str:
    """What a command writes to one descriptor (1 or 2); the other one and its input are /dev/null.

    `subprocess` would take longer to import than the command to run. Raises OSError when it cannot be started.
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


def _is_ours(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, MARKER))


def _parent() -> tuple[str, list[str]]:
    """Executable and command of the process that started the stand-in; empty where /proc does not tell."""
    try:
        with open(f"/proc/{os.getppid()}/cmdline", "rb") as stream:
            command = [os.fsdecode(word) for word in stream.read().split(b"\0")[:-1]]
        return os.readlink(f"/proc/{os.getppid()}/exe"), command
    except OSError:
        return "", []


def _is_clang(name: str) -> bool:
    """Whether a program answers `-print-prog-name` as clang does. Starting any other parent again could do harm."""
    plain = name.rstrip("0123456789.-")
    return plain.endswith(("clang", "clang++", "flang", "flang-new")) or plain in ("icx", "icpx", "ifx", "dpcpp")


def _ask(driver: str, command: list[str], stand_in: str, environment: Environment, memory: str) -> str:
    """The driver's answer. Raises LookupError when it gives none or is no driver we know, and OSError."""
    if os.path.basename(driver) == "collect2":
        flags = [word for word in command[1:] if word.startswith("-fuse-ld=")]
        # The folder that a link runs in matters only where another one is named from there.
        here = "" if all(map(os.path.isabs, _search_path(environment))) else os.getcwd()
        key = [driver, here, *flags]
        return _remembered(memory, key, environment, lambda: _ask_collect2(driver, flags, environment))
    if _is_clang(os.path.basename(driver)):
        own, name = os.path.split(stand_in)
        again = [word for word in command if word not in (f"-B{own}", f"-B{own}/")]
        key = [
            driver,
            os.getcwd(),
            name,
            *(word for word in again if not word.startswith(_UNRELATED) and not word.endswith(_FILES)),
        ]
        return _remembered(memory, key, environment, lambda: _ask_clang(driver, again, name, environment))
    raise LookupError("started by no driver")


def _ask_collect2(driver: str, flags: list[str], environment: Environment) -> str:
    """`collect2 -debug` names the linker it has chosen, or says that it cannot find one (gcc/collect2.cc)."""
    for line in output_of([driver, "-debug", "--version", *flags], driver, environment, 2).splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "ld_file_name":
            return value.strip() if "/" in value else NOT_FOUND
    raise LookupError(f"{driver} does not say which linker it would run")


def _ask_clang(driver: str, command: list[str], name: str, environment: Environment) -> str:
    """The same clang command with `-print-prog-name` prints the path, and does nothing else."""
    printed = output_of([*command, f"-print-prog-name={name}"], driver, environment, 1).strip().rpartition("\n")[2]
    if os.path.basename(printed).endswith(name):
        return printed if "/" in printed else NOT_FOUND
    raise LookupError(f"{driver} does not say which linker it would run")


def _remembered(memory: str, key: list[str], environment: Environment, ask: Callable[[], str]) -> str:
    """The answer to `ask`, from `memory` as long as no folder that is searched for linkers has changed."""
    words = [*key, *(f"{folder} {_changed(folder)}" for folder in _search_path(environment))]
    question = os.fsencode("\0".join(words))
    # No hash: `hashlib` takes a fifth of the time that a short link takes. The question is there to be compared.
    answer = os.path.join(memory, f"{int.from_bytes(question, 'little') % _NAMES:x}")
    try:
        with open(answer, "rb") as stream:
            asked, _, found = stream.read().rpartition(b"\0")
        if asked == question:
            return os.fsdecode(found)
    except OSError:
        pass
    told = ask()
    if os.access(memory, os.W_OK):
        write(answer, question + b"\0" + os.fsencode(told))
    return told


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def _search_path(environment: Environment) -> list[str]:
    folders = environment.get("COMPILER_PATH", "").split(":") + environment.get("PATH", os.defpath).split(":")
    return [folder or "." for folder in folders]


def _for_these_objects(name: str, arguments: Sequence[str], environment: Environment) -> str | None:
    """The first linker called `name` or `TARGET-name` that can link the objects at hand.

    For calls that come from no driver: libtool asks `gcc -print-prog-name=ld`, is told our stand-in, and starts it
    itself, also when that gcc compiles for another machine.
    """
    candidates = search(name, environment)
    sample = next((path for path in arguments if is_relocatable(path)), None)
    if sample is None:
        return next(iter(candidates), None)
    for folder in _search_path(environment):
        if os.path.isdir(folder) and not _is_ours(folder):
            prefixed = sorted(entry for entry in os.listdir(folder) if entry.endswith("-" + name))
            candidates += [os.path.abspath(os.path.join(folder, entry)) for entry in prefixed]
    for candidate in candidates:
        command = [candidate, *_emulation(arguments), "-r", sample, "-o", os.devnull]
        quietly = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
        child = os.posix_spawn(candidate, command, environment, file_actions=quietly)
        if os.waitpid(child, 0)[1] == 0:
            return candidate
    return next(iter(candidates), None)


def _emulation(arguments: Sequence[str]) -> list[str]:
    """The `-m EMULATION` among the arguments, in either spelling (`-mllvm` is lld's, and something else)."""
    for index, word in enumerate(arguments):
        if word == "-m":
            return list(arguments[index : index + 2])
        if word.startswith("-m") and word != "-mllvm":
            return [word]
    return []
