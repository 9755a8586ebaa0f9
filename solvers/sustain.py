from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    assign,
    copy,
    descend,
    draw_hia_hypergradient,
    hia_hypergradient,
    storm,
    storm_momentum,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """SUSTAIN: STORM on ∇z g and on the hypergradient, z and x moving at the same time.

    u ← ∇z g + (1 − α_t) (u − ∇z g_old) and d ← h + (1 − β_t) (d − h_old), old ones being
    from the same samples at the point before; then x ← P(x − γ d) and z ← z − ρ u.
    h = ∇x f + J v with v the randomly truncated product −η N Π_{j≤p} (I − η H_j) ∇z f,
    p uniform in {0, …, N − 1} and the same at both points. Steps decrease as
    (t + 1)^(−1/3), α_t and β_t as the square of z's.

    Parameters
    ----------
    n_terms : int
        N, one more than the largest number of factors.
    linear_step : float or None
        η, not above 1 / L; it does not decrease. None means step_size.
    inner_weight, outer_weight : float
        α_1 and β_1.

    References
    ----------
    P. Khanduri, S. Zeng, M. Hong, H.-T. Wai, Z. Wang, Z. Yang, "A near-optimal
    algorithm for stochastic bilevel optimization via double-momentum", NeurIPS 2021.
    The constants are ours. (In public code the old point starts at 0 and the sample of
    ∇z g serves J, or the old estimate is from two steps back.)
    """

    name = "SUSTAIN"
    parameters = {
        "n_terms": [10],
        "linear_step": [0.5],
        "inner_weight": [0.9],
        "outer_weight": [0.9],
        "step_exponent": [0.3333333333333333],
        "outer_exponent": [0.3333333333333333],
    }
    ranges = {
        "inner_weight": Number(above=0, at_most=1),
        "outer_weight": Number(above=0, at_most=1),
    }
    search_space = ["step_size", "linear_step", "outer_step", "n_terms"]
    test_config = {"n_terms": 4}
    shares_samples = False
    needs_all_of_z = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z), zeros_like(x), copy(z), copy(x)

    @staticmethod
    def step(
        inner,
        outer,
        state,
        steps,
        t,
        n_terms,
        linear_step,
        inner_weight,
        outer_weight,
        step_exponent,
    ):
        z, x, u, d, z_old, x_old = state
        i, samples = inner.draw(), draw_hia_hypergradient(inner, outer, n_terms)
        gz = inner.grad(z, x, i)
        h = hia_hypergradient(inner, outer, z, x, linear_step, samples)
        if t == 0:
            assign(u, gz)
            assign(d, h)
        else:
            gz_old = inner.grad(z_old, x_old, i)
            h_old = hia_hypergradient(inner, outer, z_old, x_old, linear_step, samples)
            storm(u, storm_momentum(t, inner_weight, step_exponent), gz, gz_old)
            storm(d, storm_momentum(t, outer_weight, step_exponent), h, h_old)
        assign(z_old, z)
        assign(x_old, x)
        outer.descend(x, steps.outer, d)
        descend(z, steps.inner, u)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_terms):
        points = 1 if t == 0 else 2
        return Calls(
            outer_gradients=points * c,
            inner_gradients=points * b,
            hessian_vector_products=points * (n_terms - 1) / 2 * b,
            jacobian_vector_products=points * b,
        )

    @staticmethod
    def estimate(t, linear_step, n_terms):
        return Implicit(0, n_terms, linear_step, truncations=n_terms, simultaneous=True)
