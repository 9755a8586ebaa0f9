from benchmark_bilevel.methods import (
    Calls,
    Implicit,
    descend,
    linear_sgd,
    sgd,
    zeros_like,
)
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """ALSET as in BSGM's experiments: SGD on the linear system instead of a product.

    z takes `n_inner` steps of SGD on g, warm-started; v takes `n_linear` steps of SGD
    on ½ vᵀHv + vᵀ∇z f from v = −start ∇z f, each with a fresh sample of H; then
    x ← P(x − γ (∇x f + J v)) with a fresh sample of J.

    Parameters
    ----------
    n_inner, n_linear : int
        Numbers of steps on z and on v.
    start : float
        Of v: 0 is the paper's, 1 that of its code, which rests elsewhere.

    References
    ----------
    R. Grazzi, M. Pontil, S. Salzo, "Bilevel optimization with a lower-level
    contraction: Optimal sample complexity without warm-start", JMLR 24, 2023, section
    7.3. (Its code draws all samples from one shuffled epoch; here they are fresh.)
    """

    name = "ALSET-LS"
    parameters = {"n_inner": [1], "n_linear": [10], "start": [0.0]}
    ranges = {"start": Number(at_least=0)}
    search_space = ["step_size", "linear_step", "outer_step", "n_inner", "n_linear"]
    test_config = {"n_linear": 3, "start": 0.5}
    shares_samples = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, n_linear, start):
        z, x = state
        sgd(inner, z, x, steps.inner, n_inner)
        fz, fx = outer.grad(z, x, outer.draw())
        v = zeros_like(z)
        descend(v, start, fz)
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
    def estimate(t, linear_step, n_inner, n_linear, start):
        return Implicit(n_inner, n_linear, linear_step, start=start)
