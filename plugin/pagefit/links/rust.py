"""Links of rustc in a live build folder: it compiles and links in one command, and removes the objects afterwards.

So the command runs once more, recorded, with every output in a scratch folder. That it makes the very same file is the
proof that the recorded link is the one; a crate that does not compile reproducibly is left to other engines.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pagefit.links import recorder
from pagefit.links.inputs import digest_of
from pagefit.links.journal import Journal
from pagefit.links.recipe import Unrecorded

_RUSTC: Final = re.compile(r"(rustc|clippy-driver)(-[\d.]+)?")

#: rustc names its own lld with `-B`, which goes before COMPILER_PATH; a `-B` before that one goes first.
_DRIVER: Final = """\
#!/bin/sh
exec {linker} "-B${{COMPILER_PATH%%:*}}/" "$@"
"""

#: Options whose value is the next word or, after `=` or at once, the end of the same word.
_SHORT: Final = {"-C": "--codegen"}
_VALUED: Final = ("--codegen", "--emit", "--out-dir")


def is_rustc(command: Sequence[str]) -> bool:
    """Whether a command runs rustc: under that name, perhaps behind a wrapper such as sccache."""
    return any(_RUSTC.fullmatch(Path(word).name) for word in command[:2])


def record(command: Sequence[str], directory: Path, shipped: Path, scratch: Path) -> Journal:
    """Run a rustc command again, its outputs and the journal inside `scratch`; the journal with its link.

    `shipped` is what the command has made, as it is. Raises Unrecorded when the command makes another file now, or
    cannot be kept from writing into the build folder.
    """
    outputs = scratch / "outputs"
    outputs.mkdir()
    again = _redirected(command, outputs, scratch / "driver", shipped)
    with recorder.record(scratch / "journal") as journal:
        try:
            done = subprocess.run(again, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError as error:
            raise Unrecorded(f"rustc cannot be run again: {error}", where=str(shipped)) from error
    made = [path for path in outputs.iterdir() if path.name == shipped.name]
    if done.returncode or not made:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or f"exit status {done.returncode}"
        raise Unrecorded(f"rustc, run again, failed: {reason}", where=str(shipped))
    if digest_of(str(made[0])) != digest_of(str(shipped)):
        raise Unrecorded("rustc, run again, gives another file", where=str(shipped))
    return journal


def _redirected(command: Sequence[str], outputs: Path, driver: Path, shipped: Path) -> list[str]:
    """The command with every output in the folder `outputs`, and its linker driver started by a script in `driver`."""
    words: list[str] = []
    linker = "cc"
    elsewhere = False
    for option, value in _options(command):
        if option == "--codegen" and value.startswith("incremental="):
            # What the cache holds decides what comes out, and it would be written to.
            raise Unrecorded("rustc cannot be run again, with -C incremental", where=str(shipped))
        if option == "--codegen" and value.startswith("linker="):
            linker = value.partition("=")[2]
        elif option == "--emit":
            words += [option, ",".join(_emitted(kind, outputs) for kind in value.split(","))]
        elif option == "--out-dir":
            words += [option, str(outputs)]
            elsewhere = True
        elif option == "-o":
            words += [option, str(outputs / Path(value).name)]
            elsewhere = True
        else:
            words += [option, value] if option else [value]
    driver.mkdir()
    script = driver / Path(linker).name  # rustc takes the flavour of a linker from its name
    script.write_text(_DRIVER.format(linker=shlex.quote(linker)))
    script.chmod(0o755)
    return [*words, *([] if elsewhere else ["--out-dir", str(outputs)]), "-C", f"linker={script}"]


def _emitted(kind: str, outputs: Path) -> str:
    name, equals, path = kind.partition("=")
    return f"{name}={outputs / Path(path).name}" if equals else name


def _options(command: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The words of a command as option and value; other words are values without an option."""
    words = iter(command)
    for word in words:
        name, equals, value = word.partition("=")
        if word in ("-o", "-C", *_VALUED):
            yield _SHORT.get(word, word), next(words, "")
        elif equals and name in _VALUED:
            yield name, value
        elif word.startswith("-C"):
            yield "--codegen", word[2:]
        else:
            yield "", word
