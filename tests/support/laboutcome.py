"""What a loader made of a file, read from what the lab's programs printed in the guest.

`tests/pagelab/guest/inspect.h` lists the lines. The guest compares bytes; rights are settled here, from its page table.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pagefit.elf import constants as c
from pagefit.elf.headers import Segment
from pagefit.loaders.verdict import Verdict
from support import labelf
from support.labroots import LabError

_DAMAGE = re.compile(r"lab (bytes|bss|unmapped) (\d+) (\d+) (\d+)")
_MAP = re.compile(r"(lab map )?([0-9a-f]+)-([0-9a-f]+) (?:[0-9a-f]+ )?([r-][w-][x-])")
_RIGHTS = ((c.PF_R, "r"), (c.PF_W, "w"), (c.PF_X, "x"))

#: dlopen's words for a file that was mapped well and only misses something to link with.
_UNRESOLVED = re.compile(
    r"undefined symbol|symbol not found|cannot open shared object file|Error loading shared library"
)


@dataclass(frozen=True, slots=True)
class Damage:
    """Memory that is not what the file asks for.

    `kind`: `bytes` (differ from the file), `bss` (not zero), `unmapped`, `rights` (pages lack those of `rwx` that
    `detail` lists), `headers` (AT_PHDR leads a program elsewhere). `segment` indexes the program header table, `vaddr`
    is the file's address of the first such byte, `count` how many.
    """

    kind: str
    segment: int
    vaddr: int
    count: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a loader made of one file at one page size.

    `loaded`: dlopen took it (or stopped only at symbols or libraries that are missing, after mapping it).
    `message`: dlopen's error. `signal`: what ended the process, or 0. `damage` includes lost rights.
    `relro_writable`: bytes of PT_GNU_RELRO that stayed writable; None where the load did not come that far.
    `audited`: whether memory was compared; not when the loader itself fell before it had mapped the file.
    """

    loaded: bool
    message: str = ""
    signal: int = 0
    damage: tuple[Damage, ...] = ()
    relro_writable: int | None = None
    audited: bool = False

    def beyond_end(self, path: Path) -> Outcome:
        """The same with damage for LOADs that reach behind the end of the file: their bytes are nowhere."""
        image = labelf.read(path)
        short = [s for s in image.loads if s.file_end > image.size] if self.loaded else []
        damage = (Damage("unmapped", s.index, s.vaddr, s.file_end - image.size) for s in short)
        return dataclasses.replace(self, damage=(*self.damage, *damage))

    @property
    def corrupted(self) -> tuple[Damage, ...]:
        """Damage to bytes, as opposed to rights."""
        return tuple(damage for damage in self.damage if damage.kind not in ("rights", "headers"))

    @property
    def verdict(self) -> Verdict:
        """The outcome in the words of a judgement."""
        if not self.loaded:
            return Verdict.REJECTED
        if self.corrupted:
            return Verdict.CORRUPTS
        if self.damage or self.signal:
            return Verdict.CRASHES
        return Verdict.RELRO_WEAKER if self.relro_writable else Verdict.FITS


@dataclass(frozen=True, slots=True)
class Maps:
    """A process's mappings (start, end, rights as `r-x`), and where an object's address 0 lies in it."""

    rows: Sequence[tuple[int, int, str]]
    base: int

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int, str]]:
        """The mapped pieces of a range of the object's addresses, with their rights."""
        for low, high, rights in self.rows:
            first, last = max(start, low - self.base), min(end, high - self.base)
            if first < last:
                yield first, last, rights

    def lost_rights(self, load: Segment, relro: Segment | None, dynamic: Segment | None) -> Damage | None:
        """Bytes of a LOAD whose pages lack rights of p_flags.

        What lies in `relro` need not be writable, and only readable in the LOAD that RELRO belongs to. mold may count
        only the later part of `dynamic` in: no loader writes to any of it once RELRO is protected.
        """
        begin = relro.vaddr if relro else 0
        if dynamic and dynamic.vaddr <= begin < dynamic.vend:
            begin = dynamic.vaddr
        lacking, first, count = set(), 0, 0
        cuts = sorted({load.vaddr, load.vend, *((begin, relro.vend) if relro else ())})
        for start, end in itertools.pairwise(cut for cut in cuts if load.vaddr <= cut <= load.vend):
            flags = load.flags
            if relro and begin <= start < relro.vend:
                flags &= c.PF_R if load.vaddr <= relro.vaddr < load.vend else ~c.PF_W
            wanted = {letter for bit, letter in _RIGHTS if flags & bit}
            for low, high, rights in self.pieces(start, end):
                if missing := wanted - set(rights):
                    lacking |= missing
                    first, count = first or low, count + high - low
        return Damage("rights", load.index, first, count, "".join(sorted(lacking))) if count else None

    def writable(self, relro: Segment) -> int:
        """How many bytes of PT_GNU_RELRO can still be written."""
        return sum(high - low for low, high, rights in self.pieces(relro.vaddr, relro.vend) if "w" in rights)


