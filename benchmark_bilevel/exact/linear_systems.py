"""Systems with the Hessian ∇²zz g of the full inner loss, solved to a stated accuracy."""

from functools import cached_property

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from benchmark_bilevel.exact.losses import CompiledLosses

# Hessians up to this dimension are formed and factorised.
DENSE_LIMIT = 1000
# Forming a Hessian costs n dim² multiplications. Up to this many each point gets its own.
CHEAP_HESSIAN = 10**9
# Above, one from as many samples as cost this much is a preconditioner, at other points
# too while it is good enough.
SAMPLED_HESSIAN = 4 * 10**9
MAX_ITERATIONS_WITH_OLD_FACTOR = 12
# Conjugate gradients around a factor of nearly the right matrix end soon or never.
MAX_ITERATIONS_WITH_FACTOR = 500
# Products in float32 take half the time. A pass of conjugate gradients that uses them
# reduces the residual by this factor; the next one starts from the residual in float64.
ROUGH_GAIN = 1e-3
ROUGH_ITERATIONS = 1000  # of a pass
# Of a residual that rounding keeps from its tolerance: a share of the right side.
ROUNDING = 1e-6


class InnerSolveError(ArithmeticError):
    """The inner problem or a linear system could not be solved to its tolerance."""


class HessianSolver:
    """Solves H(z, x) d = b at one point after the other.

    Parameters
    ----------
    problem : Problem
    losses : CompiledLosses or AutogradLosses
    """

    def __init__(self, problem, losses):
        self.problem, self.losses = problem, losses
        self.is_dense = problem.dim_z <= DENSE_LIMIT
        self.is_cheap = problem.n_inner * problem.dim_z**2 <= CHEAP_HESSIAN
        self.forget()

    def forget(self):
        """Make what follows independent of what was solved before."""
        self._old_data_hessian = self._last_point = None

    @cached_property
    def _rough_losses(self):
        if self.problem.kernels is None:
            return None
        return CompiledLosses(self.problem, self.losses.counts, "float32")

    def solve(self, z, x, b, rtol, start=None, floor=0.0):
        """d with H d = b, and its residual b − H d.

        Parameters
        ----------
        z, x : arrays
            Where H is taken.
        b : array of shape (dim_z,)
        rtol : float
            Bound of the error of d relative to d, in the norm of H as far as the
            preconditioner knows it (above `DENSE_LIMIT`, that of the problem).
        start : array, optional
            First guess of the iterations, if it takes any.
        floor : float
            Error of d, squared in the norm of H, that is small enough anyway.

        Raises
        ------
        InnerSolveError
        """

        def product(d):
            return self.losses.hvp(z, x, d)

        if not self.is_dense:
            precondition, rough = self.problem.preconditioner(z, x), self._rough(z, x)
            return conjugate_gradients(
                product, b, precondition, rtol, start, floor, rough
            )[:2]
        rough = None
        if self.is_cheap:
            precondition, is_exact = self._factor_at(z, x)
            if is_exact:
                d = precondition(b)
                return d, b - product(d)
        else:
            nearby = self._regular(self._nearby_hessian(z, x), x)
            precondition, _ = factorised(nearby)
            rough = self._rough(z, x)
        d, residual, n_iterations = conjugate_gradients(
            product,
            b,
            precondition,
            rtol,
            start,
            floor,
            rough,
            MAX_ITERATIONS_WITH_FACTOR,
        )
        if n_iterations > MAX_ITERATIONS_WITH_OLD_FACTOR:
            self.forget()
        return d, residual

    def _factor_at(self, z, x):
        """`factorised` H(z, x), remembered for the next system at the same point."""
        is_known = self._last_point is not None and all(
            map(np.array_equal, self._last_point, (z, x))
        )
        if not is_known:
            hessian = self._regular(self.losses.hessian(z, x), x)
            self._last_factor = factorised(hessian)
            self._last_point = z.copy(), x.copy()
        return self._last_factor

    def _rough(self, z, x):
        """The function d -> H(z, x) d in float32."""
        if self._rough_losses is None:
            return None
        rough = self._rough_losses.hvp_at(z.astype(np.float32), x.astype(np.float32))

        def product(d):
            size = np.abs(d).max()
            return size * rough((d / size).astype(np.float32)).astype(float)

        return product

    def _nearby_hessian(self, z, x):
        """About the Hessian at an earlier z, but with the regulariser of x."""
        if self._old_data_hessian is None:
            cost = self.problem.n_inner * self.problem.dim_z**2
            every = max(1, cost // SAMPLED_HESSIAN)
            self._old_data_hessian = self.losses.hessian(z, x, every) - self._ridge(x)
        return self._old_data_hessian + self._ridge(x)

    def _ridge(self, x):
        return np.diag(self.problem.regulariser_diagonal(x))

    def _regular(self, matrix, x):
        """A Hessian at x made regular along the problem's `free_directions`.

        What is solved with it has no part along them, if the right side has none.
        """
        free = self.problem.free_directions(x)
        sizes = free**2 @ np.diag(matrix)
        return matrix + (free.T * sizes) @ free


def factorised(matrix):
    """The function b ↦ matrix⁻¹ b, and whether it is that of `matrix` itself.

    The diagonal is scaled to 1: regularisation over a hundred orders of magnitude is no
    harm then. A singular matrix is shifted by more than what rounding hides: classes
    without a penalty leave the weights free along a direction.
    """
    diagonal = np.diag(matrix)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))
    scaled = matrix * scale[:, None] * scale
    for shift in (0.0, 1e4, 1e6):
        shifted = scaled + shift * np.finfo(float).eps * np.eye(len(matrix))
        try:
            factor = cho_factor(shifted)
            break
        except LinAlgError as error:
            reason = error
        except ValueError as error:  # NaN in the matrix
            raise InnerSolveError(f"no inner Hessian: {error}") from error
    else:
        raise InnerSolveError(f"inner Hessian not positive definite: {reason}")

    def solve(b):
        return scale * cho_solve(factor, np.asarray(scale * b, float))

    return solve, shift == 0


