"""A front end sees the hooks that the inner backend has in this process, no more and no fewer."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from pyproject_hooks import BuildBackendHookCaller, HookMissing, UnsupportedOperation

from support.projects import hook_caller, write_project

PYPROJECT = """
    [build-system]
    requires = ["pagefit"]
    build-backend = "pagefit.backend"

    [tool.pagefit]
    backend = "inner"
    backend-path = ["_build"]
"""

#: Writes what each hook was called with to calls.json, and wheels without ELF files.
CALLS = """
    import json
    import zipfile
    from pathlib import Path

    def _noted(hook, *arguments):
        with open("calls.json", "a") as calls:
            calls.write(json.dumps([hook, *arguments]) + "\\n")

    def build_wheel(directory, settings=None, metadata=None):
        _noted("build_wheel", settings, metadata)
        with zipfile.ZipFile(Path(directory, "x-1-py3-none-any.whl"), "w") as wheel:
            wheel.writestr("x.py", "")
        return "x-1-py3-none-any.whl"

    def build_editable(directory, settings=None, metadata=None):
        _noted("build_editable", settings, metadata)
        return build_wheel(directory)

    def build_sdist(directory, settings=None):
        _noted("build_sdist", settings)
        return "x-1.tar.gz"

    def get_requires_for_build_wheel(settings=None):
        _noted("get_requires_for_build_wheel", settings)
        return ["a>1"]

    def get_requires_for_build_sdist(settings=None):
        _noted("get_requires_for_build_sdist", settings)
        return ["b"]

    def get_requires_for_build_editable(settings=None):
        _noted("get_requires_for_build_editable", settings)
        return ["c"]

    def prepare_metadata_for_build_wheel(directory, settings=None):
        _noted("prepare_metadata_for_build_wheel", settings)
        return "x-1.dist-info"

    def prepare_metadata_for_build_editable(directory, settings=None):
        _noted("prepare_metadata_for_build_editable", settings)
        return "x-1.dist-info"
"""

#: Shows build_editable only when asked to by the environment, and has no optional hook at all.
HIDING = """
    import os

    def build_wheel(directory, settings=None, metadata=None):
        raise NotImplementedError

    def build_sdist(directory, settings=None):
        raise UnsupportedOperation("no sdist from here")

    class UnsupportedOperation(Exception):
        pass

    if os.environ.get("SHOW_EDITABLE"):
        def build_editable(directory, settings=None, metadata=None):
            raise NotImplementedError
"""


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", {"pyproject.toml": PYPROJECT, "_build/inner.py": CALLS})


@pytest.fixture
def hiding(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", {"pyproject.toml": PYPROJECT, "_build/inner.py": HIDING})


def noted(project: Path) -> list[Any]:
    return [json.loads(line) for line in (project / "calls.json").read_text().splitlines()]


def test_all_hooks_reach_the_inner_backend_without_our_settings(calls: Path, tmp_path: Path) -> None:
    hooks = hook_caller(calls)
    given = {"pagefit.page-size": "16K", "a": "1", "many": ["x", "y"]}
    out = str(tmp_path)
    assert hooks.get_requires_for_build_wheel(given) == ["a>1"]
    assert hooks.get_requires_for_build_sdist(given) == ["b"]
    assert hooks.get_requires_for_build_editable(given) == ["c"]
    assert hooks.prepare_metadata_for_build_wheel(out, given) == "x-1.dist-info"
    assert hooks.prepare_metadata_for_build_editable(out, given) == "x-1.dist-info"
    assert hooks.build_sdist(out, given) == "x-1.tar.gz"
    assert hooks.build_wheel(out, given, out) == "x-1-py3-none-any.whl"
    assert hooks.build_editable(out, given) == "x-1-py3-none-any.whl"
    rest = {"a": "1", "many": ["x", "y"]}
    assert noted(calls) == [
        ["get_requires_for_build_wheel", rest],
        ["get_requires_for_build_sdist", rest],
        ["get_requires_for_build_editable", rest],
        ["prepare_metadata_for_build_wheel", rest],
        ["prepare_metadata_for_build_editable", rest],
        ["build_sdist", rest],
        ["build_wheel", rest, out],
        ["build_editable", rest, None],
        ["build_wheel", None, None],
    ]


@pytest.mark.parametrize("arguments", ["'.'", "'.', None", "'.', None, None", "wheel_directory='.'"])
def test_arguments_come_by_position_or_by_name_and_none_stays_none(calls: Path, arguments: str) -> None:
    code = f"import pagefit.backend as backend; print(backend.build_wheel({arguments}))"
    printed = subprocess.run([sys.executable, "-c", code], cwd=calls, capture_output=True, text=True, check=True)
    assert printed.stdout == "x-1-py3-none-any.whl\n"
    assert noted(calls) == [["build_wheel", None, None]]


def test_hooks_the_inner_backend_lacks_are_missing(hiding: Path, tmp_path: Path) -> None:
    hooks = hook_caller(hiding)
    with pytest.raises(HookMissing):
        hooks.prepare_metadata_for_build_wheel(str(tmp_path), _allow_fallback=False)
    assert hooks.get_requires_for_build_wheel() == []
    assert hooks._supported_features() == []


def test_hooks_that_come_with_the_environment_are_seen(hiding: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOW_EDITABLE", "1")
    assert hook_caller(hiding)._supported_features() == ["build_editable"]


def test_an_unsupported_operation_is_the_inner_backends(hiding: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperation):
        hook_caller(hiding).build_sdist(str(tmp_path))


def test_names_are_those_of_the_inner_backend(hiding: Path) -> None:
    code = """
        import pagefit.backend as backend
        assert dir(backend) == ["UnsupportedOperation", "build_sdist", "build_wheel", "os"], dir(backend)
        assert not hasattr(backend, "__path__")
        from pagefit.backend import *
        assert build_wheel.__name__ == "build_wheel"
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=hiding, check=True)


