"""Published x86-64 wheels, realigned for 64K, installed, and put to work."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pagefit.containers.wheel import rewrite_wheel
from pagefit.elf.sections import open_elf
from pagefit.loaders.judge import judge
from pagefit.realign import realign
from support import packages

_NUMPY = """
import numpy, numpy.linalg
a = numpy.arange(90000.0).reshape(300, 300) % 17
assert (a @ a)[3, 4] == sum(a[3, k] * a[k, 4] for k in range(300))
assert abs(numpy.linalg.det(numpy.eye(50) * 2) - 2**50) < 1e3
assert numpy.allclose(numpy.fft.ifft(numpy.fft.fft(a)).real, a)
assert numpy.sort(numpy.random.default_rng(1).random(10**5)).shape == (10**5,)
try:
    numpy.linalg.inv(numpy.zeros((2, 2)))
except numpy.linalg.LinAlgError:
    pass
"""
WHEELS = {
    "msgpack": (
        "1.1.0",
        "import msgpack._cmsgpack as m; x = {'a': [1, 2.5, None, b'z']}; assert m.unpackb(m.Packer().pack(x)) == x",
    ),
    "regex": ("2024.11.6", "import regex; assert regex.findall(r'(?<=\\p{L})\\d+(?r)', 'ä12 b3') == ['3', '12']"),
    "markupsafe": (
        "3.0.2",
        "from markupsafe import _speedups as s; assert s._escape_inner('<a & b>') == '&lt;a &amp; b&gt;'",
    ),
    "pyyaml": ("6.0.2", "import yaml; assert yaml.load('a: [1, {b: c}]', yaml.CSafeLoader) == {'a': [1, {'b': 'c'}]}"),
    "numpy": ("2.1.3", _NUMPY),
}


def _mend(wheel: Path, folder: Path) -> Path:
    replacements: dict[str, Path] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if ".so" in Path(name).name:
                source = Path(archive.extract(name, folder / "unpacked"))
                target = replacements[name] = folder / f"{len(replacements)}.so"
                assert realign(source, target, 65536).plan.cls in ("a1", "b", "c")
                with open_elf(target) as file:
                    data = file.data
                    judgement = judge(file.image, lambda o, n, d=data: d[o : o + n], page_sizes=[4096, 16384, 65536])
                assert judgement.worst.loads
    assert replacements
    rewrite_wheel(wheel, folder / wheel.name, replacements)
    return folder / wheel.name


def _works(name: str, tmp_path: Path) -> None:
    version, program = WHEELS[name]
    python = f"{sys.version_info.major}{sys.version_info.minor}"
    mended = _mend(packages.wheel(name, version, "manylinux2014_x86_64", python), tmp_path)
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(installed)]
    subprocess.run([*pip, str(mended)], check=True)
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(installed)}, cwd=tmp_path)


@pytest.mark.network
@pytest.mark.parametrize("name", [name for name in WHEELS if name != "numpy"])
def test_a_published_wheel_works(name: str, tmp_path: Path) -> None:
    _works(name, tmp_path)


@pytest.mark.slow
@pytest.mark.network
def test_numpy_works(tmp_path: Path) -> None:
    _works("numpy", tmp_path)
