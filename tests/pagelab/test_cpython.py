"""CPython itself on 64K pages: a sample's wheel cannot be imported as its linker left it, and can after pagefit."""

from pathlib import Path

import pytest

from pagefit.cli.main import main
from support import aarch64, frontends, lab, labkernel, samples
from support.labroots import root

pytestmark = pytest.mark.network

PACKAGES = ["python3.11", "libpython3.11-dev", "libstdc++6"]


@pytest.fixture(scope="module")
def debian() -> Path:
    return root("arm64", PACKAGES)


def wheel(folder: Path, debian: Path, *, pagefit: bool) -> Path:
    """The sample's wheel, cross-compiled for Debian's CPython and linked for 4K as some linkers do by default."""
    project = samples.copy("setuptools", folder, pagefit=pagefit)
    include = debian / "usr/include"
    env = {
        **aarch64.SETUPTOOLS,
        "CFLAGS": f"-I{include}/python3.11 -idirafter {include}",
    }
    built = frontends.build_wheel("build", project, project / "dist", env=env)
    assert built.wheel, built.output
    return built.wheel


def unpack(built: Path, folder: Path) -> Path:
    for path in samples.unpack_elf(built, folder):
        # The suffix is this machine's, as it would be with any cross build that does not replace sysconfig.
        path.rename(path.with_name(f"{path.name.partition('.')[0]}.so"))
    return folder


def unittest(site: Path, debian: Path) -> lab.Result:
    """Run the sample's own tests on CPython with 64K pages."""
    prefix = lab.emulated(debian, f"emulated-{debian.name}")
    tests = Path(samples.__file__).parents[2] / "sample_project/setuptools/tests"
    argv = [prefix / "usr/bin/python3.11", "-m", "unittest", "discover", "-s", tests, "-t", tests]
    env = {"PYTHONHOME": "/usr", "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    return lab.run("aarch64", 65536, argv, env, prefix=prefix)


def test_the_sample_on_64k_pages(tmp_path: Path, debian: Path) -> None:
    plain = wheel(tmp_path / "plain", debian, pagefit=False)
    result = unittest(unpack(plain, tmp_path / "before"), debian)
    assert result.returncode
    assert "not page-aligned" in result.stderr

    built = wheel(tmp_path / "built", debian, pagefit=True)
    result = unittest(unpack(built, tmp_path / "after"), debian)
    assert result.returncode == 0, result.stderr
    assert "OK" in result.stderr

    # Without its objects, the same wheel is mended after the fact.
    assert main(["align", str(plain), "-o", str(tmp_path / "aligned")]) == 0
    result = unittest(unpack(tmp_path / "aligned" / plain.name, tmp_path / "mended"), debian)
    assert result.returncode == 0, result.stderr


@pytest.mark.kernel
@pytest.mark.slow
def test_the_sample_on_a_real_kernel(tmp_path: Path, debian: Path) -> None:
    kernel = labkernel.KERNELS["aarch64-64k"]
    (tmp_path / "run.py").write_text(
        "import os, checksums, checksums._sums\nprint('imported at', os.sysconf('SC_PAGESIZE'))\n"
    )
    consoles = []
    for pagefit in (False, True):
        site = unpack(wheel(tmp_path / str(pagefit), debian, pagefit=pagefit), tmp_path / f"site-{pagefit}")
        files = {f"/site/{path.relative_to(site)}": path for path in site.rglob("*") if path.is_file()}
        files["/run.py"] = tmp_path / "run.py"
        consoles.append(labkernel.boot(kernel, files, ["PYTHONPATH=/site /usr/bin/python3.11 /run.py"], tree=debian))
    before, after = consoles
    assert "not page-aligned" in before
    assert "imported at 65536" in after
