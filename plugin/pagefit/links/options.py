"""Reading a linker's command line: response files, its output, and the files it names.

Runs in the stand-in too: standard library only, Python 3.8 or newer, and nothing that takes long to import.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

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
