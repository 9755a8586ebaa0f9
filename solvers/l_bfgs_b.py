import numpy as np
from scipy.optimize import Bounds, minimize

from benchmark_bilevel.exact.feasible import box_of
from benchmark_bilevel.exact_solver import ExactSolver
from benchmark_bilevel.parameters import Integer


class Solver(ExactSolver):
    """L-BFGS-B on h: a quasi-Newton method with exact values and hypergradients.

    Each x costs an inner solve and a linear system. Where the line search finds nothing
    it starts again without its memory, as long as that gains something.

    Parameters
    ----------
    memory : int
        Pairs of steps and changes of the gradient behind its Hessian.

    References
    ----------
    R. H. Byrd, P. Lu, J. Nocedal, C. Zhu, "A limited memory algorithm for bound
    constrained optimization", SIAM J. Sci. Comput. 16, 1995, as in SciPy.
    """

    name = "L-BFGS-B"
    parameters = {"memory": [10]}
    ranges = {"memory": Integer(at_least=1)}

    def lack(self, problem):
        reason = super().lack(problem)
        if reason is None and box_of(problem) is None:
            reason = (
                f"{self.name} needs x free or in a box, which {problem.name} has not"
            )
        return reason

    def minimise(self, evaluate, x):
        def h(x):
            evaluation = evaluate(x)
            return evaluation.value, evaluation.hypergradient

        settings = {
            "method": "L-BFGS-B",
            "bounds": Bounds(*box_of(self.problem)),
            "options": {"maxcor": self.memory, "ftol": 0.0, "gtol": 0.0},
        }
        value = np.inf
        while (end := minimize(h, x, jac=True, **settings)).fun < value:
            x, value = end.x, end.fun
