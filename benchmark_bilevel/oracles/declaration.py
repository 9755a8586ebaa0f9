"""How a class of fields and formulas becomes a type that numba knows.

The type is a ``structref``: unlike a ``jitclass`` it lets numba cache the loops that take
it on disk. Types derive from each other as their classes do, and methods with them.
"""

import sys
from functools import wraps
from types import FunctionType

from numba.core import types
from numba.core.extending import overload_method
from numba.experimental import structref

from benchmark_bilevel.fingerprint import (
    INLINED_PIECE,
    PIECE,
    cached_njit,
    edition_of,
)


def by_types(method):
    """Let `method` choose what is compiled, as `numba.extending.overload` does.

    It gets the numba types of its arguments and returns a function of the same
    arguments; ``self.loss`` is the class that is being compiled.
    """
    method.chooses = True
    return method


class Handle(structref.StructRefProxy):
    """Python's handle of a compiled oracle, an instance of the class `loss`.

    Attributes
    ----------
    arrays : dict
        The values of the fields.
    n_blocks : int
    """

    loss = None

    def memory(self, z, x):
        """Empty SAGA memories for the oracle's directions."""
        return self.loss.memory(self, z, x)


def register(cls):
    """Make `Type` and `Handle` of the class `cls`, and tell numba its methods."""
    bases = tuple(base.Type for base in cls.__bases__ if hasattr(base, "Type"))
    cls.Type = _member(cls, "Type", bases or (types.StructRef,))
    structref.register(cls.Type)
    options = INLINED_PIECE if cls.inlined else PIECE
    for name, method in vars(cls).items():
        if isinstance(method, FunctionType):
            overload_method(cls.Type, name, jit_options=options)(_chooser(method))
    cls.Handle = _member(cls, "Handle", (Handle,))
    structref.define_proxy(cls.Handle, cls.Type, list(cls.fields))
    cls._build = staticmethod(_constructor(cls))


def _member(cls, name, bases):
    """A class that is the attribute `name` of `cls`, where pickle finds it."""
    place = {"__module__": cls.__module__, "__qualname__": f"{cls.__qualname__}.{name}"}
    return type(f"{cls.__name__}{name}", bases, {**place, "loss": cls})


def _chooser(method):
    """The function that `overload_method` wants, which returns what is compiled."""
    if hasattr(method, "chooses"):
        return method
    return wraps(method)(lambda *args, **kwargs: method)


def _constructor(cls):
    """Compiled function from the fields of an oracle to its handle.

    Numba caches it on disk, which it does not do with the handle's own constructor.
    """
    handle = cls.Handle

    def build(*fields):
        return handle(*fields)

    edition = edition_of(sys.modules[cls.__module__])
    build.__qualname__ = f"{edition}.{cls.__qualname__}"
    return cached_njit(build)
