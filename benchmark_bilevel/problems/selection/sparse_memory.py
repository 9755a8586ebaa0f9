"""SAGA for the directions of `sparse_directions`: residuals in place of rows like z.

A row of the usual table is as long as z, 2.6 million numbers on 20 Newsgroups.
"""

from typing import NamedTuple

import numpy as np
from numba.core.extending import overload, register_jitable

from benchmark_bilevel.fingerprint import PIECE
from benchmark_bilevel.methods.directions import is_kind, scale
from benchmark_bilevel.methods.variance_reduction import saga
from benchmark_bilevel.problems.selection.sparse_directions import (
    Factored,
    Sum,
    scatter,
)


class FactoredMemory(NamedTuple):
    """SAGA memory of `Factored` directions: all residuals, and the dense mean."""

    residuals: np.ndarray  # (n_blocks, batch, classes)
    average: np.ndarray


def empty_factored_memory(y, shape):
    """Memory of a direction for `y`; `shape` is (n_blocks, batch, classes)."""
    return FactoredMemory(np.zeros(shape, y.dtype), np.zeros_like(y))


@overload(saga, jit_options=PIECE)
def _saga(new, memory, i):
    """SAGA on the data part; the ridge is not sampled and stays as it is.

    new − old + old average = (1 − 1 / n_blocks) (new − old) + updated average.
    """
    if is_kind(new, Factored):

        def factored(new, memory, i):
            _replace(new, memory, i)
            return Sum(new, memory.average, None)

        return factored
    if is_kind(new, Sum):

        def data_part(new, memory, i):
            _replace(new.data, memory, i)
            return Sum(new.data, memory.average, new.ridge)

        return data_part
    return None


@register_jitable(**PIECE)
def _replace(new, memory, i):
    """Put `new` into the memory, and its scaled change into its own residuals."""
    residuals, table, average = new.residuals, memory.residuals[i], memory.average
    one, n_blocks = average.dtype.type(1), average.dtype.type(memory.residuals.shape[0])
    for k in range(residuals.shape[0]):
        for c in range(residuals.shape[1]):
            value = residuals[k, c]
            residuals[k, c] -= table[k, c]
            table[k, c] = value
    scatter(average, one / n_blocks, new)
    scale(new, one - one / n_blocks)
