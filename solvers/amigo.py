from benchmark_bilevel.methods import Calls, Implicit, linear_sgd, sgd, zeros_like
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """AmIGO: SGD on z and on the linear system, both warm-started, then one step on x.

    z takes `n_inner` steps of SGD on g; v takes `n_linear` steps of SGD on
    ½ vᵀHv + vᵀ∇z f, each with a fresh sample of H and all with one sample of ∇z f; then
    x ← P(x − γ (∇x f + J v)) with a fresh sample of J.

    Parameters
    ----------
    n_inner, n_linear : int
        Numbers of steps on z and on v.

    References
    ----------
    M. Arbel, J. Mairal, "Amortized implicit differentiation for stochastic bilevel
    optimization", ICLR 2022. The constants are ours.
    """

    name = "AmIGO"
    parameters = {"n_inner": [10], "n_linear": [10]}
    search_space = ["step_size", "linear_step", "outer_step", "n_inner", "n_linear"]
    test_config = {"n_inner": 4, "n_linear": 3}
    shares_samples = False

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z)

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, n_linear):
        z, x, v = state
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
    def estimate(t, linear_step, n_inner, n_linear):
        return Implicit(n_inner, n_linear, linear_step, warm_v=True)
