import math

from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    assign,
    copy,
    draw_hia_hypergradient,
    hia_hypergradient,
    sgd,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """BSA: a growing number of SGD steps on z from z0, then one step on x.

    At iteration t, z takes T_t = ⌈n_inner (t + 1)^growth_exponent⌉ steps of SGD on g
    from z0; v is the randomly truncated product −η N_t Π_{j≤p} (I − η H_j) ∇z f, p
    uniform in {0, …, N_t − 1}; then x ← P(x − γ (∇x f + J v)), all with fresh samples.
    γ decreases as (t + 1)^(−1/2).

    Parameters
    ----------
    n_inner : int
        T_0, number of steps on z in the first iteration.
    growth_exponent : float
        Of T_t: 1/2 for stochastic, 1/4 for full batches.
    n_terms : int
        N_0, one more than the largest number of factors in the first iteration.
    terms_growth : float
        N_t = N_0 + ⌊terms_growth · log(t + 1)⌋.
    warm_start : bool
        Whether z goes on where it was; the paper starts at z0 each time.
    linear_step : float or None
        η, not above 1 / L; it does not decrease. None means step_size.

    References
    ----------
    S. Ghadimi, M. Wang, "Approximation methods for bilevel programming",
    arXiv:1802.02246, 2018, the stochastic method. The constants are ours, and so is the
    constant step of z, which falls along the T_t steps there. (Public code starts z where
    it was, and its T is constant.)
    """

    name = "BSA"
    parameters = {
        "n_inner": [1],
        "growth_exponent": [0.5],
        "n_terms": [10],
        "terms_growth": [1.0],
        "warm_start": [False],
        "linear_step": [0.5],
        "outer_exponent": [0.5],
    }
    ranges = {"growth_exponent": Number(at_least=0), "terms_growth": Number(at_least=0)}
    search_space = ["step_size", "linear_step", "outer_step", "n_inner", "n_terms"]
    # Constant T and N rest somewhere.
    test_config = {
        "n_inner": 3,
        "growth_exponent": 0.0,
        "n_terms": 4,
        "terms_growth": 0.0,
    }
    shares_samples = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, copy(z)

    @staticmethod
    def step(
        inner,
        outer,
        state,
        steps,
        t,
        n_inner,
        growth_exponent,
        n_terms,
        terms_growth,
        warm_start,
        linear_step,
    ):
        z, x, z0 = state
        if not warm_start:
            assign(z, z0)
        n_steps = math.ceil(n_inner * (t + 1.0) ** growth_exponent - 1e-9)
        n_terms += math.floor(terms_growth * math.log(t + 1.0))
        sgd(inner, z, x, steps.inner, n_steps)
        samples = draw_hia_hypergradient(inner, outer, n_terms)
        h = hia_hypergradient(inner, outer, z, x, linear_step, samples)
        outer.descend(x, steps.outer, h)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner, growth_exponent, n_terms, terms_growth):
        n_steps = math.ceil(n_inner * (t + 1.0) ** growth_exponent - 1e-9)
        n_terms += math.floor(terms_growth * math.log(t + 1.0))
        return Calls(c, n_steps * b, 0, (n_terms - 1) / 2 * b, b)

    @staticmethod
    def estimate(
        t,
        linear_step,
        n_inner,
        growth_exponent,
        n_terms,
        terms_growth,
        warm_start,
    ):
        n_steps = math.ceil(n_inner * (t + 1.0) ** growth_exponent - 1e-9)
        n_terms += math.floor(terms_growth * math.log(t + 1.0))
        return Implicit(
            n_steps,
            n_terms,
            linear_step,
            warm_z=warm_start,
            truncations=n_terms,
        )
