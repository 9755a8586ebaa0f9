"""Batches of blocks, and means over them.

A *batch* is an int64 array of block indices; the estimate on it is the mean over its
blocks. An estimate that is needed at two points is given the same batches twice.
"""

import math

import numpy as np
from numba.core.extending import register_jitable

from benchmark_bilevel.fingerprint import PIECE
from benchmark_bilevel.methods.directions import add, scale

piece = register_jitable(**PIECE)


@piece
def draw_batch(oracle, size):
    """A batch of `size` fresh blocks; one where the block is the full loss already."""
    if oracle.n_blocks == 1:
        size = 1
    batch = np.empty(size, np.int64)
    for k in range(size):
        batch[k] = oracle.draw()
    return batch


@piece
def draw_blocks(oracle, n):
    """`n` fresh blocks, one after the other: those of n steps of `sgd_along`."""
    blocks = np.empty(n, np.int64)
    for k in range(n):
        blocks[k] = oracle.draw()
    return blocks


@piece
def flip(oracle, probability):
    """True with a probability, from the oracle's stream of random numbers."""
    return oracle.uniform(2**53) < probability * 2**53


@piece
def draw_subset(oracle, n, size):
    """`size` of the numbers 0, …, n − 1, all different, from the stream of `draw`."""
    numbers = np.arange(n)
    for k in range(size):
        other = k + oracle.uniform(n - k)
        numbers[k], numbers[other] = numbers[other], numbers[k]
    return numbers[:size]


@piece
def draw_large_batch(oracle, size):
    """A batch of `size` fresh blocks, or each block once where there are no more."""
    if size >= oracle.n_blocks:
        return np.arange(oracle.n_blocks)
    return draw_batch(oracle, size)


@piece
def draw_series(inner, n_terms, size=1, rate=0.0):
    """Batches B_1, …, B_Q for the Hessians of a `neumann` series, in the order of use.

    Parameters
    ----------
    inner : oracle
    n_terms : int
        Q.
    size : int
        Blocks of the batch used first.
    rate : float
        ημ: the j-th batch has ⌈size (1 − ημ)^(j−1)⌉ blocks. With size = B Q this is
        the schedule of stocBiO's analysis; 0 makes all equal.

    Returns
    -------
    pair (blocks, ends) of int64 arrays
        B_j is blocks[ends[j − 1] : ends[j]].
    """
    ends = np.zeros(n_terms + 1, np.int64)
    for j in range(n_terms):
        # The tolerance keeps rounding from adding a block to a whole number.
        wanted = math.ceil(size * (1.0 - rate) ** j - 1e-9)
        ends[j + 1] = ends[j] + min(max(wanted, 1), inner.n_blocks)
    blocks = np.empty(ends[-1], np.int64)
    for j in range(n_terms):
        # Not a slice assignment: its error message takes a second to compile.
        for k, i in enumerate(draw_large_batch(inner, ends[j + 1] - ends[j])):
            blocks[ends[j] + k] = i
    return blocks, ends


@piece
def n_blocks_of(oracle, fraction):
    """Blocks in a `fraction` of the data, rounded up, at least one."""
    return max(math.ceil(fraction * oracle.n_blocks - 1e-9), 1)


# --- means over a batch -------------------------------------------------------------


@piece
def mean_grad(inner, z, x, batch):
    """∇z g on a batch."""
    total = inner.grad(z, x, batch[0])
    for k in range(1, batch.size):
        total = add(total, inner.grad(z, x, batch[k]))
    return scale(total, 1.0 / batch.size)


@piece
def mean_value(oracle, z, x, batch):
    """The loss on a batch."""
    total = 0.0
    for k in range(batch.size):
        total += oracle.value(z, x, batch[k])
    return total / batch.size


@piece
def mean_grad_x(inner, z, x, batch):
    """∇x g on a batch."""
    total = inner.grad_x(z, x, batch[0])
    for k in range(1, batch.size):
        total = add(total, inner.grad_x(z, x, batch[k]))
    return scale(total, 1.0 / batch.size)


@piece
def mean_grads(inner, z, x, batch):
    """∇z g and ∇x g on a batch."""
    gz, gx = inner.grads(z, x, batch[0])
    for k in range(1, batch.size):
        ez, ex = inner.grads(z, x, batch[k])
        gz, gx = add(gz, ez), add(gx, ex)
    return scale(gz, 1.0 / batch.size), scale(gx, 1.0 / batch.size)


@piece
def mean_hvp(inner, z, x, v, batch):
    """H v on a batch."""
    total = inner.hvp(z, x, v, batch[0])
    for k in range(1, batch.size):
        total = add(total, inner.hvp(z, x, v, batch[k]))
    return scale(total, 1.0 / batch.size)


@piece
def mean_cross(inner, z, x, v, batch):
    """J v on a batch."""
    total = inner.cross(z, x, v, batch[0])
    for k in range(1, batch.size):
        total = add(total, inner.cross(z, x, v, batch[k]))
    return scale(total, 1.0 / batch.size)


@piece
def mean_grad_hvp_cross(inner, z, x, v, batch):
    """∇z g, H v and J v on a batch."""
    gz, hv, jv = inner.grad_hvp_cross(z, x, v, batch[0])
    for k in range(1, batch.size):
        ez, ev, ex = inner.grad_hvp_cross(z, x, v, batch[k])
        gz, hv, jv = add(gz, ez), add(hv, ev), add(jv, ex)
    share = 1.0 / batch.size
    return scale(gz, share), scale(hv, share), scale(jv, share)


@piece
def mean_outer_grad(outer, z, x, batch):
    """∇z f and ∇x f on a batch."""
    fz, fx = outer.grad(z, x, batch[0])
    for k in range(1, batch.size):
        ez, ex = outer.grad(z, x, batch[k])
        fz, fx = add(fz, ez), add(fx, ex)
    return scale(fz, 1.0 / batch.size), scale(fx, 1.0 / batch.size)


@piece
def mean_hessian(inner, z, x, batch):
    """The matrix H on a batch."""
    total = inner.hessian(z, x, batch[0])
    for k in range(1, batch.size):
        total = add(total, inner.hessian(z, x, batch[k]))
    return scale(total, 1.0 / batch.size)


@piece
def mean_cross_matrix(inner, z, x, batch):
    """The matrix J on a batch."""
    total = inner.cross_matrix(z, x, batch[0])
    for k in range(1, batch.size):
        total = add(total, inner.cross_matrix(z, x, batch[k]))
    return scale(total, 1.0 / batch.size)
