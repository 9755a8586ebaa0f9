"""Variance-reduced estimates of a direction, each written once for all solvers."""

import numpy as np
from numba.core import types
from numba.core.extending import overload

from benchmark_bilevel.fingerprint import FAST


def empty_memory(y, n_blocks):
    """SAGA memory of a direction like `y`: a table of one row a block, and its mean."""
    shape = (n_blocks, *y.shape)
    if hasattr(y, "new_zeros"):
        return y.new_zeros(shape), y.new_zeros(y.shape)
    return np.zeros(shape, y.dtype), np.zeros_like(y)


def saga(new, memory, i):
    """SAGA estimate of a direction, after which the memory holds `new` for block i.

    new − table[i] + average, then table[i] ← new and average ← mean of the table.

    Parameters
    ----------
    new : direction
        Estimate on block `i` at the current point.
    memory : pair (table, average)
        Of shapes (n_blocks, dim) and (dim,), changed in place; see `empty_memory`.
        Ignored where `new` is None.
    i : int

    References
    ----------
    A. Defazio, F. Bach, S. Lacoste-Julien, "SAGA: A fast incremental gradient method
    with support for non-strongly convex composite objectives", NeurIPS 2014, eq. (1).
    """
    if new is None:
        return None
    table, average = memory
    change = new - table[i]
    direction = change + average
    average += change / table.shape[0]
    table[i] = new
    return direction


@overload(saga, jit_options=FAST)
def _saga(new, memory, i):
    if isinstance(new, types.NoneType):
        return lambda new, memory, i: None

    def dense(new, memory, i):
        table, average = memory
        row = table[i]
        share = average.dtype.type(1) / average.dtype.type(table.shape[0])
        for k in range(new.size):
            value = new[k]
            change = value - row[k]
            new[k] = change + average[k]
            average[k] += share * change
            row[k] = value
        return new  # an oracle's directions are fresh arrays: reused for the result

    return dense
