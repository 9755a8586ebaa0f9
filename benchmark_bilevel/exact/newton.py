"""A point's h and ∇h by Newton's method, with a bound of the error; see `exact.solve`."""

from typing import NamedTuple

import numpy as np

from benchmark_bilevel.exact.linear_systems import InnerSolveError

GRADIENT_TOLERANCE = 1e-10
DECREMENT_TOLERANCE = 1e-14
NEGLIGIBLE_DECREMENT = 1e-20  # below, rounding in float64 may hide any descent
VALUE_TOLERANCE = 1e-9  # of h, relative to max(1, |h|)
MAX_ITERATIONS = 300
MAX_IDLE = 5  # iterations near the end that bring nothing
MAX_FINE_IDLE = 50  # the same in fine losses, which go through long valleys
# Of linear systems that are solved by iterations; see `HessianSolver.solve`.
NEWTON_TOLERANCE = 1e-2
ADJOINT_TOLERANCE = 1e-10
# Share of ‖∇z f‖ that ‖H v + ∇z f‖ may be. Else ∇h is NaN.
ADJOINT_LIMIT = 1e-6
NEGLIGIBLE_ERROR = 1e-12  # of h
# A step is taken if the slope along it, in the other direction, has become this share of
# what it was at most; the last one if it has become smaller in either direction.
CONTRACTION = 0.1


class Evaluation(NamedTuple):
    """h at one point, and how it was obtained."""

    value: float  # h(x) = f(x, z*(x))
    error: float  # bound of the error of `value`
    hypergradient: np.ndarray  # ∇h(x) = ∇x f + ∇²xz g v; NaN if v could not be found
    z: np.ndarray  # z*(x)
    v: np.ndarray  # −H⁻¹ ∇z f


