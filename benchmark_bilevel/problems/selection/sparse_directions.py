"""Directions of a linear model on sparse data: `Factored`, `Diagonal` and their `Sum`.

The weights are a matrix (features, classes), 2.6 million numbers on 20 Newsgroups, and
a batch of 100 posts meets 15,000 non-zeros. Its gradient is kept as the residuals, 20
numbers a sample; the ridge as its coefficients and the point that they multiply. Verbs
do the products: one pass over the variable for the ridge, one touch a non-zero.

A `Diagonal` refers to the point where its oracle was called and does not copy it, so a
direction is to be used before that point moves; moving the point itself by it is fine.

The verbs below are those of `benchmark_bilevel.methods.directions`, for the numba runtime
(SAGA's is in `sparse_memory`); the torch runtime has dense gradients from autograd.
"""

from typing import NamedTuple

import numpy as np
from numba.core.extending import overload, register_jitable

from benchmark_bilevel.fingerprint import PIECE
from benchmark_bilevel.methods.directions import (
    KINDS,
    add,
    as_variable,
    assign,
    copy,
    descend,
    extent,
    filled,
    is_kind,
    is_none,
    scale,
)
from benchmark_bilevel.problems.selection.ridge import Ridge, ridge_add, ridge_shrink


class Factored(NamedTuple):
    """Aᵀ R: the transposed rows of a CSR design times residuals.

    Sample ``rows[k]`` has the residuals ``residuals[k]``, one a class.
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    rows: np.ndarray
    residuals: np.ndarray


class Diagonal(NamedTuple):
    """factor · penalty ∘ point, the gradient of a `Ridge` at a point."""

    ridge: Ridge
    penalty: np.ndarray
    point: np.ndarray
    factor: float


class Sum(NamedTuple):
    """data + average + ridge; the last two may be None."""

    data: Factored
    average: np.ndarray  # dense, and the memory's own
    ridge: Diagonal


KINDS += [Factored, Diagonal, Sum]


# Plain functions for what differs between the parts of a sum.


def _own(average):
    """A copy of the average of a `Sum`, which is a memory's own; None if it is None."""


@overload(_own, jit_options=PIECE)
def _own_of(average):
    if is_none(average):
        return lambda average: None
    return lambda average: copy(average)


