"""The sample projects, built as their users would: the wheel fits 64K by readelf, is valid by installer, and works."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from installer.sources import WheelFile

from pagefit.loaders.verdict import Verdict
from support import aarch64, frontends, lab, readelf, samples

EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}


def slow(*values: str) -> Any:
    """A parameter for the slow run; another one of the same test runs always."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("name", "frontend"), [("setuptools", "pip"), ("setuptools", "build"), ("setuptools", "uv"), ("meson", "build")]
)
def test_a_sample_fits_and_works(tmp_path: Path, name: str, frontend: str) -> None:
    project = samples.copy(name, tmp_path / "project")
    built = frontends.build_wheel(frontend, project, tmp_path / "dist", env=EPOCH)
    assert built.wheel, built.output
    files = samples.unpack_elf(built.wheel, tmp_path / "unpacked")
    assert len(files) == samples.ELF_FILES[name]
    assert [path.name for path in files if not readelf.is_laid_out_for(path, 65536)] == []
    for path in files:
        assert f"{path.relative_to(tmp_path / 'unpacked')} " in built.output  # a line in the report
    with WheelFile.open(built.wheel) as source:
        source.validate_record()
    samples.run_tests(name, tmp_path / "unpacked")


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_without_pagefit_a_sample_does_not_fit(tmp_path: Path, name: str) -> None:
    project = samples.copy(name, tmp_path / "project", pagefit=False)
    built = frontends.build_wheel("build", project, tmp_path / "dist")
    assert built.wheel, built.output
    files = samples.unpack_elf(built.wheel, tmp_path / "unpacked")
    assert not any(readelf.is_laid_out_for(path, 65536) for path in files)


@pytest.mark.parametrize("name", ["setuptools", slow("meson")])
def test_two_builds_are_identical_and_the_tarball_lies_beside_dist(tmp_path: Path, name: str) -> None:
    builds = []
    for _ in range(2):
        project = samples.copy(name, tmp_path / "project")
        built = frontends.build_wheel("build", project, project / "dist", env=EPOCH)
        assert built.wheel, built.output
        (tarball,) = (project / "build/prebuilt").iterdir()
        assert tarball.name == built.wheel.name.removesuffix(".whl") + ".prebuilt.tar.xz"
        builds.append((built.wheel.read_bytes(), tarball.read_bytes()))
        project.rename(tmp_path / f"project-{len(builds)}")
    assert builds[0] == builds[1]


def test_a_wheel_that_fits_is_the_inner_backends_byte_for_byte(tmp_path: Path) -> None:
    env = EPOCH | {"LDFLAGS": "-Wl,-z,max-page-size=65536"}
    wheels = []
    for pagefit in (True, False):
        # The same path for both: compilers put it into debug information.
        project = samples.copy("setuptools", tmp_path / "project", pagefit=pagefit)
        built = frontends.build_wheel("build", project, project / "dist", env=env)
        assert built.wheel, built.output
        wheels.append(built.wheel.read_bytes())
        project.rename(tmp_path / f"project-{pagefit}")
    assert wheels[0] == wheels[1]


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_through_an_sdist(tmp_path: Path, name: str) -> None:
    project = samples.copy(name, tmp_path / "project")
    # Meson makes source distributions from version control only.
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], cwd=project, check=True)
    command = frontends.build_command(project, tmp_path / "dist", isolated=False, wheel_only=False)
    built = frontends.run(command, tmp_path / "dist", env=EPOCH)
    assert built.wheel, built.output
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert any(member.endswith("/pyproject.toml") for member in archive.getnames())
    assert all(readelf.is_laid_out_for(path, 65536) for path in samples.unpack_elf(built.wheel, tmp_path / "unpacked"))


@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "frontend"), [("meson", "pip"), slow("setuptools", "build"), slow("setuptools", "uv")]
)
def test_with_build_isolation(tmp_path: Path, name: str, frontend: str, local_index: dict[str, str]) -> None:
    project = samples.copy(name, tmp_path / "project")
    built = frontends.build_wheel(frontend, project, tmp_path / "dist", isolated=True, env=local_index)
    assert built.wheel, built.output
    files = samples.unpack_elf(built.wheel, tmp_path / "unpacked")
    assert all(readelf.is_laid_out_for(path, 65536) for path in files)
    samples.run_tests(name, tmp_path / "unpacked")


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_cross_compiled_samples_load_at_64k_under_the_real_loader(tmp_path: Path, name: str) -> None:
    (tmp_path / "cross.ini").write_text(aarch64.MESON_FILE)
    env = aarch64.SETUPTOOLS
    if name == "meson":
        env = {"_PYTHON_HOST_PLATFORM": "linux-aarch64"}
    settings = {"setup-args": f"--cross-file={tmp_path / 'cross.ini'}"} if name == "meson" else {}
    verdicts = {}
    for pagefit in (False, True):
        project = samples.copy(name, tmp_path / f"project-{pagefit}", pagefit=pagefit)
        built = frontends.build_wheel("build", project, project / "dist", config_settings=settings, env=env)
        assert built.wheel, built.output
        files = samples.unpack_elf(built.wheel, project / "unpacked")
        for page_size in (4096, 65536):
            outcomes = lab.load_all("aarch64", page_size, files).values()
            verdicts[pagefit, page_size] = {outcome.verdict for outcome in outcomes}
    assert verdicts == {
        (False, 4096): {Verdict.FITS},
        (False, 65536): {Verdict.REJECTED},
        (True, 4096): {Verdict.FITS},
        (True, 65536): {Verdict.FITS},
    }
