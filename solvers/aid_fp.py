from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    assign,
    copy,
    linear_sgd,
    scale,
    sgd,
    zeros_like,
)
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """AID-FP (AID-BiO): gradient steps on z, then fixed-point steps on the linear system.

    z takes `n_inner` steps on g; v takes `n_linear` steps
    v ← v − η (H v + ∇z f); then x ← P(x − γ (∇x f + J v)). Batches are full unless
    stated; small ones are drawn afresh for each step.

    Parameters
    ----------
    n_inner, n_linear : int
        Numbers of steps on z and on v.
    warm_start, warm_linear : bool
        Whether z and v go on where they were; else z starts at z0 and v at 0.

    References
    ----------
    R. Grazzi, L. Franceschi, M. Pontil, S. Salzo, "On the iteration complexity of
    hypergradient computation", ICML 2020.
    K. Ji, J. Yang, Y. Liang, "Bilevel optimization: Convergence analysis and enhanced
    design", ICML 2021. The constants are ours.
    """

    name = "AID-FP"
    parameters = {
        "n_inner": [10],
        "n_linear": [10],
        "warm_start": [True],
        "warm_linear": [False],
        "batch_size": ["full"],
        "outer_batch_size": ["full"],
    }
    search_space = ["step_size", "linear_step", "outer_step", "n_inner", "n_linear"]
    test_config = {"n_inner": 3, "n_linear": 2, "warm_linear": False}
    shares_samples = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, copy(z), zeros_like(z)

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, n_linear, warm_start, warm_linear):
        z, x, z0, v = state
        if not warm_start:
            assign(z, z0)
        if not warm_linear:
            scale(v, 0.0)
        sgd(inner, z, x, steps.inner, n_inner)
        fz, fx = outer.grad(z, x, outer.draw())
        linear_sgd(inner, z, x, v, fz, steps.linear, n_linear)
        jv = inner.cross(z, x, v, inner.draw())
        outer.descend(x, steps.outer, jv, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner, n_linear):
        return Calls(
            outer_gradients=c,
            inner_gradients=n_inner * b,
            hessian_vector_products=n_linear * b,
            jacobian_vector_products=b,
        )

    @staticmethod
    def estimate(t, linear_step, n_inner, n_linear, warm_start, warm_linear):
        return Implicit(
            n_inner, n_linear, linear_step, warm_z=warm_start, warm_v=warm_linear
        )
