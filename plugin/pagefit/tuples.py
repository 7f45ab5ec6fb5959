"""`typing.NamedTuple` for modules that must be imported quickly: `typing` takes longer than a small wheel to check.

Type checkers see the one of `typing`. A module that defines tuples with this one says
`from __future__ import annotations` (PEP 563), for annotations cannot name anything of `typing` there, and Python 3.14
keeps others out of the class body.
"""

from __future__ import annotations

from collections import namedtuple

__all__ = ["NamedTuple"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Definition(type):
        """Makes a named tuple of a class body: annotated names are its fields, and all else its own as in any class."""

        def __new__(cls, name, bases, body):
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body["__annotations__"]
            defaults = [body.pop(field) for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults)
            for key, value in body.items():
                setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Definition):
        """What classes are derived from to become named tuples."""
