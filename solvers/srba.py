from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    assign,
    copy,
    descend,
    draw_large_batch,
    project_ball,
    soba_directions,
    spider,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """SRBA: the three directions of SOBA, each by SARAH.

    Every `period` iterations D_z = ∇z g, D_v = H v + ∇z f and D_x = J v + ∇x f are those
    of all samples; else D ← D + D_ij(z, v, x) − D_ij(z_old, v_old, x_old), one sample i
    of g and one sample j of f at this and at the previous point. Then z ← z − ρ D_z,
    v ← Π(v − η D_v), x ← P(x − γ D_x), at the same time. Steps are constant.

    Parameters
    ----------
    period : int
        q, iterations from one pass over all samples to the next; the analysis has the
        number of mini-batches.
    radius : float
        Of the ball around 0 that Π projects on, above that of H⁻¹∇z f; infinity is none.

    References
    ----------
    M. Dagréou, T. Moreau, S. Vaiter, P. Ablin, "A lower bound and a near-optimal
    algorithm for bilevel empirical risk minimization", AISTATS 2024. (Public code has
    no projection of v.)
    """

    name = "SRBA"
    parameters = {"period": [128], "radius": [1e999]}
    ranges = {"radius": Number(above=0, also=(1e999,))}
    test_config = {"period": 4}
    shares_samples = True
    variance_reduced = True
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        v = zeros_like(z)
        directions = zeros_like(z), zeros_like(v), zeros_like(x)
        return z, x, v, directions, (copy(z), copy(v), copy(x))

    @staticmethod
    def step(inner, outer, state, steps, t, period, radius):
        z, x, v, (d_z, d_v, d_x), (z_old, v_old, x_old) = state
        afresh = t % period == 0
        i = draw_large_batch(inner, inner.n_blocks if afresh else 1)
        j = draw_large_batch(outer, outer.n_blocks if afresh else 1)
        new_z, new_v, new_x = soba_directions(inner, outer, z, x, v, i, j)
        if afresh:
            assign(d_z, new_z)
            assign(d_v, new_v)
            assign(d_x, new_x)
        else:
            old = soba_directions(inner, outer, z_old, x_old, v_old, i, j)
            spider(d_z, new_z, old[0])
            spider(d_v, new_v, old[1])
            spider(d_x, new_x, old[2])
        assign(z_old, z)
        assign(v_old, v)
        assign(x_old, x)
        descend(z, steps.inner, d_z)
        descend(v, steps.linear, d_v)
        project_ball(v, radius)
        outer.descend(x, steps.outer, d_x)

    @staticmethod
    def oracle_calls(t, b, c, n, m, period):
        from_f, from_g = (m, n) if t % period == 0 else (2 * c, 2 * b)
        return Calls(
            outer_gradients=from_f,
            inner_gradients=from_g,
            hessian_vector_products=from_g,
            jacobian_vector_products=from_g,
        )

    @staticmethod
    def estimate(t, linear_step):
        return Implicit(step=linear_step, warm_v=True, simultaneous=True)