def read_outcomes(
    output: str, page_size: int, files: Sequence[Path], errors: str = "", *, images: Sequence[Path] = ()
) -> list[Outcome]:
    """Read what the lab's programs printed about `files`, in order; raises LabError when something is missing.

    `images`: where the files lie on this machine, when the guest knows them by other names.
    """
    if "cannot be loaded as audit" in output + errors:
        raise LabError(f"ld.so did not take the audit library\n{output[-2000:]}{errors[-2000:]}")
    page = re.search(r"^lab page (\d+)\r?$", output, re.MULTILINE)
    if not page or int(page[1]) != page_size:
        raise LabError(
            f"AT_PAGESZ is {page[1] if page else 'unknown'}, not {page_size}\n{output[-2000:]}{errors[-2000:]}"
        )
    reports = re.findall(r"^lab begin (.*?)\r?$(.*?)^lab end (\d+)\r?$", output, re.MULTILINE | re.DOTALL)
    if [name for name, _, _ in reports] != [str(file) for file in files]:
        raise LabError(f"{len(reports)} reports for {len(files)} files\n{output[-2000:]}{errors[-2000:]}")
    return [
        _outcome(name, labelf.read(image).segments, report, int(status))
        for image, (name, report, status) in zip(images or files, reports, strict=True)
    ]


def _outcome(name: str, segments: Sequence[Segment], report: str, status: int) -> Outcome:
    damage: list[Damage] = []
    about, message, mapped, loaded, relro_writable = "", "", False, False, None
    table: list[tuple[int, int, str]] = []
    rows: list[tuple[int, int, str]] = []
    for line in report.splitlines():
        if line.startswith("lab object "):
            # The audit also looks at the libraries that a file needs; only the file itself is judged.
            about = line.removeprefix("lab object ").strip()
            mapped |= about == name
        elif line.startswith("lab loaded"):
            loaded, about = True, name
        elif line.startswith("lab error "):
            message = line.removeprefix("lab error ").strip()
        elif line.startswith("lab unreadable"):
            raise LabError(line)
        elif (found := _DAMAGE.match(line)) and about == name:
            damage.append(Damage(found[1], int(found[2]), int(found[3]), int(found[4])))
        elif line.startswith("lab headers lost"):
            damage.append(Damage("headers", 0, 0, 0))
        elif line.startswith("page layout changed"):
            table = []
        elif found := _MAP.match(line):
            (rows if found[1] else table).append((int(found[2], 16), int(found[3], 16), found[4]))
        elif line.startswith("lab base "):
            if about == name:
                maps = Maps(table or rows, int(line.split()[2], 16))
                relro = next((s for s in segments if s.type == c.PT_GNU_RELRO), None) if loaded else None
                dynamic = next((s for s in segments if s.type == c.PT_DYNAMIC), None)
                losses = (maps.lost_rights(s, relro, dynamic) for s in segments if s.type == c.PT_LOAD)
                damage += [lost for lost in losses if lost]
                relro_writable = maps.writable(relro) if relro else None
            rows = []
    signalled = status & 0x7F
    if not loaded and not signalled and not message:
        raise LabError(f"no outcome for {name}\n{report[-2000:]}")
    unresolved = mapped and bool(_UNRESOLVED.search(message))
    took = loaded or unresolved or bool(signalled)
    return Outcome(took, message, signalled, tuple(dict.fromkeys(damage)), relro_writable, mapped or loaded)
