"""The subproject as a wrap: fetched by Meson, or lying beside it, it does what the folder does."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest

from pagefit import __version__
from pagefit.meson import subproject
from support.mesons import alignments, run
from support.projects import write_project

PROJECT = {
    "meson.build": """
        project('plain', 'c', version: '1')
        DECLARED
        shared_library('plain', 'plain.c')
    """,
    "plain.c": "int plain = 1; int *pointer = &plain;",
}


def built(source: Path) -> Path:
    run("meson", "setup", source / "build", source)
    run("ninja", "-C", source / "build")
    return source / "build/libplain.so"


@pytest.mark.parametrize("declared", ["subproject('pagefit')", "dependency('pagefit')"])
def test_the_tarball_beside_the_wrap(tmp_path: Path, declared: str) -> None:
    source = write_project(tmp_path, {**PROJECT, "meson.build": PROJECT["meson.build"].replace("DECLARED", declared)})
    wrap = Path(run("pagefit", "meson", "wrap", "-o", source / "subprojects/packagefiles").strip())
    wrap.rename(source / "subprojects/pagefit.wrap")
    assert alignments(built(source)) == {65536}


def test_a_wrap_that_is_fetched(tmp_path: Path) -> None:
    text = PROJECT["meson.build"].replace("DECLARED", "subproject('pagefit')")
    source = write_project(tmp_path / "source", {**PROJECT, "meson.build": text})
    (source / "subprojects").mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **options) -> None:
            super().__init__(*args, directory=str(tmp_path / "release"), **options)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        wrap = Path(run("pagefit", "meson", "wrap", "-o", tmp_path / "release", "--url", url).strip())
        wrap.rename(source / "subprojects/pagefit.wrap")
        try:
            assert alignments(built(source)) == {65536}
        finally:
            server.shutdown()


def test_the_same_version_gives_the_same_release(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        run("pagefit", "meson", "wrap", "-o", tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == 2
    assert [(tmp_path / "a" / name).read_bytes() for name in names] == [
        (tmp_path / "b" / name).read_bytes() for name in names
    ]


def test_the_subproject_has_the_version_of_the_package() -> None:
    text = (subproject.folder() / "meson.build").read_text()
    assert f"version: '{__version__}'" in text
