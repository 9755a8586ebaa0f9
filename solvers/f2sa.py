from benchmark_bilevel.methods import (
    Calls,
    Penalised,
    copy,
    decay,
    descend,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """F2SA: a penalty method of gradients alone, whose multiplier grows.

    T times: y ← y − α_t (∇z f(y) + λ_t ∇z g(y)) and z ← z − ρ_t ∇z g(z), then
    x ← P(x − γ_t (∇x f(y) + λ_t (∇x g(y) − ∇x g(z)))), with fresh samples everywhere and
    λ_t = ρ_t / (2 α_t). Steps ρ_t ∝ (t + 1)^(−4/7) and γ_t ∝ α_t ∝ (t + 1)^(−5/7) make
    λ_t ∝ (t + 1)^(1/7). x rests where the error is O(1 / λ) for a constant λ.

    Parameters
    ----------
    n_inner : int
        T.
    penalty : float
        λ_0; the analysis asks for twice the smoothness of f over the convexity of g, and
        noise grows with it. λ_t = λ_0 (t + 1)^(outer_exponent − step_exponent).
    outer_ratio : float
        ρ_0 / γ_0, which is 2 λ_0 / ξ for the paper's γ_t = ξ α_t.
    common_sample : bool
        One sample of g for ∇x g at y and at z, which lowers the variance.

    References
    ----------
    J. Kwon, D. Kwon, S. Wright, R. Nowak, "A fully first-order method for stochastic
    bilevel optimization", ICML 2023. The constants are ours. (In public code by others λ
    grows as t^(6/7) and the run diverges.)
    """

    name = "F2SA"
    parameters = {
        "n_inner": [10],
        "penalty": [1.5],
        "common_sample": [False],
        "step_exponent": [0.5714285714285714],
        "outer_ratio": [3.0],
        "outer_exponent": [0.7142857142857143],
    }
    ranges = {"penalty": Number(above=0)}
    search_space = ["step_size", "outer_step", "n_inner", "penalty"]
    test_config = {"n_inner": 3, "penalty": 5.0}
    shares_samples = False
    needs_minimisation = True

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
        penalty,
        common_sample,
        step_exponent,
        outer_exponent,
    ):
        z, x, y = state
        multiplier = penalty * decay(t, step_exponent - outer_exponent)
        for _ in range(n_inner):
            fz, _ = outer.grad(y, x, outer.draw())
            gz = inner.grad(y, x, inner.draw())
            descend(y, steps.inner / 2.0, gz)
            descend(y, steps.inner / (2.0 * multiplier), fz)
            descend(z, steps.inner, inner.grad(z, x, inner.draw()))
        _, fx = outer.grad(y, x, outer.draw())
        i = inner.draw()
        k = i if common_sample else inner.draw()
        d = zeros_like(x)
        descend(d, -multiplier, inner.grad_x(y, x, i))
        descend(d, multiplier, inner.grad_x(z, x, k))
        outer.descend(x, steps.outer, d, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner):
        return Calls(
            outer_gradients=(n_inner + 1) * c,
            inner_gradients=2 * n_inner * b,
            inner_gradients_x=2 * b,
        )

    @staticmethod
    def estimate(t, penalty):
        return Penalised(penalty)
