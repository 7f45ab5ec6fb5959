"""`make demo`: build both samples without and with pagefit, and show what changes.

Needs Python 3.10 or newer with venv, a C and a C++ compiler, and the package index for build requirements. All it makes
goes into .cache/demo of this checkout.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SAMPLES = Path(__file__).resolve().parent
ROOT = SAMPLES.parent
WORK = ROOT / ".cache" / "demo"
TOOLS = WORK / "tools" / "bin"
FRESH = WORK / "fresh" / "bin"

#: Isolated builds take pagefit from here, for it is not installed from the index.
LOCAL = WORK / "pagefit"

#: For each sample: its name, the preset, the backend it would have without pagefit.
PRESETS = {
    "checksums": ("setuptools", "pagefit.setuptools", "setuptools.build_meta"),
    "textindex": ("meson", "pagefit.mesonpy", "mesonpy"),
}


def main() -> None:
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        sys.exit("demo: Python's headers are missing; on Debian and Ubuntu: apt install python3-dev python3-venv")
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)

    step("Build pagefit itself, and install its command")
    run(sys.executable, "-m", "venv", WORK / "tools")
    pip(TOOLS, "wheel", "--no-deps", "-w", LOCAL, ROOT)
    pip(TOOLS, "install", "pagefit[cli]")

    before, after = [], []
    for name, (folder, preset, plain) in PRESETS.items():
        step(f"Build {name} as it would be without pagefit ({plain})")
        before.append(build(name, without_pagefit(folder, preset, plain), WORK / "before"))
    show(TOOLS / "pagefit", "check", "--page-size", "64K", *before, may_fail=True)

    step("The change in pyproject.toml")
    for folder, _, _ in PRESETS.values():
        old, new = WORK / "plain" / folder / "pyproject.toml", SAMPLES / folder / "pyproject.toml"
        show("diff", "-U0", "--label=before", "--label=after", old, new, may_fail=True)

    for name, (folder, _, _) in PRESETS.items():
        step(f"Build {name} with it, through pip and with build isolation")
        after.append(build(name, copied(folder, "project"), WORK / "dist"))
    show(TOOLS / "pagefit", "check", "--page-size", "64K", *after)

    step("Install both into a fresh environment and use them")
    run(sys.executable, "-m", "venv", WORK / "fresh")
    pip(FRESH, "install", "--no-index", *after)
    for folder, _, _ in PRESETS.values():
        show(FRESH / "python", "-m", "unittest", "discover", "-s", SAMPLES / folder / "tests")
    show(FRESH / "checksums", "sum", "--algorithm", "xxh64", *after, cwd=WORK / "dist")
    show(FRESH / "textindex", ROOT / "docs", '"page size" loaders -cargo')

    step("What lies where")
    for path in sorted([*WORK.glob("before/*.whl"), *WORK.glob("dist/*.whl"), *WORK.glob("prebuilt/*")]):
        print(f"{path.stat().st_size:9,}  {path.relative_to(ROOT)}")


def copied(folder: str, place: str) -> Path:
    """A copy of a sample to build in, so that this checkout stays clean."""
    target = WORK / place / folder
    shutil.copytree(SAMPLES / folder, target, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    return target


def without_pagefit(folder: str, preset: str, plain: str) -> Path:
    """A copy of a sample with pagefit's two lines taken back."""
    target = copied(folder, "plain")
    path = target / "pyproject.toml"
    text = path.read_text(encoding="utf-8").replace(', "pagefit"]', "]").replace(f'"{preset}"', f'"{plain}"')
    path.write_text(text, encoding="utf-8")
    return target


def build(name: str, project: Path, out: Path) -> Path:
    """Build a wheel through pip and print what pagefit reports; pip shows that only with -v, among much else."""
    settings = ["--config-settings", f"pagefit.tarball-dir={WORK / 'prebuilt'}"] if out.name == "dist" else []
    printed = pip(TOOLS, "wheel", "-v", "--no-deps", "-w", out, *settings, project)
    reporting = False
    for line in printed.splitlines():
        indent = len(line) - len(line.lstrip())
        reporting = line.strip().startswith("pagefit: ") or (reporting and indent > 2)
        if reporting:
            print(line[2:])
    (wheel,) = out.glob(f"{name}-*.whl")
    print(f"-> {wheel.relative_to(ROOT)}")
    return wheel


def pip(where: Path, *arguments: object) -> str:
    return run(where / "python", "-m", "pip", "--disable-pip-version-check", *arguments)


def run(*command: object) -> str:
    """Run a command quietly; when it fails, show what it printed and stop."""
    environment = {**os.environ, "PIP_FIND_LINKS": str(LOCAL)}
    done = subprocess.run(
        [str(word) for word in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\ndemo: this failed: {' '.join(map(str, command))}")
    return done.stdout


def show(*command: object, cwd: Path = ROOT, may_fail: bool = False) -> None:
    """Run a command as a person would, and show it and its output."""
    program, *arguments = (str(word) for word in command)
    words = [word.removeprefix(f"{cwd}/") for word in arguments]
    print(f"$ {shlex.join([Path(program).name, *words])}", flush=True)
    status = subprocess.run([program, *words], cwd=cwd, check=False).returncode
    if status and not may_fail:
        sys.exit(f"demo: this failed with status {status}")
    print(flush=True)


def step(title: str) -> None:
    line = f"== {title} =="
    print(f"\n\033[1m{line}\033[0m" if sys.stdout.isatty() else f"\n{line}", flush=True)


if __name__ == "__main__":
    main()
