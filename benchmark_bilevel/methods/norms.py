"""Lengths and angles of directions and variables of every kind, for both runtimes."""

import math

import numpy as np
from numba.core import types
from numba.core.extending import overload, register_jitable

from benchmark_bilevel.fingerprint import INLINED_PIECE, PIECE
from benchmark_bilevel.methods.directions import (
    extent,
    filled,
    is_none,
    require_unmoved,
    scale,
)


def dot(d, e):
    """The inner product of two variables or directions; 0 with None."""
    if d is None or e is None:
        return 0.0
    require_unmoved(d, e)
    return float(d.reshape(-1) @ e.reshape(-1))


def rounding_unit(y):
    """The distance from 1 to the next number of the type of the variable `y`."""
    return float(np.finfo(str(y.dtype).removeprefix("torch.")).eps)


@register_jitable(**PIECE)
def norm(d):
    """The Euclidean norm of a variable or direction, of a matrix the Frobenius norm."""
    return math.sqrt(dot(d, d))


@register_jitable(**PIECE)
def project_ball(y, radius):
    """y ← the nearest point of the ball of `radius` around 0, in place."""
    size = norm(y)
    if size > radius:
        scale(y, radius / size)


@overload(rounding_unit)
def _rounding_unit(y):
    return lambda y: float(np.finfo(y.dtype).eps)


@overload(dot, jit_options=INLINED_PIECE)
def _dot(d, e):
    if is_none(d) or is_none(e):
        return lambda d, e: 0.0
    if not (isinstance(d, types.Array) and isinstance(e, types.Array)):

        def by_arrays(d, e):
            size = max(extent(d), extent(e))
            return dot(filled(d, size), filled(e, size))

        return by_arrays
    if d.ndim > 1:
        return lambda d, e: dot(d.reshape(-1), e.reshape(-1))

    def loop(d, e):
        total = d.dtype.type(0)
        for k in range(d.size):
            total += d[k] * e[k]
        return total

    return loop
