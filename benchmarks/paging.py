"""Is padding paged in? One library dense, padded and with holes, loaded by a fresh process on this machine's pages.

The file's pages are dropped from the page cache first; afterwards mincore says which of them the load brought back,
/proc/self/smaps what the process holds, and /proc/self/io what was read from disk.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import astuple, dataclass
from pathlib import Path

from benchmarks import inputs
from benchmarks.results import Grid, Part
from pagefit import realign
from pagefit.elf.headers import read_image

LOAD = """
import ctypes, json, mmap, os, re, sys
path = sys.argv[1]
descriptor = os.open(path, os.O_RDONLY)
os.fsync(descriptor)
os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
def reads():
    return int(re.search(r"^read_bytes: (\\d+)", open("/proc/self/io").read(), re.M)[1])
before = reads()
library = ctypes.CDLL(path)
after = reads()
size = os.fstat(descriptor).st_size
view = mmap.mmap(descriptor, size, prot=mmap.PROT_READ | mmap.PROT_WRITE, flags=mmap.MAP_PRIVATE)
vector = (ctypes.c_ubyte * (-(-size // 4096)))()
start = ctypes.addressof(ctypes.c_char.from_buffer(view))
libc = ctypes.CDLL(None)
libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
assert libc.mincore(start, size, vector) == 0
mine, fields = False, {"Rss": 0, "Private_Dirty": 0}
for line in open("/proc/self/smaps"):
    if re.match(r"[0-9a-f]+-", line):
        mine = line.rstrip().endswith(path)
    elif mine and line.split(":")[0] in fields:
        fields[line.split(":")[0]] += int(line.split()[1]) * 1024
print(json.dumps({"read": after - before, "cached": [i for i, v in enumerate(vector) if v & 1], **fields}))
"""


@dataclass(frozen=True)
class Paging:
    """One form of the library, after loading, in the order of the columns. All in bytes; `padding_cached` is what of its
    padding was brought in.
    """

    form: str
    size: int
    on_disk: int
    padding: int
    padding_cached: int
    cached: int
    rss: int
    private_dirty: int
    read: int


def run() -> list[Part]:
    """A library linked for 4K, in every form."""
    source = Path("/usr/lib/x86_64-linux-gnu/libcrypto.so.3")
    columns = ["form", "file", "on disk", "padding", "of it cached", "cached", "RSS", "private dirty", "read"]
    grid = Grid(
        "Is padding paged in?",
        "that it be known: libcrypto loaded by a fresh process, its file dropped from the page cache first; KiB",
        columns,
    )
    for paging in _measure(source):
        grid.rows.append([paging.form, *(f"{length // 1024:,}" for length in astuple(paging)[1:])])
    return [grid]


def _measure(source: Path) -> list[Paging]:
    folder = inputs.CACHE / "paging"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    forms = {"linked for 4K": folder / "a.so", "dense": folder / "b.so", "padded": folder / "c.so"}
    shutil.copy(source, forms["linked for 4K"])
    realign.realign(source, forms["dense"], 65536, layout="dense")
    realign.realign(source, forms["padded"], 65536, layout="padded")
    forms["padded, with holes"] = folder / "d.so"
    shutil.copy(forms["padded"], forms["padded, with holes"])
    subprocess.run(["fallocate", "--dig-holes", forms["padded, with holes"]], check=True)
    return [_load(form, path) for form, path in forms.items()]


def _load(form: str, path: Path) -> Paging:
    done = subprocess.run([sys.executable, "-c", LOAD, path], capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    data = path.read_bytes()
    image = read_image(lambda offset, length: data[offset : offset + length], len(data))
    covered = bytearray(-(-len(data) // 4096))
    for load in image.loads:
        for page in range(load.offset // 4096, -(-load.file_end // 4096)):
            covered[page] = 1
    end = max(load.file_end for load in image.loads) // 4096
    padding = {page for page in range(end) if not covered[page]}
    status = path.stat()
    return Paging(
        form=form,
        size=status.st_size,
        on_disk=status.st_blocks * 512,
        padding=len(padding) * 4096,
        padding_cached=len(padding & set(seen["cached"])) * 4096,
        cached=len(seen["cached"]) * 4096,
        rss=seen["Rss"],
        private_dirty=seen["Private_Dirty"],
        read=seen["read"],
    )