def conjugate_gradients(
    product,
    b,
    precondition,
    rtol,
    start=None,
    floor=0.0,
    rough=None,
    max_iterations=5000,
):
    """Solution d of H d = b by preconditioned conjugate gradients.

    Returns d, the residual b − H d, and the number of iterations.

    Stops when rᵀP⁻¹r ≤ max(floor, rtol² bᵀP⁻¹b) for the recomputed residual r, P the
    preconditioner; starts again from where it is if only the recurrence says so.
    `rough`, a cheaper and less accurate `product`, serves between the recomputations
    as long as it helps.

    References
    ----------
    M. R. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear
    systems", J. Res. Nat. Bur. Standards 49, 1952.
    """
    d = np.zeros_like(b) if start is None else start.copy()
    size = b @ precondition(b)
    threshold = max(floor, rtol**2 * size)
    n_iterations, best, before = 0, np.inf, d
    while True:
        r = b - product(d) if d.any() else b.copy()
        y = precondition(r)
        ry = r @ y
        if ry <= threshold:
            return d, r, n_iterations
        if not ry < 0.25 * best or n_iterations >= max_iterations:
            if rough is None:
                # Rounding limits the residual. Its error in d, which is what counts, is
                # small when the preconditioner resembles H.
                limit = max(threshold, min(1e6 * threshold, ROUNDING**2 * size))
                if ry <= max(limit, 1e-20 * (d @ product(d))):
                    return d, r, n_iterations
                raise InnerSolveError("conjugate gradients did not converge")
            d, rough, best = before, None, np.inf  # the pass was useless
            max_iterations += n_iterations
            continue
        best, before = ry, d.copy()
        goal, stop = 0.5 * threshold, max_iterations
        if rough is not None:
            goal = max(goal, ROUGH_GAIN**2 * ry)
            stop = min(stop, n_iterations + ROUGH_ITERATIONS)
        p = y.copy()
        while ry > goal and n_iterations < stop:
            q = (rough or product)(p)
            curvature = p @ q
            if not curvature > 0:
                break
            step = ry / curvature
            d += step * p
            r -= step * q
            y = precondition(r)
            ry, ry_old = r @ y, ry
            p *= ry / ry_old
            p += y
            n_iterations += 1
