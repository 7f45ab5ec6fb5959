"""Names of members are looked at all at once, which says of each what looking at it says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pagefit.containers.member import is_safe_name, unsafe_names


@given(st.lists(st.text("ab/.\\\0:\n", max_size=7), max_size=4))
def test_unsafe_names_are_found_among_many(names: list[str]) -> None:
    assert list(unsafe_names(names)) == [name for name in names if not is_safe_name(name)]


def test_names_of_wheels_are_safe() -> None:
    assert list(unsafe_names(["a/", "a/.libs/b.so", "a.libs/c-1.so.2", "a-1.dist-info/RECORD", "…/..x"])) == []
