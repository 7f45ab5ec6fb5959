"""The Meson subproject that users add with `subproject('pagefit')`: in their `subprojects/`, or released as a wrap."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
from pathlib import Path

from pagefit import __version__
from pagefit.atomic import make_folder, replacing
from pagefit.containers.tarball import source_date
from pagefit.errors import ConfigError

#: What the subproject is made of.
_FILES = ("meson.build", "meson_options.txt", "pagefit.ini")

#: https://mesonbuild.com/Wrap-dependency-system-manual.html
_WRAP = """\
[wrap-file]
directory = {stem}
source_filename = {stem}.tar.gz
source_hash = {sha256}
{url}
[provide]
dependency_names = pagefit
"""


def folder() -> Path:
    """Where the subproject's files lie: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "subproject_files"
    return installed if installed.is_dir() else package.parents[2] / "meson"


def add(project: Path) -> Path:
    """Copy the subproject into `project`/subprojects/pagefit, over an older copy, and return that folder.

    Raises ConfigError when `project` is not a Meson project, or something else has that name there.
    """
    if not (project / "meson.build").is_file():
        raise ConfigError(
            "no meson.build here", where=str(project), remedy="Run this in the top folder of a Meson project."
        )
    target = project / "subprojects" / "pagefit"
    strangers = [entry.name for entry in target.iterdir() if entry.name not in _FILES] if target.is_dir() else []
    if strangers:
        raise ConfigError(
            f"holds files that are not pagefit's ({', '.join(sorted(strangers)[:3])})",
            where=str(target),
            remedy="Move that folder away first.",
        )
    target.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(folder() / name, target / name)
    return target


def wrap(output: Path, url: str | None) -> Path:
    """Write a release of the subproject into the folder `output`: the tarball and `pagefit.wrap`, which is returned.

    `url` is where the folder's files will be fetched from; without it, Meson looks for the tarball in
    `subprojects/packagefiles`. The same version gives the same bytes. Raises OutputError when they cannot be written.
    """
    stem = f"pagefit-{__version__}"
    packed = io.BytesIO()
    epoch = source_date()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=epoch) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):
        for name in _FILES:
            data = (folder() / name).read_bytes()
            entry = tarfile.TarInfo(f"{stem}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), epoch, 0o644
            archive.addfile(entry, io.BytesIO(data))
    source = f"source_url = {url.rstrip('/')}/{stem}.tar.gz\n" if url else ""
    text = _WRAP.format(stem=stem, sha256=hashlib.sha256(packed.getvalue()).hexdigest(), url=source)
    make_folder(output)
    for path, content in ((output / f"{stem}.tar.gz", packed.getvalue()), (output / "pagefit.wrap", text.encode())):
        with replacing(path) as file:
            file.write(content)
    return output / "pagefit.wrap"
