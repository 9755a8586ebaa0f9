from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    average,
    descend,
    draw_hia_hypergradient,
    hia_hypergradient,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """SMB: one SGD step on z, and x moves along a moving average of hypergradients.

    z ← z − ρ ∇z g; w ← (1 − β) w + β (∇x f + J v) with v the randomly truncated product
    −η N Π_{j≤p} (I − η H_j) ∇z f at the new z, p uniform in {0, …, N − 1};
    x ← P(x − γ w). w starts as the first estimate. Steps are constant.

    Parameters
    ----------
    n_terms : int
        N, one more than the largest number of factors.
    linear_step : float or None
        η, not above 1 / L. None means step_size.
    weight : float
        β in (0, 1]; with a small one γ has to be small, too.

    References
    ----------
    Z. Guo, Y. Xu, W. Yin, R. Jin, T. Yang, "A novel convergence analysis for algorithms
    of the Adam family and beyond", arXiv:2104.14840, 2021. The constants are ours.
    (Public code by others averages ∇z g as well.)
    """

    name = "SMB"
    parameters = {"n_terms": [10], "linear_step": [0.5], "weight": [0.1]}
    ranges = {"weight": Number(above=0, at_most=1)}
    search_space = ["step_size", "linear_step", "outer_step", "n_terms", "weight"]
    test_config = {"n_terms": 4, "weight": 0.5}
    shares_samples = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(x)

    @staticmethod
    def step(inner, outer, state, steps, t, n_terms, linear_step, weight):
        z, x, w = state
        descend(z, steps.inner, inner.grad(z, x, inner.draw()))
        samples = draw_hia_hypergradient(inner, outer, n_terms)
        h = hia_hypergradient(inner, outer, z, x, linear_step, samples)
        average(w, 1.0 if t == 0 else weight, h)
        outer.descend(x, steps.outer, w)

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
        return Implicit(1, n_terms, linear_step, truncations=n_terms, use="averaged")
