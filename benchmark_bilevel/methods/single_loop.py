"""The directions in which the single-loop methods move z, v and x at the same time.

Those of SOBA, and the running estimates of them by PAGE with what these start from.
"""

from numba.core.extending import register_jitable

from benchmark_bilevel.fingerprint import PIECE
from benchmark_bilevel.methods.batches import (
    draw_large_batch,
    mean_cross,
    mean_grad_hvp_cross,
    mean_hvp,
    mean_outer_grad,
)
from benchmark_bilevel.methods.directions import (
    add,
    assign,
    copy,
    descend,
    zeros_like,
)
from benchmark_bilevel.methods.variance_reduction import page

piece = register_jitable(**PIECE)


@piece
def _sum_in_z(z, of_g, of_f):
    """The sum as a variable: `add` is for what comes from one data set."""
    total = zeros_like(z)
    descend(total, -1.0, of_g, of_f)
    return total


@piece
def soba_directions(inner, outer, z, x, v, batch, outer_batch):
    """D_z = ∇z g, D_v = H v + ∇z f and D_x = J v + ∇x f, on batches of g and of f."""
    gz, hv, jv = mean_grad_hvp_cross(inner, z, x, v, batch)
    fz, fx = mean_outer_grad(outer, z, x, outer_batch)
    return gz, _sum_in_z(z, hv, fz), add(jv, fx)


@piece
def system_directions(inner, outer, z, x, v, batch, outer_batch):
    """D_v = H v + ∇z f and D_x = J v + ∇x f, on batches of g and of f."""
    hv, jv = mean_hvp(inner, z, x, v, batch), mean_cross(inner, z, x, v, batch)
    fz, fx = mean_outer_grad(outer, z, x, outer_batch)
    return _sum_in_z(z, hv, fz), add(jv, fx)


@piece
def draw_page(inner, outer, afresh):
    """A batch of g and one of f for `page`: all blocks where `afresh`, else one."""
    i = draw_large_batch(inner, inner.n_blocks if afresh else 1)
    return i, draw_large_batch(outer, outer.n_blocks if afresh else 1)


def start_differences(z, x):
    """What a method that compares two points starts from.

    Returns
    -------
    v, (D_z, D_v, D_x), (z_old, v_old, x_old)
        v and the running estimates are 0, and the old point is the first one.
    """
    v = zeros_like(z)
    estimates = zeros_like(z), zeros_like(v), zeros_like(x)
    return v, estimates, (copy(z), copy(v), copy(x))


@piece
def remember(old_point, point):
    """The old (z, v, x) ← the point."""
    z_old, v_old, x_old = old_point
    z, v, x = point
    assign(z_old, z)
    assign(v_old, v)
    assign(x_old, x)


@piece
def page_directions(inner, outer, directions, point, old_point, afresh):
    """The three `soba_directions` by PAGE, in place; then the old point ← the point.

    Those of all samples where `afresh`; else D ← D + D_ij − D_ij at the old point, one
    block i of g and one block j of f at both.

    Parameters
    ----------
    directions : (D_z, D_v, D_x)
        The running estimates.
    point, old_point : (z, v, x)
    afresh : bool
        True at the first iteration.
    """
    d_z, d_v, d_x = directions
    z, v, x = point
    z_old, v_old, x_old = old_point
    i, j = draw_page(inner, outer, afresh)
    new = soba_directions(inner, outer, z, x, v, i, j)
    old = new
    if not afresh:
        old = soba_directions(inner, outer, z_old, x_old, v_old, i, j)
    page(d_z, afresh, new[0], old[0])
    page(d_v, afresh, new[1], old[1])
    page(d_x, afresh, new[2], old[2])
    remember(old_point, point)
