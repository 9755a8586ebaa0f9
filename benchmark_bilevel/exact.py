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
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse.linalg import LinearOperator, cg

from benchmark_bilevel.directions import descend, zeros_like
from benchmark_bilevel.fingerprint import cached_njit
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.samplers import Partition, make_sampler

GRADIENT_TOLERANCE = 1e-10
DECREMENT_TOLERANCE = 1e-14
# Hessians up to this dimension are formed and factorised; above, conjugate gradients.
DENSE_LIMIT = 1000


class InnerSolveError(ArithmeticError):
    """The inner problem could not be solved to the stated tolerance."""


class Evaluation(NamedTuple):
    """h at one point, and how it was obtained."""

    value: float  # h(x) = f(x, z)
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
        if self.problem.kernels is None:
            return AutogradLosses(self.problem)
        return CompiledLosses(self.problem)

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
        z = self.inner_solution(x, z)
        fz, fx = losses.outer_grad(z, x)
        v = -self._solve(self._hessian(z, x), fz, None if v is None else -v, rtol=1e-13)
        hypergradient = losses.cross(z, x, v)
        if fx is not None:
            hypergradient = hypergradient + fx
        return Evaluation(losses.outer_value(z, x), hypergradient, z, v)

    def inner_solution(self, x, z=None, max_iterations=200):
        """z*(x) by a damped Newton method started at `z`."""
        losses = self.losses
        start, _ = self.problem.initial_point()
        z = (start if z is None else z).astype(float)
        with np.errstate(over="ignore", invalid="ignore"):
            threshold = GRADIENT_TOLERANCE * max(1, np.linalg.norm(losses.grad(start, x)))
            for _ in range(max_iterations):
                gradient = losses.grad(z, x)
                norm = np.linalg.norm(gradient)
                if not np.isfinite(norm):
                    break
                direction = -self._solve(self._hessian(z, x), gradient, rtol=1e-6)
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
        value = self.losses.inner_value(z, x)
        step = 1.0
        while decrement > 1e-10 * max(1, abs(value)):
            if self.losses.inner_value(z + step * direction, x) <= value - (
                0.5 * step * decrement
            ):
                break
            step /= 2
            if step < 1e-12:
                raise InnerSolveError("inner problem not solved: no descent")
        return z + step * direction

    def _hessian(self, z, x):
        """Cholesky factor of H where it is small, else H as an operator."""
        losses = self.losses
        if z.size > DENSE_LIMIT:
            shape = (z.size, z.size)
            return LinearOperator(
                shape, lambda v: losses.hvp(z, x, v.ravel()), dtype=z.dtype
            )
        try:
            return cho_factor(losses.hessian(z, x))
        except (LinAlgError, ValueError) as error:  # ValueError: NaN in the matrix
            raise InnerSolveError(f"inner Hessian not positive definite: {error}") from None

    @staticmethod
    def _solve(hessian, b, start=None, rtol=1e-13):
        if not isinstance(hessian, LinearOperator):
            return cho_solve(hessian, b)
        solution, failure = cg(hessian, b, x0=start, rtol=rtol, maxiter=10 * b.size)
        if failure:
            raise InnerSolveError("conjugate gradients did not converge")
        return solution


class CompiledLosses:
    """Full losses and derivatives through the compiled oracles, block by block.

    Blocks of 512 samples keep a block and its scores in the cache.
    """

    def __init__(self, problem):
        self._inner, self._outer = (
            make(
                problem,
                partition := Partition(n_samples, 512),
                make_sampler(partition.n_blocks, "reshuffled", 0, 0),
                np.zeros(len(COUNTS), np.int64),
                "float64",
            )
            for make, n_samples in (
                (problem.kernels.make_inner, problem.n_inner),
                (problem.kernels.make_outer, problem.n_outer),
            )
        )
        self._has_hessian = hasattr(problem.kernels, "HAS_HESSIAN")

    def inner_value(self, z, x):
        return _mean_value(self._inner, z, x)

    def outer_value(self, z, x):
        return _mean_value(self._outer, z, x)

    def grad(self, z, x):
        return _mean_grad(self._inner, z, x)

    def hvp(self, z, x, v):
        return _mean_hvp(self._inner, z, x, v)

    def cross(self, z, x, v):
        return _mean_cross(self._inner, z, x, v)

    def outer_grad(self, z, x):
        return _mean_outer_grad(self._outer, z, x)

    def hessian(self, z, x):
        if self._has_hessian:
            return _mean_hessian(self._inner, z, x)
        return np.array([self.hvp(z, x, unit) for unit in np.eye(z.size)])


