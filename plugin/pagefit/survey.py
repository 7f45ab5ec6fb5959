"""Judge every file in files, folders and archives: what `check` reports on.

Reads and judges, prints nothing. After a moment on one processor the rest is spread over all of them.
"""

from __future__ import annotations

import os
import time

from pagefit.containers.member import Member
from pagefit.containers.walk import files, walk
from pagefit.elf.headers import Image, read_image
from pagefit.errors import InputError
from pagefit.loaders.judge import judge
from pagefit.loaders.verdict import Judgement
from pagefit.processors import processors
from pagefit.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

    from _typeshed import StrPath

    from pagefit.loaders.allocators import Allocator

#: Files of a folder that one process takes at a time.
_BATCH: Final = 64
#: Seconds of work that a second process is not worth starting for.
_ALONE: Final = 0.5


class Report(NamedTuple):
    """One ELF file and its judgement, or why it could not be judged (`error`, a sentence; then `image` is None).

    `names` are those of the containers around it and its own, as in `pagefit.containers.member.Member`.
    `allocator` is what `deep` found in it.
    """

    names: tuple[str, ...]
    image: Image | None
    judgement: Judgement
    allocator: Allocator | None = None
    error: str = ""

    @property
    def path(self) -> str:
        """The names as people read them: `dist/a.tar.gz!b.whl!pkg/c.so`."""
        return "!".join(self.names)


class Options(NamedTuple):
    """How to judge: page sizes asked for (bytes; None for the usual ones), and whether to read files whole."""

    page_sizes: tuple[int, ...] | None = None
    deep: bool = False


def survey(inputs: Iterable[StrPath], options: Options) -> Iterator[Report]:
    """Judge every ELF file in the inputs, in their order. What cannot be read is reported, not raised."""
    batches = _batches(inputs)
    started = time.monotonic()
    for batch in batches:
        yield from _survey(batch, options)
        if time.monotonic() - started > _ALONE:
            break
    rest = list(batches)
    workers = min(processors(), len(rest))
    if workers < 2:
        for batch in rest:
            yield from _survey(batch, options)
        return
    # Imported late: most checks end before another process would have started.
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial

    with ProcessPoolExecutor(workers) as pool:
        for reports in pool.map(partial(_listed, options), rest):
            yield from reports


def _batches(inputs: Iterable[StrPath]) -> Iterator[Sequence[StrPath]]:
    for path in inputs:
        if not os.path.isdir(path):
            yield [path]
            continue
        batch: list[StrPath] = []
        for file in files(path):
            batch.append(file)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def _listed(options: Options, batch: Sequence[StrPath]) -> list[Report]:
    return list(_survey(batch, options))


def _survey(batch: Iterable[StrPath], options: Options) -> Iterator[Report]:
    for path in batch:
        yield from _survey_one(path, options)


def _survey_one(path: StrPath, options: Options) -> Iterator[Report]:
    try:
        for member in walk(path):
            yield _judged(member, options)
        if options.deep:
            _verify_checksums(path)
    except InputError as error:
        yield _unreadable((os.fspath(path),), error)


def _judged(member: Member, options: Options) -> Report:
    try:
        image = read_image(member.read_at, member.size)
        judgement = judge(image, member.read_at, page_sizes=options.page_sizes)
        if member.stored_offset is not None and member.names[-2].lower().endswith(".apk"):
            from pagefit.loaders.stored import judge_stored

            judgement = judge_stored(judgement, member.stored_offset)
        allocator = None
        if options.deep:
            from pagefit.loaders.allocators import find_allocator, judge_allocator

            allocator = find_allocator(image, member.read_at)
            judgement = judge_allocator(judgement, allocator)
    except InputError as error:
        return _unreadable(member.names, error)
    return Report(member.names, image, judgement, allocator)


def _unreadable(names: tuple[str, ...], error: InputError) -> Report:
    sentence = str(
        InputError(error.what, where=error.where if error.where != "!".join(names) else "", remedy=error.remedy)
    )
    return Report(names, None, Judgement({}, ()), error=sentence)


def _verify_checksums(path: StrPath) -> None:
    """Decompress every member of a zip archive. Raises InputError for the first that is damaged."""
    from pagefit.containers import zipdirectory, zipmembers
    from pagefit.containers.kinds import TAR_BLOCK, kind_of
    from pagefit.containers.member import open_file

    archive = open_file(path)
    if kind_of(archive.read_at(0, TAR_BLOCK)) == "zip":
        for entry in zipdirectory.read_directory(archive).entries:
            for _ in zipmembers.chunks(archive, entry):
                pass
