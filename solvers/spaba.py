from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    descend,
    flip,
    page_directions,
    project_ball,
    start_differences,
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
    radius : float or None
        Of the ball around 0 that Π projects on, above ‖H⁻¹∇z f‖; None is no ball.

    References
    ----------
    T. Chu, D. Xu, W. Yao, J. Zhang, "SPABA: A single-loop and probabilistic stochastic
    bilevel algorithm achieving optimal sample complexity", ICML 2024. The constants are
    ours. (In the authors' code D starts at 0 and stays there until the first pass, nine
    iterations in the mean, and v is clipped to [−1, 1] in each coordinate.)
    """

    name = "SPABA"
    parameters = {"probability": [0.1], "radius": [None]}
    ranges = {
        "probability": Number(above=0, at_most=1),
        "radius": Number(above=0, also=(None,)),
    }
    search_space = ["step_size", "linear_step", "outer_step", "probability"]
    test_config = {"probability": 0.25}
    shares_samples = True
    variance_reduced = True
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, *start_differences(z, x)

    @staticmethod
    def step(inner, outer, state, steps, t, probability, radius):
        z, x, v, directions, old = state
        afresh = t == 0 or flip(inner, probability)
        page_directions(inner, outer, directions, (z, v, x), old, afresh)
        d_z, d_v, d_x = directions
        descend(z, steps.inner, d_z)
        descend(v, steps.linear, d_v)
        if radius is not None:
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
