"""Directions of a linear model on sparse data: `Factored`, `Diagonal` and their `Sum`.

The weights are a matrix (features, classes), 2.6 million numbers on 20 Newsgroups, and
a batch of 100 posts meets 15,000 non-zeros. Its gradient is kept as the residuals, 20
numbers a sample; the ridge as its coefficients and the point that they multiply. Verbs
do the products: one pass over the variable for the ridge, one touch a non-zero.

A `Diagonal` refers to the point where its oracle was called and does not copy it, so a
direction is to be used before that point moves; moving the point itself by it is fine.

The verbs below are those of `benchmark_bilevel.methods.directions` and
`benchmark_bilevel.methods.variance_reduction`, for the numba runtime; the torch runtime has
dense gradients from autograd.
"""

from typing import NamedTuple

import numpy as np
from numba.core import types
from numba.core.extending import overload, register_jitable

from benchmark_bilevel.fingerprint import FAST
from benchmark_bilevel.methods.directions import add, assign, descend, dot, scale
from benchmark_bilevel.methods.variance_reduction import saga
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


class FactoredMemory(NamedTuple):
    """SAGA memory of `Factored` directions: all residuals, and the dense mean."""

    residuals: np.ndarray  # (n_blocks, batch, classes)
    average: np.ndarray


def empty_factored_memory(y, shape):
    """Memory of a direction for `y`; `shape` is (n_blocks, batch, classes)."""
    return FactoredMemory(np.zeros(shape, y.dtype), np.zeros_like(y))


def _is(d, *classes):
    return isinstance(d, types.BaseNamedTuple) and d.instance_class in classes


def _is_none(d):
    return d is None or isinstance(d, types.NoneType | types.Omitted)


# Plain functions for what differs between the parts of a sum.


@register_jitable(**FAST)
def _scatter(y, a, d):
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


@register_jitable(**FAST)
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


@overload(_ridge_part, jit_options=FAST)
def _ridge_part_of(y, a, d):
    if _is(d, Sum):
        return lambda y, a, d: _ridge_part(y, a, d.ridge)
    if _is(d, Diagonal):
        return lambda y, a, d: _shrink(y, a, d)
    return lambda y, a, d: None


@overload(_other_parts, jit_options=FAST)
def _other_parts_of(y, a, d):
    if _is(d, Sum):

        def parts(y, a, d):
            descend(y, a, d.average)
            _scatter(y, -a, d.data)

        return parts
    if _is(d, Factored):
        return lambda y, a, d: _scatter(y, -a, d)
    if _is(d, Diagonal):
        return lambda y, a, d: None
    return lambda y, a, d: descend(y, a, d)


@overload(descend, jit_options=FAST)
def _descend(y, a, d, e=None):
    if not (_is(d, Factored, Diagonal, Sum) or _is(e, Factored, Diagonal, Sum)):
        return None

    def parts(y, a, d, e=None):
        _ridge_part(y, a, d)
        _ridge_part(y, a, e)
        _other_parts(y, a, d)
        _other_parts(y, a, e)

    return parts


@overload(assign, jit_options=FAST)
def _assign(y, d):
    if _is(d, Factored):

        def factored(y, d):
            y[:] = 0
            _scatter(y, 1.0, d)

        return factored
    if _is(d, Sum):

        def sum_of_parts(y, d):
            # By way of a second array, since the ridge's point may be y.
            result = np.zeros_like(y)
            descend(result, -1.0, d)
            y[:] = result

        return sum_of_parts
    return None


@overload(scale, jit_options=FAST)
def _scale(d, a):
    if _is(d, Factored):

        def factored(d, a):
            scale(d.residuals.reshape(-1), a)
            return d

        return factored
    if _is(d, Diagonal):

        def diagonal(d, a):
            factor = d.penalty.dtype.type(d.factor * a)
            return Diagonal(d.ridge, d.penalty, d.point, factor)

        return diagonal
    if _is(d, Sum) and _is_none(d[1]):
        return lambda d, a: Sum(scale(d.data, a), None, scale(d.ridge, a))
    return None


@overload(add, jit_options=FAST)
def _add(d, e):
    """Sums of directions of one type; ridges have to be those of one point."""
    if _is(d, Factored) and _is(e, Factored):

        def factored(d, e):
            rows = np.concatenate((d.rows, e.rows))
            residuals = np.concatenate((d.residuals, e.residuals))
            return Factored(d.indptr, d.indices, d.values, rows, residuals)

        return factored
    if _is(d, Diagonal) and _is(e, Diagonal):

        def diagonal(d, e):
            if d.point.ctypes.data != e.point.ctypes.data:
                raise ValueError("ridges of two points do not add")
            return Diagonal(d.ridge, d.penalty, d.point, d.factor + e.factor)

        return diagonal
    if _is(d, Sum) and _is(e, Sum) and _is_none(d[1]) and _is_none(e[1]):
        return lambda d, e: Sum(add(d.data, e.data), None, add(d.ridge, e.ridge))
    return None


@overload(dot, jit_options=FAST)
def _dot(y, d):
    if not _is(d, Factored, Sum):
        return None

    def by_array(y, d):
        array = np.zeros_like(y)
        descend(array, -1.0, d)
        return dot(y, array)

    return by_array


@overload(saga, jit_options=FAST)
def _saga(new, memory, i):
    """SAGA on the data part; the ridge is not sampled and stays as it is.

    new − old + old average = (1 − 1 / n_blocks) (new − old) + updated average.
    """
    if _is(new, Factored):

        def factored(new, memory, i):
            _replace(new, memory, i)
            return Sum(new, memory.average, None)

        return factored
    if _is(new, Sum):

        def data_part(new, memory, i):
            _replace(new.data, memory, i)
            return Sum(new.data, memory.average, new.ridge)

        return data_part
    return None


@register_jitable(**FAST)
def _replace(new, memory, i):
    """Put `new` into the memory, and its scaled change into its own residuals."""
    residuals, table, average = new.residuals, memory.residuals[i], memory.average
    one, n_blocks = average.dtype.type(1), average.dtype.type(memory.residuals.shape[0])
    for k in range(residuals.shape[0]):
        for c in range(residuals.shape[1]):
            value = residuals[k, c]
            residuals[k, c] -= table[k, c]
            table[k, c] = value
    _scatter(average, one / n_blocks, new)
    scale(new, one - one / n_blocks)
