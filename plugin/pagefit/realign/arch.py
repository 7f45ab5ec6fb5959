"""What relinking without objects asks of an architecture: find every reference from code, or refuse.

The contract, the same for every architecture:

* Executable pieces never move (`Moves` of an executable piece has delta 0), neither do the read-only pieces that share
  its pages. So only references *into moved pieces* matter, and what moves is data: `.data`, `.got`, `.data.rel.ro`,
  `.bss`.
* Tables that a specification describes (dynamic relocations, symbols, `.eh_frame`, `.gcc_except_table`, notes, DWARF)
  are not the architecture's business. Code is: the instructions of every executable section, constants inside
  it, and tables in read-only data whose meaning only the code knows (LLVM's relative lookup tables).
* **Exact or refused.** `references` returns every such reference; when something cannot be explained it raises
  `Refused` with what, at which address (hex), and the remedy. It never leaves out what it is unsure of.
* Nothing is written by an architecture: it returns patches, in terms of the original file's offsets.
"""

from __future__ import annotations

from itertools import chain

from pagefit.elf import constants as c
from pagefit.elf.sections import ElfFile
from pagefit.errors import Refused
from pagefit.realign.moves import Moves
from pagefit.realign.patches import Patch, WordPatches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Final, Protocol

    class Architecture(Protocol):
        """One instruction set. Modules of this package implement it as module-level functions."""

        def references(self, file: ElfFile, moves: Moves) -> CodeReferences:
            """Find every reference from code into a moved piece, with the bytes that make it lead to the new place.

            What `file` offers: `executable` (sections with code, by address), `contents(section)`, `read(address, n)`,
            `offset_of(address)`; `pagefit.elf.eh_frame.frames(file)` (functions' ranges), `pagefit.elf.symbols`
            (mapping symbols, when the file isn't stripped), `pagefit.elf.relocations` (words the loader writes).
            `moves.piece(x)`, `moves.delta(x)`, `moves.moved` say what moves. Addresses are the original's.

            Raises Refused.
            """
            ...

        def verify(self, before: ElfFile, after: ElfFile, moves: Moves, found: CodeReferences) -> None:
            """Decode the result afresh and prove it: every reference of `before` leads in `after` to the same thing.

            For a reference at place `p` to target `t` in `before`, `after` must hold at `moves.new(p)` one to
            `moves.new(t)`; and `after` must have none into moved pieces that `before` hasn't. Code bytes that no patch
            explains are compared by the caller. `after` has the same sections in the same order.

            Raises Refused, naming the address.
            """
            ...


class CodeReferences:
    """All references from code into moved pieces.

    `words` are those of the architecture's usual kind; `others` the rest, entries of relative tables among them. An
    offset occurs once. `candidates` are for the architecture itself: by a section's number, what it had to look at.
    """

    __slots__ = ("candidates", "others", "words")

    def __init__(
        self,
        words: WordPatches | None = None,
        others: tuple[Patch, ...] = (),
        candidates: Mapping[int, Any] | None = None,
    ) -> None:
        self.words = WordPatches() if words is None else words
        self.others = others
        self.candidates = {} if candidates is None else candidates

    def __len__(self) -> int:
        return len(self.words) + len(self.others)

    @property
    def patches(self) -> Iterator[Patch]:
        """Every patch."""
        return chain(self.words, self.others)


_MODULES: Final = {
    c.EM_AARCH64: "pagefit.realign.aarch64",
    c.EM_X86_64: "pagefit.realign.x86_64",
}


def architecture(machine: int, *, where: str = "") -> Architecture:
    """The module that knows an e_machine's code. Raises Refused for one that none knows.

    Imported only when code has to be analysed: the x86-64 module needs a decoder that is an extra.
    """
    name = _MODULES.get(machine)
    if name is None:
        raise Refused(
            f"data would have to move, and code of e_machine {machine} cannot be analysed",
            where=where,
            remedy="Link it again with -Wl,-z,max-page-size=65536 -Wl,-z,common-page-size=65536.",
        )
    from importlib import import_module

    module: Architecture = import_module(name)
    return module