class NewtonSolver:
    """Evaluates h with one precision of the losses.

    Parameters
    ----------
    problem : Problem
    losses : CompiledLosses or similar
    hessian : HessianSolver or similar
    is_fine : bool
        Whether no better losses are to be had, whose errors are relative.

    Attributes
    ----------
    reached : array of shape (dim_z,)
        From where a better solver could go on after an error.
    """

    def __init__(self, problem, losses, hessian, is_fine=False):
        self.problem, self.losses, self.hessian = problem, losses, hessian
        self.is_fine = is_fine
        self.negligible = 0.0 if is_fine else NEGLIGIBLE_DECREMENT

    def evaluate(self, x, z, v=None):
        """`Exact.evaluate` from the point `z`."""
        start_gradient = self.losses.grad(self.problem.initial_point()[0], x)
        threshold = GRADIENT_TOLERANCE * max(1, np.linalg.norm(start_gradient))
        gradient, self.reached = self.losses.grad(z, x), z
        best, idle, decrement = np.full(2, np.inf), 0, np.inf
        for _ in range(MAX_ITERATIONS):
            norm = np.linalg.norm(gradient)
            if not np.isfinite(norm):
                break
            is_small = norm <= threshold
            # Where H is large the decrement is negligible before the gradient is small:
            # then the direction has to go on.
            floor = self.negligible if is_small else 0.0
            direction, _ = self.hessian.solve(
                z, x, -gradient, NEWTON_TOLERANCE, floor=floor
            )
            decrement = -0.5 * gradient @ direction
            is_last = is_small and decrement <= DECREMENT_TOLERANCE
            old, old_gradient = z, gradient
            z, gradient = self._line_search(z, x, gradient, direction, is_last)
            if not is_last:
                continue
            if best[0] == np.inf:
                self.reached = old
            try:
                evaluation, rounding = self._assess(
                    x, old, old_gradient, z, gradient, v
                )
            except InnerSolveError:
                if not self.is_fine:
                    raise
                error = (
                    np.inf
                )  # on the way, where H is flatter in parts than at its end
            else:
                v, error = evaluation.v, evaluation.error
                tolerance = VALUE_TOLERANCE * max(1, abs(evaluation.value))
                if error <= tolerance:
                    return evaluation
                if not (self.is_fine or rounding <= tolerance):
                    raise InnerSolveError(
                        f"rounding leaves h uncertain by {rounding:.1e} "
                        f"(tolerance {tolerance:.1e}), {_size(x)}"
                    )
            now = np.array([decrement, error])
            idle += 1
            if (now < 0.5 * best).any():
                best, idle = np.minimum(best, now), 0
            if idle == (MAX_FINE_IDLE if self.is_fine else MAX_IDLE):
                raise InnerSolveError(
                    f"h known to {best[1]:.1e} only (relative tolerance "
                    f"{VALUE_TOLERANCE:.0e}), {_size(x)}"
                )
        raise InnerSolveError(
            f"inner problem not solved: ‖∇z g‖ = {norm:.1e} (tolerance {threshold:.1e}), "
            f"decrement {decrement:.1e} ({DECREMENT_TOLERANCE:.0e}), {_size(x)}"
        )

    def _line_search(self, z, x, gradient, direction, is_last):
        """Backtrack until the step does not go far beyond the minimum along it.

        It looks at slopes, which say more than values where g is nearly flat. Where
        rounding hides them the step is taken in full.
        """
        slope, step = gradient @ direction, 1.0
        while True:
            moved = z + step * direction
            moved_gradient = self.losses.grad(moved, x)
            if step == 1:
                full = moved, moved_gradient
                if is_last and -0.5 * slope <= self.negligible:
                    return full
            if moved_gradient @ direction <= CONTRACTION * abs(slope):
                return moved, moved_gradient
            step /= 2
            if is_last and step < 1e-3:
                return full
            if step < 1e-12:
                raise InnerSolveError("inner problem not solved: no descent")

    def _assess(self, x, old, old_gradient, z, gradient, v):
        """The `Evaluation` after the Newton step from `old` to z, and its rounding."""
        losses = self.losses
        fz, fx = losses.outer_grad(z, x)
        start = None if v is None else -v
        solution, residual = self.hessian.solve(z, x, fz, ADJOINT_TOLERANCE, start)
        v = -solution
        hypergradient = losses.cross(z, x, v)
        if fx is not None:
            hypergradient = hypergradient + fx
        if not np.linalg.norm(residual) <= ADJOINT_LIMIT * np.linalg.norm(fz):
            hypergradient = np.full_like(hypergradient, np.nan)
        value, old_value = losses.outer_value(z, x), losses.outer_value(old, x)
        step = old - z
        curvatures = abs(old_value - value - fz @ step) + abs(
            v @ (old_gradient - gradient) + fz @ step
        )
        value += v @ gradient
        rounding = losses.rounding(z, x, v) + 8 * np.finfo(float).eps * abs(value)
        rounding += 4 * np.finfo(z.dtype).eps * np.abs(fz) @ np.abs(z)
        error = curvatures + self._hidden(z, x, residual, gradient) + rounding
        unseen = self.negligible + losses.rounding(z, x, step)
        contracts = abs(step @ gradient) <= unseen + CONTRACTION * abs(
            step @ old_gradient
        )
        error = float(error) if contracts else np.inf
        z, v = z.astype(float), v.astype(float)
        return Evaluation(float(value), error, hypergradient, z, v), rounding

    def _hidden(self, z, x, residual, gradient):
        """Bound of |ρ · H⁻¹ ∇z g|: through the regulariser, or H where it is too small."""
        ridge = self.problem.regulariser_diagonal(x)
        if (ridge > 0).all():
            squares = [(y**2 / ridge).sum() for y in (residual, gradient)]
            if np.prod(squares) <= NEGLIGIBLE_ERROR**2:
                return np.sqrt(np.prod(squares))
        solutions = (
            self.hessian.solve(z, x, y, NEWTON_TOLERANCE)[0]
            for y in (residual, gradient)
        )
        squares = [
            abs(y @ d) for y, d in zip((residual, gradient), solutions, strict=True)
        ]
        return np.sqrt(np.prod(squares))


def _size(x):
    return f"‖x‖∞ = {np.abs(x).max():.1e}"
