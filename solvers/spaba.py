from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    assign,
    copy,
    descend,
    draw_large_batch,
    flip,
    page,
    project_ball,
    soba_directions,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """SPABA: the three directions of SOBA, each by PAGE.

    With some probability, and at the start, D_z = ∇z g, D_v = H v + ∇z f and
    D_x = J v + ∇x f are those of all samples; else D ← D + D_ij(z, v, x)
    − D_ij(z_old, v_old, x_old), one sample i of g and one sample j of f at this and at
    the previous point. Then z ← z − ρ D_z, v ← Π(v − η D_v), x ← P(x − γ D_x), at the
    same time. Steps are constant.

    Parameters
    ----------
    probability : float
        p in (0, 1].
    radius : float
        Of the ball around 0 that Π projects on, above that of H⁻¹∇z f; infinity is none.

    References
    ----------
    T. Chu, D. Xu, W. Yao, J. Zhang, "SPABA: A single-loop and probabilistic stochastic
    bilevel algorithm achieving optimal sample complexity", ICML 2024. The constants are
    ours. (In the authors' code D starts at 0 and mostly stays there for ten iterations,
    and v is clipped to [−1, 1] in each coordinate.)
    """

    name = "SPABA"
    parameters = {"probability": [0.1], "radius": [1e999]}
    ranges = {
        "probability": Number(above=0, at_most=1),
        "radius": Number(above=0, also=(1e999,)),
    }
    test_config = {"probability": 0.25}
    shares_samples = True
    variance_reduced = True
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        v = zeros_like(z)
        directions = zeros_like(z), zeros_like(v), zeros_like(x)
        return z, x, v, directions, (copy(z), copy(v), copy(x))

    @staticmethod
    def step(inner, outer, state, steps, t, probability, radius):
        z, x, v, (d_z, d_v, d_x), (z_old, v_old, x_old) = state
        afresh = t == 0 or flip(inner, probability)
        i = draw_large_batch(inner, inner.n_blocks if afresh else 1)
        j = draw_large_batch(outer, outer.n_blocks if afresh else 1)
        new_z, new_v, new_x = soba_directions(inner, outer, z, x, v, i, j)
        if afresh:
            page(d_z, True, new_z, new_z)
            page(d_v, True, new_v, new_v)
            page(d_x, True, new_x, new_x)
        else:
            old = soba_directions(inner, outer, z_old, x_old, v_old, i, j)
            page(d_z, False, new_z, old[0])
            page(d_v, False, new_v, old[1])
            page(d_x, False, new_x, old[2])
        assign(z_old, z)
        assign(v_old, v)
        assign(x_old, x)
        descend(z, steps.inner, d_z)
        descend(v, steps.linear, d_v)
        project_ball(v, radius)
        outer.descend(x, steps.outer, d_x)

    @staticmethod
    def oracle_calls(t, b, c, n, m, probability):
        p = 1.0 if t == 0 else probability
        from_f, from_g = p * m + (1 - p) * 2 * c, p * n + (1 - p) * 2 * b
        return Calls(
            outer_gradients=from_f,
            inner_gradients=from_g,
            hessian_vector_products=from_g,
            jacobian_vector_products=from_g,
        )

    @staticmethod
    def estimate(t, linear_step):
        return Implicit(step=linear_step, warm_v=True, simultaneous=True)