@register_jitable(**PIECE)
def scatter(y, a, d):
    """y ← y + a Aᵀ R."""
    n_classes = d.residuals.shape[1]
    matrix = y.reshape((y.size // n_classes, n_classes))
    share = np.empty(n_classes, y.dtype)
    a = y.dtype.type(a)
    for k in range(d.rows.size):
        for c in range(n_classes):
            share[c] = a * d.residuals[k, c]
        for entry in range(d.indptr[d.rows[k]], d.indptr[d.rows[k] + 1]):
            target, value = matrix[d.indices[entry]], d.values[entry]
            for c in range(n_classes):
                target[c] += value * share[c]


@register_jitable(**PIECE)
def _shrink(y, a, d):
    """y ← y − a (the ridge part of d), for a point that may be y."""
    a = a * d.factor
    if d.point.ctypes.data == y.ctypes.data:
        ridge_shrink(d.ridge, d.penalty, a, y)
    else:
        ridge_add(d.ridge, d.penalty, -a, d.point, y)


def _ridge_part(y, a, d):
    """y ← y − a (the ridge part of d). Comes first: the point may be y itself."""


def _other_parts(y, a, d):
    """y ← y − a (d without its ridge part)."""


@overload(_ridge_part, jit_options=PIECE)
def _ridge_part_of(y, a, d):
    if is_kind(d, Sum):
        return lambda y, a, d: _ridge_part(y, a, d.ridge)
    if is_kind(d, Diagonal):
        return lambda y, a, d: _shrink(y, a, d)
    return lambda y, a, d: None


@overload(_other_parts, jit_options=PIECE)
def _other_parts_of(y, a, d):
    if is_kind(d, Sum):

        def parts(y, a, d):
            descend(y, a, d.average)
            scatter(y, -a, d.data)

        return parts
    if is_kind(d, Factored):
        return lambda y, a, d: scatter(y, -a, d)
    if is_kind(d, Diagonal):
        return lambda y, a, d: None
    return lambda y, a, d: descend(y, a, d)


@overload(descend, jit_options=PIECE)
def _descend(y, a, d, e=None):
    if not (is_kind(d, Factored, Diagonal, Sum) or is_kind(e, Factored, Diagonal, Sum)):
        return None

    def parts(y, a, d, e=None):
        _ridge_part(y, a, d)
        _ridge_part(y, a, e)
        _other_parts(y, a, d)
        _other_parts(y, a, e)

    return parts


@overload(assign, jit_options=PIECE)
def _assign(y, d):
    if is_kind(d, Factored):

        def factored(y, d):
            y[:] = 0
            scatter(y, 1.0, d)

        return factored
    if is_kind(d, Sum):

        def sum_of_parts(y, d):
            # By way of a second array, since the ridge's point may be y.
            assign(y, as_variable(d, y))

        return sum_of_parts
    return None


@overload(scale, jit_options=PIECE)
def _scale(d, a):
    if is_kind(d, Factored):

        def factored(d, a):
            scale(d.residuals.reshape(-1), a)
            return d

        return factored
    if is_kind(d, Diagonal):

        def diagonal(d, a):
            factor = d.penalty.dtype.type(d.factor * a)
            return Diagonal(d.ridge, d.penalty, d.point, factor)

        return diagonal
    if is_kind(d, Sum):

        def parts(d, a):
            average = scale(_own(d.average), a)
            return Sum(scale(d.data, a), average, scale(d.ridge, a))

        return parts
    return None


@overload(add, jit_options=PIECE)
def _add(d, e):
    """The sums of the parts, of one data set; ridges have to be those of one point."""
    if is_kind(d, Factored) and is_kind(e, Factored):

        def factored(d, e):
            if d.indptr.ctypes.data != e.indptr.ctypes.data:
                raise ValueError("rows of two data sets do not add")
            rows = np.concatenate((d.rows, e.rows))
            residuals = np.concatenate((d.residuals, e.residuals))
            return Factored(d.indptr, d.indices, d.values, rows, residuals)

        return factored
    if is_kind(d, Diagonal) and is_kind(e, Diagonal):

        def diagonal(d, e):
            if d.point.ctypes.data != e.point.ctypes.data:
                raise ValueError("ridges of two points do not add")
            return Diagonal(d.ridge, d.penalty, d.point, d.factor + e.factor)

        return diagonal
    if is_kind(d, Sum) and is_kind(e, Factored):
        return lambda d, e: Sum(add(d.data, e), d.average, d.ridge)
    if is_kind(d, Factored) and is_kind(e, Sum):
        return lambda d, e: Sum(add(d, e.data), e.average, e.ridge)
    if is_kind(d, Sum) and is_kind(e, Sum):

        def sums(d, e):
            average = add(_own(d.average), e.average)
            return Sum(add(d.data, e.data), average, add(d.ridge, e.ridge))

        return sums
    return None


@overload(extent, jit_options=PIECE)
def _extent(d):
    if is_kind(d, Sum):
        if not is_none(d[2]):
            return lambda d: d.ridge.point.size
        return lambda d: d.average.size
    if is_kind(d, Diagonal):
        return lambda d: d.point.size
    if not is_kind(d, Factored):
        return None

    def factored(d):
        last = -1
        for row in d.rows:
            for entry in range(d.indptr[row], d.indptr[row + 1]):
                last = max(last, d.indices[entry])
        return (last + 1) * d.residuals.shape[1]

    return factored


@overload(filled, jit_options=PIECE)
def _filled(d, size):
    if is_kind(d, Factored):
        return lambda d, size: as_variable(d, np.empty(size, d.values.dtype))
    if is_kind(d, Diagonal):
        return lambda d, size: as_variable(d, d.point)
    if is_kind(d, Sum):
        return lambda d, size: as_variable(d, np.empty(size, d.data.values.dtype))
    return None
