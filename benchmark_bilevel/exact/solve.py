"""The truth about a problem: inner solution, value function, exact hypergradient.

The inner problem is solved by a damped Newton method on the full losses, in float64
whatever the solver's settings, first until

    ‖∇z g‖ ≤ 1e-10 max(1, ‖∇z g(z0, x)‖)  and  ½ ∇z gᵀ H⁻¹ ∇z g ≤ 1e-14,

the second because a gradient alone bounds nothing where H is ill-conditioned (at
IJCNN1's optimum its condition number is 7e8): it is the error of g to second order.

What counts is the error of h. With v = −H⁻¹ ∇z f at the end point z,

    h(x) = f(z, x) + v · ∇z g(z, x) + second order in z*(x) − z,

of which the first two terms are the value. Its `error` bounds the rest by the sum of

- the second-order terms of f and of v · ∇z g along the last Newton step, each of them
  in absolute value. The way left to go has to be a tenth of that step, so that this is
  about a hundred times what it stands for;
- ρ · H̄⁻¹ ∇z g, where ρ = H v + ∇z f is the residual of the linear system and the
  regulariser bounds H from below;
- rounding in ∇z g, which v magnifies as the inverse of H does, in f and in the sum.

Steps go on until the error is 1e-9 max(1, |h|). Where rounding does not let them, they
go on in the problem's `fine_losses`. Where these end too there is no value.

Along the problem's `free_directions` neither g nor f changes: z*(x) and v are those of
least norm, as they are in the limit of equal small penalties. h does not depend on the
choice; ∇h has no meaning there but that limit's.
"""

from functools import cached_property

import numpy as np
from threadpoolctl import ThreadpoolController

from benchmark_bilevel.exact.linear_systems import HessianSolver, InnerSolveError
from benchmark_bilevel.exact.losses import AutogradLosses, CompiledLosses, full_losses
from benchmark_bilevel.exact.newton import Evaluation, NewtonSolver
from benchmark_bilevel.oracles import COUNTS

__all__ = [
    "AutogradLosses",
    "CompiledLosses",
    "Evaluation",
    "Exact",
    "InnerSolveError",
]

_blas = ThreadpoolController()


class Exact:
    """Exact evaluation of a problem.

    Parameters
    ----------
    problem : Problem

    Attributes
    ----------
    counts : int64 array
        Per-sample evaluations so far, in the order of `COUNTS`: what it has cost.
    """

    def __init__(self, problem):
        self.problem = problem
        self.counts = np.zeros(len(COUNTS), np.int64)

    @cached_property
    def losses(self):
        """Full-batch oracle, built at the first evaluation."""
        return full_losses(self.problem, self.counts)

    @cached_property
    def _solver(self):
        make = getattr(self.problem.kernels, "HessianSolver", HessianSolver)
        hessian = make(self.problem, self.losses)
        return NewtonSolver(self.problem, self.losses, hessian)

    @cached_property
    def _fine_solver(self):
        losses = self.problem.fine_losses()
        if losses is None:
            return None
        losses.counts = self.counts
        hessian = HessianSolver(self.problem, losses)
        return NewtonSolver(self.problem, losses, hessian, is_fine=True)

    def forget(self):
        """Make the next results independent of the ones before, to the last digit."""
        self._solver.hessian.forget()

    def evaluate(self, x, z=None, v=None):
        """h(x) and ∇h(x).

        Parameters
        ----------
        x : array of shape (dim_x,)
        z, v : arrays of shape (dim_z,), optional
            Warm starts of the inner problem and of the linear system.

        Returns
        -------
        Evaluation

        Raises
        ------
        InnerSolveError
            If the tolerance cannot be reached.
        """
        if self.problem.h_unknown is not None:
            raise InnerSolveError(self.problem.h_unknown)
        if z is None:
            z, _ = self.problem.initial_point()
        # The regulariser, which may be 1e43 times the data term, would decide alone how
        # long the first step is.
        ridge = self.problem.regulariser_diagonal(x)
        z = np.where(ridge * z**2 > 1, z / (1 + ridge), z)
        free = self.problem.free_directions(x)
        z, v = (y if y is None else y - (y @ free.T) @ free for y in (z, v))
        # Threads of the BLAS only wait for each other on matrices this small.
        with _blas.limit(limits=1), np.errstate(over="ignore", invalid="ignore"):
            try:
                return self._solver.evaluate(x, z, v)
            except InnerSolveError:
                if self._fine_solver is None:
                    raise
                return self._fine_solver.evaluate(x, self._solver.reached)
