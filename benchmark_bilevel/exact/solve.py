"""The truth about a problem: inner solution, value function, exact hypergradient.

Everything is float64 on the full losses, whatever the solver's settings. The inner
problem is solved by a damped Newton method until

    ‖∇z g‖ ≤ 1e-10 max(1, ‖∇z g(z0, x)‖)  and  ½ ∇z gᵀ H⁻¹ ∇z g ≤ 1e-14,

the second because a gradient alone bounds nothing where H is ill-conditioned (at
IJCNN1's optimum its condition number is 7e8): it is the error of g to second order.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from benchmark_bilevel.exact.linear_systems import HessianSolver, InnerSolveError
from benchmark_bilevel.exact.losses import AutogradLosses, CompiledLosses, full_losses

__all__ = [
    "AutogradLosses",
    "CompiledLosses",
    "Evaluation",
    "Exact",
    "InnerSolveError",
]

GRADIENT_TOLERANCE = 1e-10
DECREMENT_TOLERANCE = 1e-14
NEGLIGIBLE_DECREMENT = 1e-20
# Of linear systems that are solved by iterations; see `HessianSolver.solve`.
NEWTON_TOLERANCE = 1e-2
ADJOINT_TOLERANCE = 1e-10

_blas = ThreadpoolController()


class Evaluation(NamedTuple):
    """h at one point, and how it was obtained."""

    value: float  # h(x) = f(x, z*(x))
    hypergradient: np.ndarray  # ∇h(x) = ∇x f + ∇²xz g v
    z: np.ndarray  # z*(x)
    v: np.ndarray  # −H⁻¹ ∇z f


class Exact:
    """Exact evaluation of a problem.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem):
        self.problem = problem

    @cached_property
    def losses(self):
        """Full-batch oracle, built at the first evaluation."""
        return full_losses(self.problem)

    @cached_property
    def _hessian(self):
        solver = getattr(self.problem.kernels, "HessianSolver", HessianSolver)
        return solver(self.problem, self.losses)

    def forget(self):
        """Make the next results independent of the ones before, to the last digit."""
        self._hessian.forget()

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
        losses = self.losses
        # Threads of the BLAS only wait for each other on matrices this small.
        with _blas.limit(limits=1):
            z = self.inner_solution(x, z)
            fz, fx = losses.outer_grad(z, x)
            start = None if v is None else -v
            v = -self._hessian.solve(z, x, fz, ADJOINT_TOLERANCE, start)
        hypergradient = losses.cross(z, x, v)
        if fx is not None:
            hypergradient = hypergradient + fx
        # The second term is, to first order, what is left of f(x, z) − f(x, z*(x)): the
        # inner problem's tolerance bounds the square of the error of z.
        value = losses.outer_value(z, x) + v @ losses.grad(z, x)
        return Evaluation(float(value), hypergradient, z, v)

    def inner_solution(self, x, z=None, max_iterations=200):
        """z*(x) by a damped Newton method started at `z`."""
        if self.problem.h_unknown is not None:
            raise InnerSolveError(self.problem.h_unknown)
        losses = self.losses
        start, _ = self.problem.initial_point()
        z = (start if z is None else z).astype(float)
        with np.errstate(over="ignore", invalid="ignore"):
            threshold = GRADIENT_TOLERANCE * max(
                1, np.linalg.norm(losses.grad(start, x))
            )
            for _ in range(max_iterations):
                gradient = losses.grad(z, x)
                norm = np.linalg.norm(gradient)
                if not np.isfinite(norm):
                    break
                # Where H is large the decrement is negligible before the gradient is
                # small: then the direction has to go on.
                floor = NEGLIGIBLE_DECREMENT if norm <= threshold else 0.0
                direction = -self._hessian.solve(
                    z, x, gradient, NEWTON_TOLERANCE, floor=floor
                )
                decrement = -0.5 * gradient @ direction
                if norm <= threshold and decrement <= DECREMENT_TOLERANCE:
                    # One more step makes even coordinates as small as exp(−x_j) right.
                    return z + direction
                z = self._line_search(z, x, direction, decrement)
        raise InnerSolveError(
            f"inner problem not solved: ‖∇z g‖ = {norm:.1e} (tolerance {threshold:.1e}), "
            f"‖x‖∞ = {np.abs(x).max():.1e}"
        )

    def _line_search(self, z, x, direction, decrement):
        """Backtrack until g decreases enough; full steps where rounding hides it."""
        step = 1.0
        if decrement <= 1e-10:
            return z + direction
        value = self.losses.inner_value(z, x)
        while decrement > 1e-10 * max(1, abs(value)):
            if self.losses.inner_value(z + step * direction, x) <= value - (
                0.5 * step * decrement
            ):
                break
            step /= 2
            if step < 1e-12:
                raise InnerSolveError("inner problem not solved: no descent")
        return z + step * direction
