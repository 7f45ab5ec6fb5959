"""`pagefit pack` makes the `prebuilt/` tarball of a tree of .go files, and says which of Guile's variants each is."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import jsonschema

from pagefit.cli.main import main
from support.guiles import ROOT, VARIANTS, Guile, modules

SCHEMA = ROOT / "docs/reference/manifest.schema.json"


def test_a_prebuilt_tree_of_all_variants(guile: Guile, tmp_path: Path) -> None:
    """The folders of Guile's own tarballs: prebuilt/VARIANT/MODULE.go (prebuilt/Makefile.am of Guile)."""
    sources = [source for source in modules() if source.stem != "work"]
    originals = {}
    for variant, triplet in VARIANTS.items():
        linked = guile.link_everywhere(tmp_path / f"linked/{variant}", sources, triplet)
        for stem, files in linked.items():
            target = tmp_path / f"prebuilt/{variant}/{stem}.go"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(files[65536], target)
            originals[f"{variant}/{stem}.go"] = target
    assert main(["pack", str(tmp_path / "prebuilt"), "-o", str(tmp_path / "out")]) == 0

    (tarball,) = (tmp_path / "out").iterdir()
    assert tarball.stat().st_size * 20 < sum(path.stat().st_size for path in originals.values())
    with tarfile.open(tarball) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))
        for name, path in originals.items():
            assert archive.extractfile(name).read() == path.read_bytes()
    jsonschema.validate(manifest, json.loads(SCHEMA.read_text()))
    assert {entry["path"] for entry in manifest["files"]} == originals.keys()
    for entry in manifest["files"]:
        assert entry["guile"]["variant"] == entry["path"].split("/")[0]
        assert entry["guile"]["bytecode"] == {"3.0": "0x0300.6", "2.2": "0x0202.65"}[guile.version]
        assert entry["machine"] == "EM_NONE"
