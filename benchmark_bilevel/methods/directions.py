"""The vector verbs of a solver's text, for both runtimes.

A variable is a flat array (numba) or tensor (torch) and is moved in place. A direction
is what an oracle returns: an array like the variable, or ``None`` where the loss does
not depend on the variable (∇x f of most problems), or of a type of its own where most of
it is zero (`compiled.row_directions`, `problems.selection.sparse_directions`, which tell
the verbs below what to do). The plain Python bodies serve torch; each has a numba
overload that compiles to loops without temporaries: at 7,840 entries ``z -= a * (d + e)``
as an array expression costs 10 µs, the loop 1.4 µs. A matrix, of H say, is moved like a
flat array.
"""

import numpy as np
from numba.core import types
from numba.core.extending import overload, register_jitable

from benchmark_bilevel.fingerprint import INLINED_PIECE, PIECE
from benchmark_bilevel.notices import Fault


class Moved(Fault):
    """A direction is used after the variable has moved at which it was taken."""


def descend(y, a, d, e=None):
    """Move along one or two directions: y ← y − a (d + e), in place.

    Parameters
    ----------
    y : variable
    a : float
        Step size; cast to the type of `y`, so that no float64 promotes a float32 state.
    d, e : direction
    """
    require_unmoved(d, e)
    for direction in (d, e):
        if direction is None:
            continue
        if hasattr(y, "sub_"):
            y.sub_(direction, alpha=a)  # a tensor's, in one pass over it
        else:
            y -= a * direction


def require_unmoved(*directions):
    """Refuse, under torch, a direction whose point has moved since it was taken.

    On sparse data the direction that numba gets is a function of the point still, so
    that the runtimes would differ. A rehearsal sees it before numba does.
    """
    for direction in directions:
        point, version = getattr(direction, "taken_at", (None, None))
        if point is not None and point._version != version:
            raise Moved(
                "a direction is used after the variable has moved at which its oracle "
                "was called: use it before, or both at once, descend(y, a, d, e)"
            )


def copy(y):
    """A new variable equal to `y`."""
    return y.copy() if hasattr(y, "copy") else y.clone()


def zeros_like(y):
    """A new variable of zeros, shaped like `y`."""
    return y.new_zeros(y.shape) if hasattr(y, "new_zeros") else np.zeros_like(y)


def assign(y, d):
    """y ← d, in place."""
    require_unmoved(d)
    y[:] = 0 if d is None else d


def scale(d, a):
    """The direction a d; an array is overwritten, oracles' arrays being fresh."""
    if d is not None and a != 1:
        d *= a
        if hasattr(d, "not_sampled"):
            d.not_sampled = a * d.not_sampled
    return d


def add(d, e):
    """The direction d + e; the array d is overwritten, oracles' arrays being fresh."""
    if d is None or e is None:
        return e if d is None else d
    d += e
    if hasattr(d, "not_sampled") and hasattr(e, "not_sampled"):
        d.not_sampled = d.not_sampled + e.not_sampled
    return d


@register_jitable(**PIECE)
def combine(a, d, b, e):
    """The direction a d + b e; both are overwritten as by `scale` and `add`."""
    return add(scale(d, a), scale(e, b))


@register_jitable(**PIECE)
def average(y, weight, d, e=None):
    """Move towards a direction or a variable: y ← (1 − weight) y + weight (d + e)."""
    scale(y, 1.0 - weight)
    descend(y, -weight, d, e)


@register_jitable(**PIECE)
def as_variable(d, y):
    """A new variable like `y` that equals the direction d."""
    result = zeros_like(y)
    descend(result, -1.0, d)
    return result


# --- numba ----------------------------------------------------------------------------

KINDS = []  # the types (named tuples) of directions that are neither None nor arrays


def is_none(direction):
    """Whether `direction` is, as a numba type, None."""
    return direction is None or isinstance(direction, types.NoneType | types.Omitted)


def is_kind(direction, *kinds):
    """Whether the numba type `direction` is that of one of `kinds`."""
    return (
        isinstance(direction, types.BaseNamedTuple)
        and direction.instance_class in kinds
    )


def is_dense(direction):
    """Whether the numba type `direction` is None or an array."""
    return is_none(direction) or isinstance(direction, types.Array)


def extent(d):
    """Length of the shortest variable that the direction d moves, for numba."""


def filled(d, size):
    """The direction d as an array of `size`, for numba; an array is not copied."""


@overload(extent, jit_options=INLINED_PIECE)
def _extent(d):
    return (lambda d: d.size) if isinstance(d, types.Array) else None


@overload(filled, jit_options=INLINED_PIECE)
def _filled(d, size):
    return (lambda d, size: d) if isinstance(d, types.Array) else None


@overload(descend, jit_options=INLINED_PIECE)
def _descend(y, a, d, e=None):
    if not (is_dense(d) and is_dense(e)):
        return None  # another module's directions
    if is_none(d) and is_none(e):
        return lambda y, a, d, e=None: None
    if is_none(d):
        return lambda y, a, d, e=None: descend(y, a, e)
    if y.ndim > 1:

        def matrix(y, a, d, e=None):
            descend(y.reshape(-1), a, d.reshape(-1))
            descend(y, a, e)

        return matrix
    if is_none(e):

        def one(y, a, d, e=None):
            a = y.dtype.type(a)
            for k in range(y.size):
                y[k] -= a * d[k]

        return one

    def two(y, a, d, e=None):
        a = y.dtype.type(a)
        for k in range(y.size):
            y[k] -= a * (d[k] + e[k])

    return two


@overload(copy)
def _copy(y):
    return lambda y: y.copy()


@overload(zeros_like)
def _zeros_like(y):
    return lambda y: np.zeros_like(y)


@overload(assign, jit_options=INLINED_PIECE)
def _assign(y, d):
    if not is_dense(d):
        return None
    if y.ndim > 1:
        return lambda y, d: assign(y.reshape(-1), d.reshape(-1))
    if is_none(d):

        def zero(y, d):
            for k in range(y.size):
                y[k] = 0

        return zero

    def loop(y, d):
        for k in range(y.size):
            y[k] = d[k]

    return loop


@overload(scale, jit_options=INLINED_PIECE)
def _scale(d, a):
    if not is_dense(d):
        return None
    if is_none(d):
        return lambda d, a: None
    if d.ndim > 1:

        def rows(d, a):
            scale(d.reshape(-1), a)
            return d

        return rows

    def loop(d, a):
        a = d.dtype.type(a)
        for k in range(d.size):
            d[k] *= a
        return d

    return loop


@overload(add, jit_options=INLINED_PIECE)
def _add(d, e):
    if is_none(d):
        return lambda d, e: e
    if is_none(e):
        return lambda d, e: d
    if isinstance(d, types.Array):

        def into_first(d, e):
            descend(d, -1.0, e)
            return d

        return into_first
    if isinstance(e, types.Array):

        def into_second(d, e):
            descend(e, -1.0, d)
            return e

        return into_second
