"""Under meson-python nothing is treated twice: what the subproject has relinked, the backend finds fitting."""

from __future__ import annotations

import shutil
from pathlib import Path

from support import frontends
from support.mesons import run

SAMPLE = Path(__file__).parents[2] / "sample_project" / "meson"


def test_the_subproject_under_the_backend(tmp_path: Path) -> None:
    source = Path(shutil.copytree(SAMPLE, tmp_path / "source"))
    text = (source / "meson.build").read_text()
    head, rest = text.split("\n)\n", 1)
    (source / "meson.build").write_text(f"{head}\n)\nsubproject('pagefit')\n{rest}")
    run("pagefit", "meson", "add", source)
    built = frontends.build_wheel("pip", source, tmp_path / "out", env={"TMPDIR": str(tmp_path)})
    assert built.wheel, built.output
    # meson-python's patchelf touches some files afterwards; the backend mends those and leaves the others.
    assert built.output.count("relinked by ld from its recorded link") >= 3
    assert "NOT MENDED" not in built.output
    assert "3 ELF files, page sizes 4K, 16K, 64K: 3 fit" in run(
        "pagefit", "check", "--page-size", "4K", "--page-size", "16K", "--page-size", "64K", built.wheel
    )
