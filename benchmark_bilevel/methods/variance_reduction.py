"""Variance-reduced estimates of a direction, each written once for all solvers."""

import numpy as np
from numba.core import types
from numba.core.extending import overload, register_jitable

from benchmark_bilevel.fingerprint import PIECE
from benchmark_bilevel.methods.directions import assign, descend, scale
from benchmark_bilevel.methods.schedules import decay


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
        Ignored where `new` is None; None where `new` does not depend on the block.
    i : int

    References
    ----------
    A. Defazio, F. Bach, S. Lacoste-Julien, "SAGA: A fast incremental gradient method
    with support for non-strongly convex composite objectives", NeurIPS 2014.
    """
    if new is None or memory is None:
        return new
    table, average = memory
    not_sampled = getattr(new, "not_sampled", None)
    if not_sampled is not None:
        return not_sampled + saga(new - not_sampled, memory, i)
    change = new - table[i]
    direction = change + average
    average += change / table.shape[0]
    table[i] = new
    return direction


@register_jitable(**PIECE)
def storm(d, momentum, new, old):
    """STORM: d ← new + (1 − momentum) (d − old), in place.

    Parameters
    ----------
    d : variable
        The running estimate.
    momentum : float
        In [0, 1]; 1 forgets the past, 0 is `spider`.
    new, old : direction
        Estimates at the current and at the previous point *from the same samples*.

    References
    ----------
    A. Cutkosky, F. Orabona, "Momentum-based variance reduction in non-convex SGD",
    NeurIPS 2019.
    """
    scale(d, 1.0 - momentum)
    descend(d, -1.0, new)
    descend(d, 1.0 - momentum, old)


@register_jitable(**PIECE)
def storm_momentum(t, constant, exponent):
    """Weight of iteration t = 1, 2, … in `storm`: min(1, constant · η_{t−1}²).

    η_t = (t + 1)^−exponent is the schedule of the steps, so that the weight falls with
    the square of the step before.
    """
    return min(1.0, constant * decay(t - 1, 2.0 * exponent))


@register_jitable(**PIECE)
def spider(d, new, old):
    """SARAH/SPIDER: d ← d + new − old, in place.

    Parameters
    ----------
    d : variable
        The running estimate, started from a large batch every period.
    new, old : direction
        Estimates at the current and at the previous point *from the same samples*.

    References
    ----------
    C. Fang, C. J. Li, Z. Lin, T. Zhang, "SPIDER: Near-optimal non-convex optimization
    via stochastic path-integrated differential estimator", NeurIPS 2018.
    L. M. Nguyen, J. Liu, K. Scheinberg, M. Takáč, "SARAH: A novel method for machine
    learning problems using stochastic recursive gradient", ICML 2017.
    """
    descend(d, -1.0, new)
    descend(d, 1.0, old)


@register_jitable(**PIECE)
def page(d, afresh, new, old):
    """PAGE: d ← new where the estimate starts `afresh`, else d + new − old, in place.

    Parameters
    ----------
    d : variable
        The running estimate.
    afresh : bool
        A coin with some probability p (`flip`); true at the first iteration.
    new, old : direction
        Estimates at the current and at the previous point *from the same samples*:
        from all or many of them, and at the current point only, where `afresh`. (`old`
        is not looked at then, so that `new` may stand in for it.)

    References
    ----------
    Z. Li, H. Bao, X. Zhang, P. Richtárik, "PAGE: A simple and optimal probabilistic
    gradient estimator for nonconvex optimization", ICML 2021.
    """
    if afresh:
        assign(d, new)
    else:
        spider(d, new, old)


@register_jitable(**PIECE)
def zero_sarah(d, weight, new, old, memory, i):
    """ZeroSARAH: d ← new − old + (1 − s) d + s (old − table[i] + average), in place.

    Then table[i] ← new. No pass over the data is ever needed: the term in s pulls d to
    the SAGA estimate at the previous point.

    Parameters
    ----------
    d : variable
        The running estimate.
    weight : float
        s in [0, 1].
    new, old : direction
        Estimates on block `i` at the current and at the previous point; both are
        overwritten.
    memory : as for `saga`
    i : int

    References
    ----------
    Z. Li, S. Hanzely, P. Richtárik, "ZeroSARAH: Efficient nonconvex finite-sum
    optimization with zero full gradient computation", arXiv:2103.01447.
    """
    scale(d, 1.0 - weight)
    descend(d, -1.0, new)
    descend(d, 1.0, old)
    descend(d, -weight, saga(old, memory, i))
    saga(new, memory, i)


@overload(saga, jit_options=PIECE)
def _saga(new, memory, i):
    if isinstance(new, types.NoneType) or isinstance(memory, types.NoneType):
        return lambda new, memory, i: new

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
