from benchmark_bilevel.methods import Calls, Implicit, average, descend, zeros_like
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """MA-SOBA: SOBA, x moving along a moving average of its directions.

    With one sample of g and one of f: z ← z − ρ ∇z g, v ← v − η (H v + ∇z f),
    x ← P(x − γ h), all at the same time, then h ← (1 − θ) h + θ (∇x f + J v), at the
    point before the steps. Steps are constant.

    Parameters
    ----------
    weight : float
        θ in (0, 1], of the order of γ in the analysis.

    References
    ----------
    X. Chen, T. Xiao, K. Balasubramanian, "Optimal algorithms for stochastic bilevel
    optimization under relaxed smoothness conditions", JMLR 25, 2024. The constants are
    ours; h starts at 0. (In public code by others v starts at random, and f is that of
    the samples of g.)
    """

    name = "MA-SOBA"
    parameters = {"weight": [0.1]}
    ranges = {"weight": Number(above=0, at_most=1)}
    search_space = ["step_size", "linear_step", "outer_step", "weight"]
    shares_samples = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z), zeros_like(x)

    @staticmethod
    def step(inner, outer, state, steps, t, weight):
        z, x, v, h = state
        gz, hv, jv = inner.grad_hvp_cross(z, x, v, inner.draw())
        fz, fx = outer.grad(z, x, outer.draw())
        descend(z, steps.inner, gz)
        descend(v, steps.linear, hv, fz)
        outer.descend(x, steps.outer, h)
        average(h, weight, jv, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m):
        return Calls(
            outer_gradients=c,
            inner_gradients=b,
            hessian_vector_products=b,
            jacobian_vector_products=b,
        )

    @staticmethod
    def estimate(t, linear_step):
        return Implicit(
            step=linear_step, warm_v=True, simultaneous=True, use="averaged"
        )
