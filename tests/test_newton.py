"""Newton's method of the exact layer: its steps, where it ends, and its patience."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark_bilevel.exact import newton
from benchmark_bilevel.exact.linear_systems import InnerSolveError
from benchmark_bilevel.exact.newton import Evaluation, NewtonSolver


class Scripted(NewtonSolver):
    """Takes z = 0, d, 2d, …, where ∇z g has the `sizes` and h then has the `errors`.

    The last of either lasts. An error of None is a linear system without a solution.
    """

    def __init__(
        self, sizes, errors, value=2.0, rounding=0.0, d=1.0, start=1.0, is_fine=False
    ):
        problem = SimpleNamespace(initial_point=lambda: (np.array([-d]), None))
        super().__init__(problem, losses=self, hessian=self, is_fine=is_fine)
        self.sizes, self.errors, self.d, self.start = sizes, errors, d, start
        self.value, self.rounding = value, rounding
        self.floors, self.n_assessed = [], 0

    def grad(self, z, x):
        k = round(z[0] / self.d)
        return -np.array([self.start if k < 0 else at(self.sizes, k)])

    def solve(self, z, x, b, rtol, floor):
        self.floors.append(floor)
        return np.array([self.d]), None

    def _assess(self, x, old, old_gradient, z, gradient, v):
        error = at(self.errors, self.n_assessed)
        self.n_assessed += 1
        if error is None:
            raise InnerSolveError("flat")
        return Evaluation(self.value, error, None, z, v), self.rounding

    def run(self):
        return self.evaluate(np.full(3, -7.0), np.zeros(1))


def at(values, k):
    return values[min(k, len(values) - 1)]


SMALL = newton.NEGLIGIBLE_DECREMENT
SIZE = "‖x‖∞ = 7.0e+00"


@pytest.mark.parametrize(
    "d, start, sizes, floors",
    [
        (1.0, 1.0, [1.0, 2.1e-14, 1.9e-14], [0.0, SMALL, SMALL]),  # ½ ∇z g · d
        (1e-6, 0.5, [1.0, 1.1e-10, 0.9e-10], [0.0, 0.0, SMALL]),  # ‖∇z g‖
        (1e-6, 3.0, [1.0, 3.1e-10, 2.9e-10], [0.0, 0.0, SMALL]),
    ],
)
@pytest.mark.parametrize("is_fine", [False, True])
def test_both_tolerances_of_g(d, start, sizes, floors, is_fine):
    """The step after the first point that meets them is the last one."""
    solver = Scripted(sizes, [0.0], d=d, start=start, is_fine=is_fine)
    np.testing.assert_allclose(solver.run().z, 3 * d)
    np.testing.assert_allclose(solver.reached, 2 * d)
    assert solver.floors == ([0.0] * 3 if is_fine else floors)


@pytest.mark.parametrize("value, tolerance", [(-2.0, 2e-9), (0.25, 1e-9)])
def test_tolerance_of_h(value, tolerance):
    good = Scripted([0.0], [1.01 * tolerance, 0.99 * tolerance], value)
    assert good.run().error == 0.99 * tolerance and good.n_assessed == 2
    rough = Scripted([0.0], [1.01 * tolerance], value, rounding=1.01 * tolerance)
    reason = f"uncertain by {1.01 * tolerance:.1e} (tolerance {tolerance:.1e}), {SIZE}"
    with pytest.raises(InnerSolveError, match=re.escape(reason)):
        rough.run()
    assert rough.n_assessed == 1


FALLING = [0.4**k for k in range(8)]


@pytest.mark.parametrize("is_fine", [False, True])
@pytest.mark.parametrize(
    "sizes, errors, n_better",
    [
        ([1.0, 1e-14], [1.0], 1),
        ([1.0, 1e-14], FALLING, 8),
        ([1.0, *(1e-14 * size for size in FALLING)], [1.0], 8),
        ([1.0, 1e-14], [1.0, 0.6, 0.36, 0.3], 3),  # half of the best so far, or nothing
    ],
)
def test_patience_with_steps_that_bring_nothing(sizes, errors, n_better, is_fine):
    rounding = 1.0 if is_fine else 1.9e-9
    solver = Scripted(sizes, errors, rounding=rounding, is_fine=is_fine)
    best = min(errors[:n_better])
    with pytest.raises(InnerSolveError, match=re.escape(f"known to {best:.1e} only")):
        solver.run()
    patience = newton.MAX_FINE_IDLE if is_fine else newton.MAX_IDLE
    assert solver.n_assessed == n_better + patience
    np.testing.assert_array_equal(solver.reached, 1.0)  # where the end began


def test_only_fine_losses_go_on_without_v():
    errors = [None, None, 0.0]
    assert Scripted([0.0], errors, is_fine=True).run().z == 3.0
    with pytest.raises(InnerSolveError, match="flat"):
        Scripted([0.0], errors).run()


@pytest.mark.parametrize("size, n_steps", [(1.0, newton.MAX_ITERATIONS), (np.nan, 0)])
def test_reason_where_the_gradient_does_not_vanish(size, n_steps):
    solver = Scripted([size], [0.0])
    reason = f"‖∇z g‖ = {size:.1e} (tolerance 1.0e-10), decrement "
    with pytest.raises(InnerSolveError, match=re.escape(reason)):
        solver.run()
    assert len(solver.floors) == n_steps


# --- one step -------------------------------------------------------------------------


class Parabola:
    """½ c (z − m)², in one dimension."""

    def __init__(self, c, m):
        self.c, self.m = c, m

    def grad(self, z, x):
        return self.c * (z - self.m)


def step_to(m, c=1.0, is_last=False, is_fine=False):
    """From 0 along the direction 1, where the minimum is at m."""
    losses, z = Parabola(c, m), np.zeros(1)
    solver = NewtonSolver(None, losses, None, is_fine)
    moved, gradient = solver._line_search(
        z, None, losses.grad(z, None), np.ones(1), is_last
    )
    np.testing.assert_array_equal(gradient, losses.grad(moved, None))
    return moved[0]


@pytest.mark.parametrize(
    "m, step", [(5.0, 1), (0.92, 1), (0.9, 1 / 2), (0.46, 1 / 2), (0.45, 1 / 4)]
)
def test_a_step_goes_no_tenth_beyond_the_minimum(m, step):
    assert step_to(m) == step_to(m, is_last=True) == step


@pytest.mark.parametrize("m, step", [(0.0018, 2**-9), (0.0017, 1.0)])
def test_the_last_step_is_a_thousandth_at_least_or_full(m, step):
    assert step_to(m, is_last=True) == step
    assert step_to(m) == min(step, 2**-9 if m > 0.00178 else 2**-10)


@pytest.mark.parametrize("slope, step", [(-1.9e-20, 1.0), (-2.1e-20, 0.5)])
def test_rounding_hides_a_slope(slope, step):
    c, m = -slope / 0.5, 0.5
    assert step_to(m, c, is_last=True) == step
    assert step_to(m, c) == step_to(m, c, is_last=True, is_fine=True) == 0.5


class Uphill:
    """Losses whose slope along a direction is the same wherever one looks."""

    def __init__(self, gradient):
        self.gradient = gradient

    def grad(self, z, x):
        return self.gradient


@pytest.mark.parametrize("size", [1.0, 1e-12])
def test_the_last_step_is_taken_in_full_where_rounding_hides_the_slope(size):
    direction = np.full(3, size)
    solver = newton.NewtonSolver(None, Uphill(direction), None)
    search = (np.zeros(3), None, -direction, direction)
    moved, gradient = solver._line_search(*search, is_last=True)
    np.testing.assert_array_equal(moved, direction)
    assert gradient is direction
    with pytest.raises(InnerSolveError, match="no descent"):
        solver._line_search(*search, is_last=False)