class AutogradLosses:
    """The same through autograd, for problems without kernels."""

    def __init__(self, problem):
        from benchmark_bilevel.oracles.autograd import (
            AutogradInner,
            AutogradOuter,
            to_tensor,
        )

        self._tensor = lambda array: to_tensor(array, "float64", "cpu")
        counts = np.zeros(len(COUNTS), np.int64)
        self._inner = AutogradInner(
            problem.inner_loss,
            problem.inner_regulariser,
            problem.inner_samples,
            Partition(problem.n_inner, "full"),
            None,
            counts,
            "float64",
            "cpu",
        )
        self._outer = AutogradOuter(
            problem.outer_loss,
            None,
            problem.outer_samples,
            Partition(problem.n_outer, "full"),
            None,
            counts,
            "float64",
            "cpu",
            project=None,
        )

    def _call(self, function, *arrays):
        result = function(*(self._tensor(array) for array in arrays), 0)
        if isinstance(result, tuple):
            return tuple(None if part is None else part.numpy() for part in result)
        return result if isinstance(result, float) else result.numpy()

    def inner_value(self, z, x):
        return self._call(self._inner.value, z, x)

    def outer_value(self, z, x):
        return self._call(self._outer.value, z, x)

    def grad(self, z, x):
        return self._call(self._inner.grad, z, x)

    def hvp(self, z, x, v):
        return self._call(self._inner.hvp, z, x, v)

    def cross(self, z, x, v):
        return self._call(self._inner.cross, z, x, v)

    def outer_grad(self, z, x):
        return self._call(self._outer.grad, z, x)

    def hessian(self, z, x):
        return np.array([self.hvp(z, x, unit) for unit in np.eye(z.size)])


@cached_njit
def _mean_value(oracle, z, x):
    total = 0.0
    for i in range(oracle.n_blocks):
        total += oracle.value(z, x, i)
    return total / oracle.n_blocks


@cached_njit
def _mean_grad(inner, z, x):
    total = zeros_like(z)
    for i in range(inner.n_blocks):
        descend(total, -1.0 / inner.n_blocks, inner.grad(z, x, i))
    return total


@cached_njit
def _mean_hvp(inner, z, x, v):
    total = zeros_like(z)
    for i in range(inner.n_blocks):
        descend(total, -1.0 / inner.n_blocks, inner.hvp(z, x, v, i))
    return total


@cached_njit
def _mean_cross(inner, z, x, v):
    total = zeros_like(x)
    for i in range(inner.n_blocks):
        descend(total, -1.0 / inner.n_blocks, inner.cross(z, x, v, i))
    return total


@cached_njit
def _mean_outer_grad(outer, z, x):
    total_z, total_x = zeros_like(z), zeros_like(x)
    for i in range(outer.n_blocks):
        fz, fx = outer.grad(z, x, i)
        descend(total_z, -1.0 / outer.n_blocks, fz)
        descend(total_x, -1.0 / outer.n_blocks, fx)
    return total_z, total_x


@cached_njit
def _mean_hessian(inner, z, x):
    total = inner.hessian(z, x, 0)
    for i in range(1, inner.n_blocks):
        total += inner.hessian(z, x, i)
    return total / inner.n_blocks
