from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    descend,
    draw_hia_hypergradient,
    hia_hypergradient,
)
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """TTSA: one SGD step on z, then one on x at the new z, on two time scales.

    z ← z − ρ_t ∇z g, then x ← P(x − γ_t (∇x f + J v)) with v the randomly truncated
    product −η N Π_{j≤p} (I − η H_j) ∇z f at the new z, p uniform in {0, …, N − 1}. z's
    step decreases as (t + 1)^(−2/5), x's as (t + 1)^(−3/5), so that z is the faster.

    Parameters
    ----------
    n_terms : int
        N, one more than the largest number of factors.
    linear_step : float or None
        η, not above 1 / L; it does not decrease. None means step_size.

    References
    ----------
    M. Hong, H.-T. Wai, Z. Wang, Z. Yang, "A two-timescale stochastic algorithm
    framework for bilevel optimization: Complexity analysis and application to
    actor-critic", SIAM J. Optim. 33, 2023. The constants are ours. (Public code takes
    the sample of ∇z g for J, too: here it is a fresh one.)
    """

    name = "TTSA"
    parameters = {
        "n_terms": [10],
        "linear_step": [0.5],
        "step_exponent": [0.4],
        "outer_exponent": [0.6],
    }
    search_space = ["step_size", "linear_step", "outer_step", "n_terms"]
    test_config = {"n_terms": 4}
    shares_samples = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, n_terms, linear_step):
        z, x = state
        descend(z, steps.inner, inner.grad(z, x, inner.draw()))
        samples = draw_hia_hypergradient(inner, outer, n_terms)
        h = hia_hypergradient(inner, outer, z, x, linear_step, samples)
        outer.descend(x, steps.outer, h)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_terms):
        return Calls(
            outer_gradients=c,
            inner_gradients=b,
            hessian_vector_products=(n_terms - 1) / 2 * b,
            jacobian_vector_products=b,
        )

    @staticmethod
    def estimate(t, linear_step, n_terms):
        return Implicit(1, n_terms, linear_step, truncations=n_terms)
