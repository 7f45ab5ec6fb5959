"""Pieces of address space: who owns an address, and by how much it moves."""

from __future__ import annotations

import pytest

from pagefit.realign.moves import Piece, moves

TEXT, DATA = Piece(0, 0x8F4, 0), Piece(0x10D90, 0x11030, 0x10000)


def test_an_address_moves_with_the_piece_that_owns_it() -> None:
    both = moves([DATA, TEXT])
    assert both.delta(0x100) == 0
    assert both.delta(0x10D90) == 0x10000
    assert both.new(0x11000) == 0x21000


def test_one_past_the_end_belongs_to_the_piece_that_ends_there() -> None:
    assert moves([TEXT, DATA]).delta(0x11030) == 0x10000


def test_a_gap_is_for_the_caller_to_settle() -> None:
    with pytest.raises(KeyError):
        moves([TEXT, DATA]).delta(0x5000)
    assert moves([TEXT, DATA]).page_owner(0x10000) == DATA
    assert moves([TEXT, DATA]).page_owner(0x8000) is None


def test_a_page_has_one_owner() -> None:
    with pytest.raises(ValueError, match="share a page"):
        moves([Piece(0, 0x900, 0), Piece(0x900, 0xA00, 0x10000)])
