"""The estimators of z*(x), of v = −H⁻¹∇z f and of the hypergradient.

Each is one text for both runtimes, made of oracle calls and of the verbs of
`benchmark_bilevel.methods.directions`. All solvers of H v = −b share that sign: the
hypergradient is ∇x f + J v with b = ∇z f.
"""

import numpy as np
from numba.core.extending import register_jitable

from benchmark_bilevel.fingerprint import PIECE
from benchmark_bilevel.methods.batches import (
    draw_blocks,
    draw_large_batch,
    draw_series,
    mean_cross,
    mean_hvp,
    mean_outer_grad,
    n_blocks_of,
)
from benchmark_bilevel.methods.directions import (
    add,
    assign,
    descend,
    scale,
    zeros_like,
)
from benchmark_bilevel.methods.norms import dot, rounding_unit

piece = register_jitable(**PIECE)


# --- the inner problem --------------------------------------------------------------


@piece
def sgd(inner, z, x, step, n_steps, decrease=0.0):
    """`n_steps` of SGD on g(·, x) with fresh blocks, in place.

    Step i = 0, 1, … is step / (1 + decrease · i), which is β / (γ + i) for
    decrease = 1 / γ and step = β / γ.
    """
    for i in range(n_steps):
        descend(z, step / (1.0 + decrease * i), inner.grad(z, x, inner.draw()))


# --- its trajectory, to be differentiated -------------------------------------------


def trajectory(z, n_steps):
    """Room for z_0, …, z_T of T = `n_steps` steps: (T + 1, dim), zeros."""
    shape = (n_steps + 1, *z.shape)
    return z.new_zeros(shape) if hasattr(z, "new_zeros") else np.zeros(shape, z.dtype)


@piece
def sgd_along(inner, z, x, step, blocks, decrease=0.0):
    """SGD on g(·, x) with the given `blocks`, in place; the steps are those of `sgd`."""
    for i in range(blocks.size):
        descend(z, step / (1.0 + decrease * i), inner.grad(z, x, blocks[i]))


@piece
def stored_sgd(inner, z, x, step, blocks, path, decrease=0.0):
    """`sgd_along`, after which path[t] is z before step t and path[T] the last z.

    Parameters
    ----------
    blocks : int64 array
        Of the T steps; see `draw_blocks`.
    path : array of shape (T + 1, dim)
        See `trajectory`.
    """
    assign(path[0], z)
    for i in range(blocks.size):
        descend(z, step / (1.0 + decrease * i), inner.grad(z, x, blocks[i]))
        assign(path[i + 1], z)


@piece
def reverse_sweep(inner, x, p, h, step, blocks, path, decrease=0.0):
    """Differentiate f(z_T, x) through the steps of `stored_sgd`, in place.

    For t = T − 1, …, 0: h ← h − ρ_t J(z_t; i_t) p, then p ← p − ρ_t H(z_t; i_t) p, with
    the blocks i_t of the forward steps.

    Parameters
    ----------
    p : variable
        ∇z f(z_T, x); in the end the derivative of f(z_T, x) with respect to z_0.
    h : variable
        ∇x f(z_T, x); in the end the derivative with respect to x, all steps included.
    step, blocks, path, decrease
        As for `stored_sgd`.
    """
    for t in range(blocks.size - 1, -1, -1):
        size, z = step / (1.0 + decrease * t), path[t]
        descend(h, size, inner.cross(z, x, p, blocks[t]))
        descend(p, size, inner.hvp(z, x, p, blocks[t]))


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
    design", ICML 2021.
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
def draw_hia(inner, n_terms):
    """p uniform in {0, …, N − 1} and p fresh blocks for `hia`, N = `n_terms`.

    Returns
    -------
    pair (N, blocks)
        `blocks` is an int64 array of p blocks.
    """
    return n_terms, draw_blocks(inner, inner.uniform(n_terms))


@piece
def hia(inner, z, x, b, step, samples):
    """Randomly truncated product −η N Π_{j≤p} (I − η H_j) b, p uniform below N.

    Its mean over p and fresh blocks is the Neumann series of N terms.

    Parameters
    ----------
    step : float
        η.
    samples : pair
        N and the blocks of H_1, …, H_p, of `draw_hia`; they may serve at two points.

    References
    ----------
    S. Ghadimi, M. Wang, "Approximation methods for bilevel programming",
    arXiv:1802.02246, 2018 (with η = 1/L).
    """
    n_terms, blocks = samples
    v = zeros_like(z)
    descend(v, step * n_terms, b)
    for j in range(blocks.size):
        descend(v, step, inner.hvp(z, x, v, blocks[j]))
    return v


@piece
def conjugate_gradient(inner, z, x, v, b, n_steps, batch, tolerance=0.0):
    """`n_steps` of conjugate gradients for H v = −b, H on one batch, in place from `v`.

    Fewer where ‖H v + b‖ is within the `tolerance` before, or is rounding, or H is
    singular as far as rounding lets it be seen.

    References
    ----------
    M. R. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear
    systems", J. Res. Nat. Bur. Standards 49, 1952.
    """
    r, p = zeros_like(v), zeros_like(v)
    descend(r, 1.0, mean_hvp(inner, z, x, v, batch), b)
    assign(p, r)
    rr, eps, largest = dot(r, r), rounding_unit(v), 0.0
    # Below, the recurrence of r goes on to numbers that have no digits, and up again.
    goal = max(tolerance * tolerance, 0.01 * eps * eps * dot(b, b))
    for _ in range(n_steps):
        if not rr > goal:
            break
        hp = mean_hvp(inner, z, x, p, batch)
        curvature, pp = dot(p, hp), dot(p, p)
        largest = max(largest, curvature / pp)
        if not curvature > eps * largest * pp:
            break
        a = rr / curvature
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


@piece
def draw_hia_hypergradient(inner, outer, n_terms):
    """Mutually independent samples for `hia_hypergradient`: of f, of H, and of J."""
    return outer.draw(), draw_hia(inner, n_terms), inner.draw()


@piece
def hia_hypergradient(inner, outer, z, x, step, samples):
    """∇x f + J v with v by `hia` from ∇z f, each on its blocks of `samples`."""
    j, hia_samples, i = samples
    fz, fx = outer.grad(z, x, j)
    v = hia(inner, z, x, fz, step, hia_samples)
    return add(inner.cross(z, x, v, i), fx)


# --- differences of first-order oracles -----------------------------------------------


@piece
def difference_weights(order):
    """Weights c_j with Σ_j c_j φ(j) = φ'(0) for polynomials φ of degree `order`.

    Returns
    -------
    array
        Of the nodes j = −⌊order / 2⌋, …, ⌈order / 2⌉; c_0 is 0 where `order` is even.
    """
    first, weights = -(order // 2), np.zeros(order + 1)
    for k in range(order + 1):
        j = first + k
        if j != 0:
            weights[k] = 1.0 / j
            for node in range(first, first + order + 1):
                if node not in (0, j):
                    weights[k] *= node / (node - j)
            weights[-first] -= weights[k]
    if order % 2 == 0:
        weights[-first] = 0.0  # not its rounding
    return weights
