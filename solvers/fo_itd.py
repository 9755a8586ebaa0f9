from benchmark_bilevel.methods import Calls, Implicit, assign, copy, sgd
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """FO-ITD: gradient steps on z, then x along ∇x f alone.

    z takes `n_inner` steps on g, and x ← P(x − γ ∇x f): ITD without what z owes to x.
    A problem whose f does not depend on x is skipped: x would not move.

    Parameters
    ----------
    n_inner : int
        T, number of steps on z.
    warm_start : bool
        Whether z goes on where it was; else it starts at z0.

    References
    ----------
    K. Ji, J. Yang, Y. Liang, "Bilevel optimization: Convergence analysis and enhanced
    design", ICML 2021. The constants are ours.
    """

    name = "FO-ITD"
    parameters = {
        "n_inner": [10],
        "warm_start": [True],
        "batch_size": ["full"],
        "outer_batch_size": ["full"],
    }
    search_space = ["step_size", "outer_step", "n_inner"]
    test_config = {
        "n_inner": 3,
        "dataset": {"name": "quadratic"},
        "objective": {"problem": "quadratic"},
    }
    shares_samples = False

    def skip(self, problem):
        if not problem.outer_depends_on_x:
            return True, f"{self.name} moves x along ∇x f, which is 0 in {problem.name}"
        return super().skip(problem)

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, copy(z)

    @staticmethod
    def step(inner, outer, state, steps, t, n_inner, warm_start):
        z, x, z0 = state
        if not warm_start:
            assign(z, z0)
        sgd(inner, z, x, steps.inner, n_inner)
        _, fx = outer.grad(z, x, outer.draw())
        outer.descend(x, steps.outer, fx)

    @staticmethod
    def oracle_calls(t, b, c, n, m, n_inner):
        return Calls(outer_gradients=c, inner_gradients=n_inner * b)

    @staticmethod
    def estimate(t, n_inner, warm_start):
        return Implicit(n_inner, 0, warm_z=warm_start)
