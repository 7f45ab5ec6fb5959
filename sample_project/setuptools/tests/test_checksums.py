"""Known answers from the standards, and a round trip; run with `python -m unittest`."""

from __future__ import annotations

import tempfile
import unittest
import zlib
from pathlib import Path

import checksums


class Sums(unittest.TestCase):
    def test_crc32c_of_rfc_3720(self) -> None:
        self.assertEqual(checksums.crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(checksums.crc32c(bytes(32)), 0x8A9136AA)
        self.assertEqual(checksums.crc32c(b"\xff" * 32), 0x62A8AB43)
        self.assertEqual(checksums.crc32c(bytes(range(32))), 0x46DD794E)

    def test_adler32_equals_zlib(self) -> None:
        for data in (b"", b"a", bytes(range(256)) * 100):
            self.assertEqual(checksums.adler32(data), zlib.adler32(data))

    def test_xxh64_known_answers(self) -> None:
        self.assertEqual(checksums.xxh64(b""), 0xEF46DB3751D8E999)
        self.assertEqual(checksums.xxh64(b"abc"), 0x44BC2CF5AD770999)
        self.assertEqual(checksums.xxh64(b"Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1)

    def test_sums_continue_where_another_ended(self) -> None:
        data = bytes(range(256)) * 40
        for function in (checksums.crc32c, checksums.adler32):
            self.assertEqual(function(data[1000:], function(data[:1000])), function(data))

    def test_any_buffer_will_do(self) -> None:
        self.assertEqual(checksums.crc32c(memoryview(bytearray(b"123456789"))), 0xE3069283)
        with self.assertRaises(TypeError):
            checksums.crc32c("text")


class Listings(unittest.TestCase):
    def test_both_styles_and_comments(self) -> None:
        text = "# sums\r\n\r\nXXH64 (a (1).txt) = 44BC2CF5AD770999\n44bc2cf5ad770999 *b.txt\n"
        digest = "44bc2cf5ad770999"
        self.assertEqual(checksums.parse(text), [("xxh64", digest, "a (1).txt"), (None, digest, "b.txt")])

    def test_a_bad_line_is_named(self) -> None:
        for text, message in (
            ("44bc  a\nnonsense\n", "line 2: neither"),
            ("\nXXH64 (a) = 4g", "line 2: '4g' is not a hexadecimal digest"),
            ("XXH64 () = 44", "line 1: the file name is empty"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                checksums.parse(text)

    def test_what_sum_writes_check_verifies(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "a.txt").write_bytes(b"abc")
            lines = [
                f"{a.upper()} (a.txt) = {checksums.file_digest(folder / 'a.txt', a)}" for a in checksums.ALGORITHMS
            ]
            (folder / "SUMS").write_text("\n".join(lines))
            self.assertEqual([good for _, good in checksums.check(folder / "SUMS")], [True, True, True])
            (folder / "a.txt").write_bytes(b"abd")
            self.assertEqual([good for _, good in checksums.check(folder / "SUMS")], [False, False, False])


if __name__ == "__main__":
    unittest.main()
