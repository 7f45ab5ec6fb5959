"""From the inner build to a finished wheel: record its links, mend its files, report, write the prebuilt tarball.

What we add must not break a build that worked: a recorder that fails leaves the build alone. A file that does not fit
and cannot be mended is another matter: there the `unresolved` setting decides, and with "error" no wheel is left.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagefit.config import Settings
from pagefit.errors import ConfigError, PagefitError, Refused
from pagefit.hooks import earlier, stale
from pagefit.hooks.cache import prebuilt_folder, prune
from pagefit.hooks.console import errors_as_sentences, say, warn
from pagefit.loaders.verdict import format_page_size

if TYPE_CHECKING:
    from pagefit.align import Report
    from pagefit.links.journal import Journal

_ELF_MAGIC = b"\x7fELF"


def build(inner_build: Callable[[], Any], directory: Path, settings: Settings, *, tarball: bool) -> Any:
    """Run the inner build with its links recorded, and make the files of its wheel fit.

    `inner_build` writes a wheel into `directory` and returns its name, as the hook does; so does this. With no ELF file
    in the wheel, nothing but the recorder has been imported. Ends the process when a file could not be mended and
    `unresolved` is "error".
    """
    with ExitStack() as until_mended:
        root = Path.cwd()
        with _recording(root, until_mended) as journal, _linked_again(root, journal, settings.page_size):
            name = inner_build()
        wheel = directory / name
        if holds_elf(wheel):
            if journal:
                _look_after(journal, root)
            with errors_as_sentences(), _removed_on_failure(wheel):
                report = _mend(wheel, journal, settings)
                if tarball:
                    _pack(wheel, report, settings)
    return name


def holds_elf(wheel: Path) -> bool:
    """Whether a member of the wheel starts like an ELF file, or the wheel cannot be read to tell."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                with archive.open(member) as stream:
                    if stream.read(len(_ELF_MAGIC)) == _ELF_MAGIC:
                        return True
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return True  # whoever mends it has the words for what is wrong
    return False


def tarball_folder(wheel_directory: Path, settings: Settings) -> Path:
    """Where the prebuilt tarball goes: never among the wheels, where uploaders would take it for one of them.

    Beside `dist` it is below `build`, which no backend takes for a package and most projects ignore.
    """
    if settings.tarball_dir is not None:
        return Path(settings.tarball_dir).expanduser().resolve()
    if wheel_directory.name == "dist":
        return wheel_directory.parent / "build" / "prebuilt"
    return prebuilt_folder()


@contextmanager
def _recording(root: Path, until_mended: ExitStack) -> Iterator[Journal | None]:
    recording = ExitStack()
    journal = None
    try:
        from pagefit.links import recorder

        scratch = tempfile.TemporaryDirectory(prefix="pagefit-", ignore_cleanup_errors=True)
        folder = Path(until_mended.enter_context(scratch))
        with suppress(OSError, RuntimeError):  # without a cache, every build is the first
            earlier.recall(root, folder)
        journal = recording.enter_context(recorder.record(folder))
    except Exception as error:
        warn(f"the links of this build are not recorded: {_described(error)}")
    try:
        yield journal
    finally:
        try:
            recording.close()
        except Exception as error:
            warn(f"recording links ended with {_described(error)}")


@contextmanager
def _linked_again(root: Path, journal: Journal | None, page_size: int) -> Iterator[None]:
    left = stale.find(root, journal, page_size) if journal else []
    if left:
        others = f" and {len(left) - 1} more" if len(left) > 1 else ""
        say(f"linking again what an earlier build left in build/: {left[0].name}{others}")
    with stale.made_old(left):
        yield


def _look_after(journal: Journal, root: Path) -> None:
    for note in journal.notes():
        warn(note)
    with suppress(OSError, RuntimeError):
        earlier.remember(root, journal)


@contextmanager
def _removed_on_failure(wheel: Path) -> Iterator[None]:
    # Front ends such as `build` have us write straight into dist/, where a wheel that failed would be uploaded.
    try:
        yield
    except BaseException:
        wheel.unlink(missing_ok=True)
        raise


def _mend(wheel: Path, journal: Journal | None, settings: Settings) -> Report | None:
    """Align the wheel in place and report; None when that failed and the user wants no error of it."""
    from pagefit import align
    from pagefit.report import summary

    try:
        report = align.wheel(
            wheel,
            page_size=settings.page_size,
            journal=journal,
            exclude=settings.exclude,
            unresolved=settings.unresolved,
        )
    except align.Unmended as unmended:
        summary.write(unmended.report, sys.stderr)
        raise Refused(
            f"not mended, for the reasons above: {', '.join(outcome.path for outcome in unmended.report.refused)}",
            where=wheel.name,
            remedy=f"Link for pages of {format_page_size(settings.page_size)}, or set `exclude` or "
            '`unresolved = "warn"` in [tool.pagefit].',
        ) from None
    except Exception as error:
        if settings.unresolved == "error":
            raise
        warn(f"{wheel.name} is left as the inner backend built it: {_described(error)}")
        return None
    summary.write(report, sys.stderr)
    return report


def _pack(wheel: Path, report: Report | None, settings: Settings) -> None:
    from pagefit.containers import tarball

    folder = tarball_folder(wheel.parent, settings)
    try:
        path = tarball.write(
            wheel, folder, compression=settings.compression, origins=report.origins if report else None
        )
    except (OSError, PagefitError) as error:
        if settings.tarball_dir is not None:
            raise ConfigError(f"the prebuilt tarball cannot be written: {error}", where=str(folder)) from error
        # Nobody asked for this folder, so a home that is missing or read-only is no reason to fail.
        warn(f"no prebuilt tarball: {_described(error)}")
    else:
        say(f"prebuilt tarball {path}")
        with suppress(OSError, RuntimeError):
            if folder == prebuilt_folder():
                prune(folder)


def _described(error: Exception) -> str:
    return str(error) if isinstance(error, PagefitError) else f"{type(error).__name__}: {error}"
