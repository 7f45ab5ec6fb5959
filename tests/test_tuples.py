"""`pagefit.tuples.NamedTuple` does what the one of `typing` does."""

from __future__ import annotations

import pickle
import typing

import pytest

from pagefit import tuples


class Ours(tuples.NamedTuple):
    """A point."""

    x: int
    y: int = 2

    @property
    def sum(self) -> int:
        """Both."""
        return self.x + self.y


class Theirs(typing.NamedTuple):
    """A point."""

    x: int
    y: int = 2

    @property
    def sum(self) -> int:
        """Both."""
        return self.x + self.y


def test_a_class_has_the_fields_defaults_methods_and_names_of_a_typing_one() -> None:
    for name in ("_fields", "_field_defaults", "__match_args__", "__doc__", "__module__", "__slots__", "__mro__"):
        ours, theirs = getattr(Ours, name), getattr(Theirs, name)
        assert ours == theirs if name != "__mro__" else ours[1:] == theirs[1:]
    assert repr(Ours(1)) == "Ours(x=1, y=2)"
    assert Ours(1) == Theirs(1) == (1, 2)
    assert Ours(x=1, y=3).sum == Theirs(x=1, y=3).sum == 4
    assert Ours(1)._replace(x=5).sum == 7


def test_missing_and_unknown_fields_are_errors() -> None:
    for arguments in ({}, {"x": 1, "z": 2}):
        with pytest.raises(TypeError):
            Ours(**arguments)


def test_values_are_pickled_by_their_name() -> None:
    assert type(pickle.loads(pickle.dumps(Ours(1)))) is Ours
