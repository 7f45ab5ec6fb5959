"""The long way to a verdict: map the file as a loader does, and audit the memory that comes of it."""

from __future__ import annotations

from itertools import pairwise

from pagefit.elf.headers import Image, ReadAt
from pagefit.loaders import bionic, glibc, kernel, musl
from pagefit.loaders.audit import audit_bytes, audit_rights, protect_relro
from pagefit.loaders.loader import (
    BIONIC,
    GLIBC_NEW,
    GLIBC_OLD,
    KERNEL,
    KERNEL_FOR_BIONIC,
    KERNEL_FOR_MUSL,
    MUSL,
    Loader,
)
from pagefit.loaders.memory import Memory
from pagefit.loaders.model import Fault, name
from pagefit.loaders.verdict import Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from pagefit.loaders.model import Behaviour

_BEHAVIOURS: Final[dict[Loader, Behaviour]] = {
    GLIBC_OLD: glibc.OLD,
    GLIBC_NEW: glibc.NEW,
    MUSL: musl.BEHAVIOUR,
    BIONIC: bionic.BEHAVIOUR,
    KERNEL: kernel.BEHAVIOUR,
    KERNEL_FOR_MUSL: kernel.FOR_MUSL,
    KERNEL_FOR_BIONIC: kernel.BEHAVIOUR,
}


def simulate(image: Image, read: ReadAt, page_size: int, loader: Loader) -> list[Fault]:
    """What goes wrong when one loader maps the file at one page size (bytes)."""
    reject, load = _BEHAVIOURS[loader]
    if faults := list(_shapeless(image)) or list(reject(image, page_size)):
        return faults
    memory = Memory(page_size, image.size)
    if faults := list(load(image, memory)):
        return faults
    faults = audit_bytes(image, memory, read)
    faults += audit_rights(image, memory)
    if all(fault.verdict.loads for fault in faults):
        faults += protect_relro(image, memory, round_up=loader.relro_rounds_up)
    return faults


def _shapeless(image: Image) -> Iterable[Fault]:
    """C4 as far as no page size and no loader matters."""
    loads = sorted(image.loads, key=lambda load: load.vaddr)
    if not loads:
        yield Fault("C4", Verdict.REJECTED, (), None, "there is no LOAD segment")
        return
    bits = image.header.bits
    span = max(load.vend for load in loads) - loads[0].vaddr
    alignment = max((load.align for load in loads if load.align & (load.align - 1) == 0), default=0)
    room = 1 << (47 if bits == 64 else 32)
    for load in loads:
        if load.vend > 1 << bits or load.file_end > 1 << bits:
            yield Fault(
                "C4", Verdict.REJECTED, (load.index,), load.vaddr, f"{name(load)} ends beyond the address space"
            )
    if span + alignment > room:
        yield Fault(
            "C4",
            Verdict.REJECTED,
            (),
            None,
            f"LOADs span {span:#x} bytes, aligned to {alignment:#x}: no process has the room",
        )
    for before, load in pairwise(loads):
        # Of bytes that both take from the same place in the file nothing can be lost; the mapping tells about rights.
        if before.vend > load.vaddr and load.memsz and before.delta != load.delta:
            yield Fault(
                "C4",
                Verdict.CORRUPTS,
                (before.index, load.index),
                load.vaddr,
                f"{name(before)} and {name(load)} overlap at {load.vaddr:#x}-{min(before.vend, load.vend):#x}",
            )
