"""Directions for x that a batch fills in part: `Rows` and, through SAGA, `Mean`.

In data hyper-cleaning a batch of 64 samples moves 64 of the 20,000 weights, in data
poisoning the 18 images of nine thousand that it holds: a dense direction would be
nearly all zeros. The blocks of a partition are consecutive samples, so what a block
moves is one slice of x, and no two blocks share an entry.

The verbs below are those of `benchmark_bilevel.methods.directions` and
`benchmark_bilevel.methods.variance_reduction`, for the numba runtime; the torch runtime has
dense gradients from autograd.
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
from benchmark_bilevel.methods.variance_reduction import saga


class Rows(NamedTuple):
    """A direction that is zero but for some slices, which may overlap and then add up.

    Slice k moves the entries from ``starts[k]`` on, by the values between
    ``ends[k - 1]`` (0 for the first) and ``ends[k]``. More room may follow the last.
    """

    starts: np.ndarray  # int64 (n_slices,)
    ends: np.ndarray  # int64 (n_slices,)
    values: np.ndarray


class Mean(NamedTuple):
    """The direction rows + average."""

    rows: Rows
    average: np.ndarray


class RowMemory(NamedTuple):
    """SAGA memory of directions of type `Rows`.

    One block alone knows an entry, so the entry's last value is n_blocks times its mean
    over the blocks, and the mean is all there is to store.
    """

    average: np.ndarray
    n_blocks: int


def empty_row_memory(x, n_blocks):
    """Memory of a direction for `x` of which each block knows a slice of its own."""
    return RowMemory(np.zeros_like(x), n_blocks)


@register_jitable(**PIECE)
def one_slice(start, values):
    """The direction that moves the entries from `start` on by `values`."""
    return Rows(np.array([start]), np.array([values.size]), values)


def slices(d, size):
    """Arrays of the starts and stops of what `d` moves in a variable of `size`."""


KINDS += [Rows, Mean]


@overload(slices)
def _slices(d, size):
    if is_none(d):
        return lambda d, size: (np.empty(0, np.int64), np.empty(0, np.int64))
    if not is_kind(d, Rows):
        return lambda d, size: (np.array([0]), np.array([size]))

    def rows(d, size):
        # Compiling the error of operations on arrays that do not fit takes a second.
        stops, position = np.empty_like(d.ends), 0
        for k in range(d.ends.size):
            stops[k] = d.starts[k] + d.ends[k] - position
            position = d.ends[k]
        return d.starts, stops

    return rows


@overload(descend, jit_options=PIECE)
def _descend(y, a, d, e=None):
    if not (is_kind(d, Rows, Mean) or is_kind(e, Rows, Mean)):
        return None
    if not is_none(e):

        def both(y, a, d, e=None):
            descend(y, a, d)
            descend(y, a, e)

        return both
    if is_kind(d, Mean):

        def mean(y, a, d, e=None):
            descend(y, a, d.average)
            descend(y, a, d.rows)

        return mean

    def rows(y, a, d, e=None):
        position = 0
        # A `Rows` has as many ends as starts.
        for start, end in zip(d.starts, d.ends):  # noqa: B905, numba's has no `strict`
            size = end - position
            descend(y[start : start + size], a, d.values[position:end])
            position = end

    return rows


@overload(assign, jit_options=PIECE)
def _assign(y, d):
    if not is_kind(d, Rows, Mean):
        return None

    def rows(y, d):
        y[:] = 0
        descend(y, -1.0, d)

    return rows


@overload(extent, jit_options=PIECE)
def _extent(d):
    if is_kind(d, Mean):
        return lambda d: d.average.size
    if not is_kind(d, Rows):
        return None

    def rows(d):
        _, stops = slices(d, 0)
        last = 0
        for stop in stops:
            last = max(last, stop)
        return last

    return rows


@overload(filled, jit_options=PIECE)
def _filled(d, size):
    if is_kind(d, Mean):
        # The average is the memory's own.
        return lambda d, size: add(copy(d.average), d.rows)
    if not is_kind(d, Rows):
        return None

    return lambda d, size: as_variable(d, np.empty(size, d.values.dtype))


@overload(scale, jit_options=PIECE)
def _scale(d, a):
    if is_kind(d, Mean):
        # The average is the memory's own.
        return lambda d, a: Mean(scale(d.rows, a), scale(copy(d.average), a))
    if not is_kind(d, Rows):
        return None

    def rows(d, a):
        scale(d.values[: d.ends[-1]], a)
        return d

    return rows


@overload(add, jit_options=PIECE)
def _add(d, e):
    """d + e as the slices of both; room for as much again keeps a long sum linear."""
    if is_kind(d, Mean) and is_kind(e, Mean):

        def means(d, e):
            return Mean(add(d.rows, e.rows), add(copy(d.average), e.average))

        return means
    if is_kind(d, Mean) and is_kind(e, Rows):
        return lambda d, e: Mean(add(d.rows, e), d.average)
    if is_kind(d, Rows) and is_kind(e, Mean):
        return lambda d, e: Mean(add(d, e.rows), e.average)
    if not (is_kind(d, Rows) and is_kind(e, Rows)):
        return None

    def rows(d, e):
        used, size = d.ends[-1], d.ends[-1] + e.ends[-1]
        values = d.values
        if values.size < size:
            values = np.empty(2 * size, d.values.dtype)
            assign(values[:used], d.values[:used])
        assign(values[used:size], e.values[: e.ends[-1]])
        starts = np.concatenate((d.starts, e.starts))
        return Rows(starts, np.concatenate((d.ends, used + e.ends)), values)

    return rows


@overload(saga, jit_options=PIECE)
def _saga(new, memory, i):
    """SAGA where block i alone knows its one slice; all else in the mean is unchanged.

    new − old + old average = (1 − 1 / n_blocks) (new − old) + updated average.
    """
    if not is_kind(new, Rows):
        return None

    def rows(new, memory, i):
        average, values, start = memory.average, new.values, new.starts[0]
        n_blocks = values.dtype.type(memory.n_blocks)
        rest = (n_blocks - values.dtype.type(1)) / n_blocks
        for k in range(new.ends[0]):
            old = n_blocks * average[start + k]
            average[start + k] = values[k] / n_blocks
            values[k] = rest * (values[k] - old)
        return Mean(new, average)

    return rows
