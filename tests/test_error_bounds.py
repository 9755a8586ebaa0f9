"""The error that Newton's method states for h, at a problem that is known."""

import numpy as np
import pytest

from benchmark_bilevel.exact.newton import NewtonSolver


class Known:
    """∇z g = 2 d + 0.3 d² with d = z − 1, f = z² and J = 3: h = 1."""

    def __init__(self, ridge=1.0, residual=0.0, rounding=0.0, fx=None):
        self.ridge, self.residual, self.size = np.array([ridge]), residual, rounding
        self.fx = fx

    def grad(self, z, x):
        return 2 * (z - 1) + 0.3 * (z - 1) ** 2

    def curvature(self, z):
        return 2 + 0.6 * (z - 1)

    def solve(self, z, x, b, rtol, start=None):
        self.start = start
        return b / self.curvature(z), np.array([self.residual])

    def outer_grad(self, z, x):
        return 2 * z, self.fx

    def outer_value(self, z, x):
        return float(z @ z)

    def cross(self, z, x, v):
        return 3 * v

    def rounding(self, z, x, u):
        return self.size * np.abs(u).sum()

    def regulariser_diagonal(self, x):
        return self.ridge


def assess(old, z, v=None, is_fine=False, **known):
    """The evaluation and rounding of `_assess` after a step from `old` to z."""
    model, ends = Known(**known), (np.array([old]), np.array([z]))
    solver = NewtonSolver(model, model, model, is_fine)
    (old, slope_old), (z, slope) = ((y, model.grad(y, None)) for y in ends)
    return *solver._assess(None, old, slope_old, z, slope, v), model


def newton_step(old):
    model = Known()
    return old - model.grad(old, None) / model.curvature(old)


@pytest.mark.parametrize("old", [0.5, 0.9, 1.1, 1.5])
def test_error_of_the_value(old):
    """Both second-order terms, of the step from `old` instead of that which is left."""
    z = newton_step(old)
    found, _, _ = assess(old, z)
    v = -2 * z / (2 + 0.6 * (z - 1))
    of_f, of_g = (old - z) ** 2, abs(v * 0.3 * (old - z) ** 2)
    np.testing.assert_allclose(found.error, of_f + of_g, rtol=1e-10)
    assert abs(found.value - 1) <= 0.1 * found.error
    np.testing.assert_allclose([found.z, found.v], [[z], [v]], rtol=1e-14)


@pytest.mark.parametrize("share, contracts", [(0.09, True), (0.11, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_that_leaves_much_of_the_way_tells_no_error(share, contracts, sign):
    """A tenth of the slope along it, unless rounding explains what is left."""
    old, slope = 1.2, 0.3 * 0.2**2 + 0.4
    d = (-2 + np.sqrt(4 + 1.2 * sign * share * slope)) / 0.6
    assert np.isfinite(assess(old, 1 + d)[0].error) == contracts
    assert np.isfinite(assess(old, 1 + d, rounding=0.02 * slope)[0].error)
    assert np.isfinite(assess(old, 1 + d, rounding=0.005 * slope)[0].error) == contracts


def test_a_negligible_slope_may_be_left_except_in_fine_losses():
    step = 5e-11  # times its slope, 5e-21
    assert np.isfinite(assess(1 + step, 1 + 2 * step)[0].error)
    assert assess(1 + step, 1 + 2 * step, is_fine=True)[0].error == np.inf
    assert assess(1.0, 1.0, is_fine=True)[0].error < 1e-14, "nothing is left to go"


def test_rounding_is_a_part_of_the_error():
    """What v magnifies, and that of f and of the sum."""
    old, z = 1.01, newton_step(1.01)
    (exact, least, _), (found, rounding, _) = (
        assess(old, z),
        assess(old, z, rounding=0.7),
    )
    np.testing.assert_allclose(rounding - least, 0.7 * abs(found.v[0]), rtol=1e-12)
    np.testing.assert_allclose(found.error - exact.error, rounding - least, rtol=1e-12)
    large, small = 1e6, 1e-6
    for z, of_f in ((large, large**2), (small, small**2)):
        _, rounding, _ = assess(z, z)
        value = abs(Known().grad(z, None) * 2 * z / Known().curvature(z) - of_f)
        assert 1e-16 < rounding / (value + 2 * of_f) < 1e-14


def test_hypergradient_of_the_system():
    z, fx = newton_step(1.01), np.array([5.0])
    found, _, model = assess(1.01, z, v=np.array([7.0]), fx=fx)
    assert model.start == -7.0
    np.testing.assert_allclose(found.hypergradient, 3 * found.v + 5, rtol=1e-14)
    np.testing.assert_array_equal(fx, 5.0)
    assert assess(1.01, z)[0].hypergradient == 3 * found.v
    for share, is_known in ((0.9e-6, True), (1.1e-6, False), (np.nan, False)):
        found, _, _ = assess(1.01, z, residual=share * 2 * z)
        assert np.isfinite(found.hypergradient).all() == is_known


@pytest.mark.parametrize(
    "ridge, size, curvature",
    [(0.5, 1e-13, 0.5), (0.5, 4e-13, 0.5), (0.5, 6e-13, 2.0), (0.0, 1e-13, 2.0)],
)
def test_residual_of_the_system_hides_an_error(ridge, size, curvature):
    """‖ρ‖ ‖∇z g‖ over the ridge, or over H if that says too little."""
    model = Known(ridge)
    solver, z = NewtonSolver(model, model, model), np.ones(1)
    hidden = solver._hidden(z, None, np.array([-size]), np.array([1.0]))
    np.testing.assert_allclose(hidden, size / curvature, rtol=1e-12)
