"""Functions lie where readelf says their FDEs are, with the search table and without it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pagefit.elf.functions import Functions, search_table
from pagefit.elf.sections import open_elf
from pagefit.errors import Refused

#: A program with a search table.
PROGRAM = Path("/bin/sh").resolve()


def printed(path: Path) -> list[tuple[int, int]]:
    """The ranges of the FDEs that are not empty, ascending."""
    text = subprocess.run(["readelf", "-wF", path], capture_output=True, text=True, check=True).stdout
    rows = re.findall(r" FDE cie=\w+ pc=(\w+)\.\.(\w+)", text)
    return sorted((int(start, 16), int(end, 16)) for start, end in rows if start != end)


@pytest.fixture(scope="module", params=["with the search table", "without"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if request.param == "without":
        copy = tmp_path_factory.mktemp("functions") / "program"
        subprocess.run(["objcopy", "--rename-section", ".eh_frame_hdr=.other", PROGRAM, copy], check=True)
        yield copy
    else:
        yield PROGRAM


def test_every_function_is_found_by_its_first_and_last_byte(program: Path) -> None:
    ranges = printed(program)
    assert len(ranges) > 10
    with open_elf(program) as file:
        assert (search_table(file) is None) == (program != PROGRAM)
        functions = Functions(file)
        for start, end in ranges:
            assert functions.around(start) == functions.around(end - 1) == (start, end)


def test_what_lies_between_functions_belongs_to_none(program: Path) -> None:
    ranges = printed(program)
    gaps = [(end, start) for (_, end), (start, _) in pairwise(ranges) if end < start]
    assert gaps
    with open_elf(program) as file:
        functions = Functions(file)
        for end, start in gaps:
            assert functions.around(end) is None
            assert functions.after(end) == start
        assert functions.around(ranges[0][0] - 1) is None
        assert functions.after(ranges[-1][1]) is None


def test_a_table_that_names_another_functions_frame_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    with open_elf(PROGRAM) as file:
        section = file.by_name[".eh_frame_hdr"]
        data = bytearray(file.data)
        first, second = section.offset + 16, section.offset + 24
        data[first : first + 4], data[second : second + 4] = data[second : second + 4], data[first : first + 4]
        wrong.write_bytes(data)
    with open_elf(wrong) as file, pytest.raises(Refused, match="as the search table says"):
        Functions(file).before(printed(PROGRAM)[0][0])
