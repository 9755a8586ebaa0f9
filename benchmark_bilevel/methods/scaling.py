"""Element-wise verbs for steps whose size differs between the entries of a variable."""

import math

from numba.core import types
from numba.core.extending import overload

from benchmark_bilevel.fingerprint import INLINED_PIECE
from benchmark_bilevel.methods.directions import as_variable, is_none, scale


def square_average(a, weight, d):
    """a ← weight a + (1 − weight) d², entry by entry, in place.

    Parameters
    ----------
    a : variable
    weight : float
        In [0, 1], of the past.
    d : variable or direction
    """
    scale(a, weight)
    if d is not None:
        a += (1 - weight) * d**2


def scaled_descend(y, step, d, a, floor):
    """y ← y − step d / (√a + floor), entry by entry, in place.

    Parameters
    ----------
    y : variable
    step : float
    d : variable or direction
    a : variable
        Not negative; of `square_average`, say.
    floor : float
    """
    if d is not None:
        y -= step * d / (a.sqrt() + floor)


@overload(square_average, jit_options=INLINED_PIECE)
def _square_average(a, weight, d):
    if is_none(d):

        def past(a, weight, d):
            scale(a, weight)

        return past
    if not isinstance(d, types.Array):
        return lambda a, weight, d: square_average(a, weight, as_variable(d, a))

    def loop(a, weight, d):
        one = a.dtype.type(1)
        weight = a.dtype.type(weight)
        for k in range(a.size):
            a[k] = weight * a[k] + (one - weight) * d[k] * d[k]

    return loop


@overload(scaled_descend, jit_options=INLINED_PIECE)
def _scaled_descend(y, step, d, a, floor):
    if is_none(d):
        return lambda y, step, d, a, floor: None
    if not isinstance(d, types.Array):

        def by_array(y, step, d, a, floor):
            scaled_descend(y, step, as_variable(d, y), a, floor)

        return by_array

    def loop(y, step, d, a, floor):
        step, floor = y.dtype.type(step), y.dtype.type(floor)
        for k in range(y.size):
            y[k] -= step * d[k] / (math.sqrt(a[k]) + floor)

    return loop
