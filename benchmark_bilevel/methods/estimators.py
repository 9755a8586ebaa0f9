"""Batches and the estimators of z*(x), of v = −H⁻¹∇z f and of the hypergradient.

Each is one text for both runtimes, made of oracle calls and of the verbs of
`benchmark_bilevel.methods.directions`. All solvers of H v = −b share that sign: the
hypergradient is ∇x f + J v with b = ∇z f.

A *batch* is an int64 array of block indices; the estimate on it is the mean over its
blocks. An estimate that is needed at two points is given the same batches twice.
"""

import math

import numpy as np
from numba.core.extending import register_jitable

from benchmark_bilevel.fingerprint import FAST
from benchmark_bilevel.methods.directions import (
    add,
    assign,
    descend,
    dot,
    scale,
    zeros_like,
)

piece = register_jitable(**FAST)


# --- batches ------------------------------------------------------------------------


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
def mean_outer_grad(outer, z, x, batch):
    """∇z f and ∇x f on a batch."""
    fz, fx = outer.grad(z, x, batch[0])
    for k in range(1, batch.size):
        ez, ex = outer.grad(z, x, batch[k])
        fz, fx = add(fz, ez), add(fx, ex)
    return scale(fz, 1.0 / batch.size), scale(fx, 1.0 / batch.size)


# --- the inner problem --------------------------------------------------------------


@piece
def sgd(inner, z, x, step, n_steps, decrease=0.0):
    """`n_steps` of SGD on g(·, x) with fresh blocks, in place.

    Step i = 0, 1, … is step / (1 + decrease · i), which is β / (γ + i) for
    decrease = 1 / γ and step = β / γ.
    """
    for i in range(n_steps):
        descend(z, step / (1.0 + decrease * i), inner.grad(z, x, inner.draw()))


# --- the linear system H v = −b -----------------------------------------------------


@piece
def linear_sgd(inner, z, x, v, b, step, n_steps, decrease=0.0):
    """`n_steps` of SGD on ½ vᵀHv + vᵀb with fresh blocks for H, in place.

    The steps are those of `sgd`.
    """
    for i in range(n_steps):
        descend(v, step / (1.0 + decrease * i), inner.hvp(z, x, v, inner.draw()), b)


@piece
def neumann(inner, z, x, b, step, series):
    """Truncated Neumann series −η Σ_{q=0}^{Q} Π_{j≤q} (I − η H_{B_j}) b.

    All Q + 1 terms, the one without a Hessian included, each times η: the limit for
    Q → ∞ is −H⁻¹b. Its bias is H⁻¹(I − ηH)^(Q+1) b.

    Parameters
    ----------
    step : float
        η.
    series : pair
        The batches B_1, …, B_Q of `draw_series`.

    References
    ----------
    K. Ji, J. Yang, Y. Liang, "Bilevel optimization: Convergence analysis and enhanced
    design", ICML 2021, Algorithm 3.
    """
    blocks, ends = series
    term, total = zeros_like(z), zeros_like(z)
    descend(term, step, b)
    descend(total, -1.0, term)
    for j in range(ends.size - 1):
        batch = blocks[ends[j] : ends[j + 1]]
        descend(term, step, mean_hvp(inner, z, x, term, batch))
        descend(total, -1.0, term)
    return total


@piece
def hia(inner, z, x, b, step, n_terms):
    """Randomly truncated product −η N Π_{j≤p} (I − η H_j) b, p uniform below N.

    Its mean over p and fresh blocks is the Neumann series of N = `n_terms` terms.

    References
    ----------
    S. Ghadimi, M. Wang, "Approximation methods for bilevel programming",
    arXiv:1802.02246, 2018, Algorithm 3 (with η = 1/L).
    """
    v = zeros_like(z)
    descend(v, step * n_terms, b)
    for _ in range(inner.uniform(n_terms)):
        descend(v, step, inner.hvp(z, x, v, inner.draw()))
    return v


@piece
def conjugate_gradient(inner, z, x, v, b, n_steps, batch):
    """`n_steps` of conjugate gradients for H v = −b, H on one batch, in place from `v`.

    References
    ----------
    M. R. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear
    systems", J. Res. Nat. Bur. Standards 49, 1952, section 3.
    """
    r, p = zeros_like(v), zeros_like(v)
    descend(r, 1.0, mean_hvp(inner, z, x, v, batch), b)
    assign(p, r)
    rr = dot(r, r)
    for _ in range(n_steps):
        if rr == 0:
            break
        hp = mean_hvp(inner, z, x, p, batch)
        a = rr / dot(p, hp)
        descend(v, -a, p)
        descend(r, a, hp)
        rr_old, rr = rr, dot(r, r)
        scale(p, rr / rr_old)
        descend(p, -1.0, r)


# --- the hypergradient --------------------------------------------------------------


@piece
def draw_hypergradient(inner, outer, n_terms, fraction=0.0):
    """Mutually independent samples for `neumann_hypergradient`.

    One batch for f, one for each of the `n_terms` Hessians and one for the cross
    derivative, each a `fraction` of the data rounded up to whole blocks, at least one.
    """
    size = n_blocks_of(inner, fraction)
    series = draw_series(inner, n_terms, size)
    f_batch = draw_large_batch(outer, n_blocks_of(outer, fraction))
    return f_batch, series, draw_large_batch(inner, size)


@piece
def neumann_hypergradient(inner, outer, z, x, step, samples):
    """∇x f + J v with v by `neumann` from ∇z f, each on its batch of `samples`."""
    f_batch, series, j_batch = samples
    fz, fx = mean_outer_grad(outer, z, x, f_batch)
    v = neumann(inner, z, x, fz, step, series)
    return add(mean_cross(inner, z, x, v, j_batch), fx)
