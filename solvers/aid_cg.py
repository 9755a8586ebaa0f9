from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    assign,
    conjugate_gradient,
    copy,
    draw_batch,
    scale,
    sgd,
    zeros_like,
)
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """AID-CG (AID-BiO): gradient steps on z, conjugate gradients for the linear system.

    z takes `n_inner` steps on g; v takes `n_linear` steps of conjugate gradients for
    H v = −∇z f; then x ← P(x − γ (∇x f + J v)). Batches are full unless stated: H has to
    be one matrix during a solve, and is that of one batch.

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

    name = "AID-CG"
    parameters = {
        "n_inner": [10],
        "n_linear": [10],
        "warm_start": [True],
        "warm_linear": [True],
        "batch_size": ["full"],
        "outer_batch_size": ["full"],
    }
    search_space = ["step_size", "outer_step", "n_inner", "n_linear"]
    test_config = {"n_inner": 3, "n_linear": 2, "warm_linear": False}
    shares_samples = False
    unbiased = False  # with small batches: the mean of H⁻¹ is not that of the mean
    needs_minimisation = True

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
        conjugate_gradient(inner, z, x, v, fz, n_linear, draw_batch(inner, 1))
        jv = inner.cross(z, x, v, inner.draw())
        outer.descend(x, steps.outer, jv, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner, n_linear):
        return Calls(
            outer_gradients=c,
            inner_gradients=n_inner * b,
            hessian_vector_products=(n_linear + 1) * b,  # one for the first residual
            jacobian_vector_products=b,
        )

    @staticmethod
    def estimate(t, n_inner, n_linear, warm_start, warm_linear):
        return Implicit(
            n_inner, n_linear, warm_z=warm_start, warm_v=warm_linear, conjugate=True
        )
