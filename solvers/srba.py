from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    descend,
    page_directions,
    project_ball,
    start_differences,
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
    radius : float or None
        Of the ball around 0 that Π projects on, above ‖H⁻¹∇z f‖; None is no ball.

    References
    ----------
    M. Dagréou, T. Moreau, S. Vaiter, P. Ablin, "A lower bound and a near-optimal
    algorithm for bilevel empirical risk minimization", AISTATS 2024. The constants are
    ours. (Public code has no projection of v.)
    """

    name = "SRBA"
    parameters = {"period": [128], "radius": [None]}
    ranges = {"radius": Number(above=0, also=(None,))}
    search_space = ["step_size", "linear_step", "outer_step", "period"]
    test_config = {"period": 4}
    shares_samples = True
    variance_reduced = True
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, *start_differences(z, x)

    @staticmethod
    def step(inner, outer, state, steps, t, period, radius):
        z, x, v, directions, old = state
        afresh = t % period == 0
        page_directions(inner, outer, directions, (z, v, x), old, afresh)
        d_z, d_v, d_x = directions
        descend(z, steps.inner, d_z)
        descend(v, steps.linear, d_v)
        if radius is not None:
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
