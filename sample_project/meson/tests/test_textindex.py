"""What the index answers; run with `python -m unittest`."""

from __future__ import annotations

import unittest

from textindex import Index, is_common, mark, words

TEXTS = {
    "mapping": "A page is the unit in which memory is mapped.\nThe kernel maps whole pages.",
    "sizes": "The page size is 4 KiB here.\nElsewhere a page size of 64 KiB is usual: the page is larger.",
    "birds": "A heron stood in the reeds. Überall Schilf, überall Vögel.",
}


def index() -> Index:
    result = Index()
    for name, text in TEXTS.items():
        result.add(name, text)
    return result


def names(query: str) -> list[str]:
    return [hit.name for hit in index().search(query)]


class Searching(unittest.TestCase):
    def test_ranks_by_how_often_and_how_rare(self) -> None:
        self.assertEqual(names("page"), ["sizes", "mapping"])
        self.assertEqual(names("heron page"), ["birds", "sizes", "mapping"])
        self.assertEqual(names("nowhere"), [])

    def test_phrases_and_exclusions(self) -> None:
        self.assertEqual(names('"page size"'), ["sizes"])
        self.assertEqual(names('"size page"'), [])
        self.assertEqual(names("page -kernel"), ["sizes"])
        self.assertEqual(names('page -"page size"'), ["mapping"])

    def test_words_that_are_not_ascii(self) -> None:
        self.assertEqual(names("VÖGEL"), [])  # only ASCII is folded
        self.assertEqual(names("vögel"), ["birds"])

    def test_exceptions_cross_the_shared_library(self) -> None:
        for query, message in (
            ('page "size', "at 5: the quotation mark is never closed"),
            ("- page", "at 1: there is no word here"),
            ("-page", "at 0: nothing to look for"),
            ("", "at 0: nothing to look for"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                index().search(query)

    def test_limit_and_the_line_that_matches(self) -> None:
        (hit,) = index().search("the kernel", limit=1)
        self.assertEqual((hit.name, hit.line), ("mapping", "The [kernel] maps whole pages."))
        self.assertEqual(len(index()), 3)


class Tokenizing(unittest.TestCase):
    def test_words_and_marks(self) -> None:
        self.assertEqual(words("Page-size: 64K, é!"), ["page", "size", "64k", "é"])
        self.assertEqual(mark("A page, a Page.", {"page"}), "A [page], a [Page].")

    def test_common_words(self) -> None:
        self.assertTrue(all(is_common(word) for word in ("a", "the", "their", "with")))
        self.assertFalse(any(is_common(word) for word in ("", "th", "thei", "theirs", "zebra")))


if __name__ == "__main__":
    unittest.main()
