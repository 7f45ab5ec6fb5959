"""Which targets the search for references looks at: what it leaves out is neither patched nor proved."""

from __future__ import annotations

import struct
import sys
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from pagefit.realign.moves import UNIT, Moves, Piece
from pagefit.realign.x86_64.operands import Window, candidates, window


@st.composite
def layouts(draw: st.DrawFn) -> Moves:
    """Pieces on pages of their own, with gaps between them or none, at least one of which moves."""
    pieces, start = [], 0
    for delta in draw(st.lists(st.sampled_from([0, UNIT, 16 * UNIT]), min_size=1, max_size=6).filter(any)):
        start += UNIT * draw(st.integers(0, 3))
        end = start + draw(st.one_of(st.integers(1, 3 * UNIT), st.sampled_from([UNIT, 2 * UNIT])))
        pieces.append(Piece(start, end, delta))
        start = -(-end // UNIT) * UNIT
    return Moves(tuple(pieces))


@given(layouts())
def test_every_byte_that_moves_is_in_the_window(moves: Moves) -> None:
    wanted = window(moves)
    assert wanted
    for piece in moves.moved:
        assert piece.start in wanted
        assert piece.end - 1 in wanted


@given(layouts(), st.sampled_from([0, 1, 2, 4]))
def test_a_displacement_to_the_first_byte_that_moves_is_a_candidate(moves: Moves, immediate: int) -> None:
    wanted, target = window(moves), moves.moved[0].start
    assert wanted
    code = 1 << 20
    displacement = target - (code + 6 + immediate)  # `ff 25 disp32` and, for other instructions, an immediate behind it
    data = b"\xff\x25" + struct.pack("<i", displacement) + bytes(immediate)
    assert code + 2 in candidates(data, code, wanted)


#: A ModRM byte, with or without RIP as the base, and a displacement.
FIELDS = st.builds(
    struct.pack, st.just("<Bi"), st.sampled_from([0x05, 0x3D, 0x25, 0x45]), st.integers(-1 << 31, (1 << 31) - 1)
)


@given(
    st.lists(st.one_of(FIELDS, st.binary(max_size=9)), max_size=40).map(b"".join),
    st.integers(0, 1 << 33),
    st.integers(0, 1 << 33),
    st.integers(1, 1 << 30),
)
def test_no_displacement_into_the_window_is_missed(data: bytes, address: int, start: int, length: int) -> None:
    wanted = Window(start, start + length)
    with mock.patch.object(sys.modules[candidates.__module__], "_PIECE", 16):
        found = candidates(data, address, wanted)
    assert found == sorted(set(found))
    for place in range(len(data) - 4):
        after = address + place + 5
        target = after + struct.unpack_from("<i", data, place + 1)[0]
        announced = data[place] & 0b11000111 == 0b101
        if announced and any(target + immediate in wanted for immediate in range(5)):
            assert address + place + 1 in found
        elif not announced or not wanted.start - 4 <= target < wanted.end:
            assert address + place + 1 not in found
