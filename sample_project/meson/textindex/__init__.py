"""A small full-text index with ranked answers.

The index is in C++ (`_index`, over the shared library `libtextindex`), the tokenizer in C (`_tokenizer`).
"""

from __future__ import annotations

from typing import NamedTuple

from textindex._index import Index as _Index
from textindex._tokenizer import is_common, mark, words

__all__ = ["Hit", "Index", "is_common", "mark", "words"]


class Hit(NamedTuple):
    """One answer: the name a text was added under, its score (greater is better), and its first line that matches."""

    name: str
    score: float
    line: str


class Index:
    """Texts by name, and a search over them. Kept in memory."""

    def __init__(self) -> None:
        self._index = _Index()
        self._texts: list[tuple[str, str]] = []

    def __len__(self) -> int:
        return len(self._index)

    def add(self, name: str, text: str) -> None:
        """Add a text."""
        self._index.add(text)
        self._texts.append((name, text))

    def search(self, query: str, limit: int = 10) -> list[Hit]:
        """The best answers first. A query is words, "phrases", and either with a leading minus sign.

        ValueError says where a query is wrong.
        """
        wanted = {word for word in words(query) if not is_common(word)} or set(words(query))
        return [
            Hit(self._texts[number][0], score, _first_line(self._texts[number][1], wanted))
            for number, score in self._index.search(query, limit)
        ]


def _first_line(text: str, wanted: set[str]) -> str:
    marked = (mark(line.strip(), wanted) for line in text.splitlines() if not wanted.isdisjoint(words(line)))
    return next(marked, "")