def test_zst_tarballs_bring_their_compressor(calls: Path) -> None:
    required = hook_caller(calls).get_requires_for_build_wheel({"pagefit.compression": "zst"})
    assert required == (["a>1"] if sys.version_info >= (3, 14) else ["a>1", "backports.zstd>=1"])
    given = {"pagefit.compression": "zst", "pagefit.tarball": "false"}
    assert hook_caller(calls).get_requires_for_build_wheel(given) == ["a>1"]


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_without_elf_files_nothing_of_us_is_imported(calls: Path, platform: str) -> None:
    code = f"""
        import sys
        sys.platform = {platform!r}
        import pagefit.backend
        pagefit.backend.build_wheel(".")
        print(*sorted(sys.modules))
    """
    printed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=calls, capture_output=True, text=True, check=True
    )
    modules = printed.stdout.split()
    assert "inner" in modules
    foreign = {"elftools", "packaging", "rich", "iced_x86", "deflate"}
    assert foreign.isdisjoint(modules)
    ours = {name for name in modules if name.partition(".")[0] == "pagefit"}
    hooks = {"pagefit.hooks", "pagefit.hooks.console", "pagefit.hooks.inner", "pagefit.hooks.mirror"}
    settings = {"pagefit.config", "pagefit.errors", "pagefit.loaders", "pagefit.loaders.verdict", "pagefit.tuples"}
    recorder = {name for name in ours if name.startswith("pagefit.links")}
    recorder |= {f"pagefit.hooks.{name}" for name in ("wheel", "earlier", "stale", "cache")}
    assert ours - (recorder if platform == "linux" else set()) == {"pagefit", "pagefit.backend"} | hooks | settings


def shown(caller: BuildBackendHookCaller, capfd: pytest.CaptureFixture[str]) -> tuple[str, int]:
    with pytest.raises(subprocess.CalledProcessError) as failure:
        caller.get_requires_for_build_wheel()
    return capfd.readouterr().err, failure.value.returncode


@pytest.mark.parametrize(
    ("backend", "table", "message"),
    [
        ("pagefit.backend", "", r"[tool.pagefit] in pyproject.toml: no backend is named. Add the one to wrap, such as"),
        (
            "pagefit.backend",
            "backend = 'nowhere.api'",
            "`nowhere.api` cannot be imported: there is no module `nowhere`",
        ),
        ("pagefit.backend", "backend = 'json.nowhere'", "there is no module `json.nowhere`. Add the package that has"),
        ("pagefit.backend", "backend = 'json:loads.x'", "[tool.pagefit] backend: `json` has no `loads.x`"),
        ("pagefit.backend", "backend = 'pagefit.setuptools'", "pagefit cannot wrap itself"),
        ("pagefit.setuptools", "backend = 'hatchling.build'", "`hatchling.build` contradicts `pagefit.setuptools`"),
        ("pagefit.backend", "backend = 'json'\nbackend-path = ['b']", "`json` was found in "),
        ("pagefit.backend", "backend = 'x'\nbackend-path = ['../b']", "'../b' is not a folder of the project"),
        ("pagefit.backend", "backend = 'x'\nbackend-path = ['none']", "'none' is not a folder of the project"),
        ("pagefit.setuptools", "page_size = 1", "unknown key `page_size`. Did you mean `page-size`?"),
    ],
)
def test_a_mistake_is_one_sentence_at_the_end_of_the_output(
    tmp_path: Path, backend: str, table: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    project = write_project(tmp_path, {"pyproject.toml": f"[tool.pagefit]\n{table}\n", "b/unused.py": ""})
    printed, code = shown(hook_caller(project, backend), capfd)
    assert code == 2
    assert printed.startswith("pagefit: error: ")
    assert message in printed
    assert "Traceback" not in printed
    assert printed.count("\n") == 1


def test_a_preset_names_the_requirement_it_lacks(tmp_path: Path) -> None:
    code = """
        import sys
        sys.modules["mesonpy"] = None  # as if it were not installed
        import pagefit.mesonpy
        pagefit.mesonpy.build_wheel
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr == (
        "pagefit: error: pagefit.mesonpy: the backend `mesonpy` cannot be imported: there is no module `mesonpy`. "
        "Add meson-python to `requires` of [build-system].\n"
    )


def test_a_module_that_the_inner_backend_lacks_is_its_own_error(tmp_path: Path) -> None:
    files = {"pyproject.toml": PYPROJECT, "_build/inner.py": "import nowhere_at_all\n"}
    run = subprocess.run(
        [sys.executable, "-c", "import pagefit.backend; pagefit.backend.build_wheel"],
        cwd=write_project(tmp_path, files),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "_build/inner.py" in run.stderr
    assert run.stderr.endswith("ModuleNotFoundError: No module named 'nowhere_at_all'\n")
