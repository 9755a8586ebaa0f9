from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    draw_hia_hypergradient,
    hia_hypergradient,
    sgd,
)
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """ALSET: SGD on z, warm-started, and one step on x, in turn on one time scale.

    z takes `n_inner` steps of SGD on g; at the new z, v is the randomly truncated
    product −η N Π_{j≤p} (I − η H_j) ∇z f with p uniform in {0, …, N − 1}, and
    x ← P(x − γ (∇x f + J v)), all with fresh samples. One step on z suffices. Both steps
    decrease as (t + 1)^(−1/2).

    Parameters
    ----------
    n_inner : int
        T, number of steps on z.
    n_terms : int
        N, one more than the largest number of factors.
    linear_step : float or None
        η, not above 1 / L; it does not decrease. None means step_size.

    References
    ----------
    T. Chen, Y. Sun, W. Yin, "Closing the gap: Tighter analysis of alternating
    stochastic gradient methods for bilevel problems", NeurIPS 2021. The constants are
    ours, and so is the range of p, that of BSA.
    """

    name = "ALSET"
    parameters = {
        "n_inner": [1],
        "n_terms": [10],
        "linear_step": [0.5],
        "step_exponent": [0.5],
        "outer_exponent": [0.5],
    }
    search_space = ["step_size", "linear_step", "outer_step", "n_inner", "n_terms"]
    test_config = {"n_inner": 2, "n_terms": 4}
    shares_samples = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, n_terms, linear_step):
        z, x = state
        sgd(inner, z, x, steps.inner, n_inner)
        samples = draw_hia_hypergradient(inner, outer, n_terms)
        h = hia_hypergradient(inner, outer, z, x, linear_step, samples)
        outer.descend(x, steps.outer, h)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner, n_terms):
        return Calls(
            outer_gradients=c,
            inner_gradients=n_inner * b,
            hessian_vector_products=(n_terms - 1) / 2 * b,
            jacobian_vector_products=b,
        )

    @staticmethod
    def estimate(t, linear_step, n_inner, n_terms):
        return Implicit(n_inner, n_terms, linear_step, truncations=n_terms)
