from benchmark_bilevel.directions import descend, zeros_like
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
    optimization", ICLR 2022, Algorithms 1 to 3.
    """

    name = "AmIGO"
    parameters = {"n_inner": [10], "n_linear": [10]}

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z)

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, n_linear):
        z, x, v = state
        for _ in range(n_inner):
            descend(z, steps.inner, inner.grad(z, x, inner.draw()))
        fz, fx = outer.grad(z, x, outer.draw())
        for _ in range(n_linear):
            descend(v, steps.linear, inner.hvp(z, x, v, inner.draw()), fz)
        outer.descend(x, steps.outer, inner.cross(z, x, v, inner.draw()), fx)
