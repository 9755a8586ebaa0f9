from benchmark_bilevel.methods import Calls, Penalised, copy, descend, zeros_like
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """F2BA: gradient descent on the penalised problem, with a constant multiplier.

    T times: y ← y − ρ (∇z g(y) + ∇z f(y) / λ) and z ← z − ρ ∇z g(z), both from where
    they were; then x ← P(x − γ (∇x f(y) + λ (∇x g(y) − ∇x g(z)))). Batches are full. x
    rests where the error is O(1 / λ).

    Parameters
    ----------
    n_inner : int
        T, of the order of log λ in the analysis.
    penalty : float
        λ.

    References
    ----------
    L. Chen, Y. Ma, J. Zhang, "Near-optimal nonconvex-strongly-convex bilevel
    optimization with fully first-order oracles", JMLR 2025. The constants are ours.
    (What the authors' code calls F2SA takes ∇z g for y at z.)
    """

    name = "F2BA"
    parameters = {
        "n_inner": [10],
        "penalty": [100.0],
        "batch_size": ["full"],
        "outer_batch_size": ["full"],
    }
    ranges = {"penalty": Number(above=0)}
    search_space = ["step_size", "outer_step", "n_inner", "penalty"]
    test_config = {"n_inner": 3, "penalty": 5.0}
    needs_minimisation = True

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, copy(z)

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, penalty):
        z, x, y = state
        for _ in range(n_inner):
            i = inner.draw()
            fz, _ = outer.grad(y, x, outer.draw())
            gz = inner.grad(y, x, i)
            descend(y, steps.inner / penalty, fz)
            descend(y, steps.inner, gz)
            descend(z, steps.inner, inner.grad(z, x, i))
        i, d = inner.draw(), zeros_like(x)
        _, fx = outer.grad(y, x, outer.draw())
        descend(d, -penalty, inner.grad_x(y, x, i))
        descend(d, penalty, inner.grad_x(z, x, i))
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
