"""h is within its stated error, however flat the inner problem is, or there is none.

The truth is Newton's method with a gradient of 80 digits.
"""

import mpmath
import numpy as np
import pytest
from conftest import dataset, make_problem
from derivatives import check_hypergradient
from scipy.linalg import cho_factor, cho_solve

from benchmark_bilevel.exact import newton
from benchmark_bilevel.exact.linear_systems import HessianSolver
from benchmark_bilevel.exact.losses import AutogradLosses
from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.exact.solve import Exact, InnerSolveError
from benchmark_bilevel.problems import PROBLEMS

exponential = np.frompyfunc(mpmath.exp, 1, 1)
logarithm = np.frompyfunc(mpmath.log, 1, 1)
number = np.frompyfunc(mpmath.mpf, 1, 1)


@pytest.fixture(scope="module", autouse=True)
def digits_of_the_truth():
    with mpmath.workdps(80):
        yield


@pytest.fixture(scope="module")
def breast_cancer():
    return make_problem("breast_cancer")


@pytest.fixture(scope="module")
def digits():
    """Three classes and a third of their images, without the blank pixels."""
    data = dict(dataset("digits"))
    rows = np.flatnonzero(data["y_train"] < 3)[::3]
    X = data["X_train"][rows]
    data["X_train"], data["y_train"] = X[:, X.std(axis=0) > 1], data["y_train"][rows]
    return PROBLEMS["hyperparameter-selection"](data)


class Truth:
    """g and f of a `HyperparameterSelection` at one x, as sums of 80 digits."""

    def __init__(self, problem, x):
        self.n_scores = problem.n_scores
        (A, y), (B, y_outer) = problem.inner_samples, problem.outer_samples
        self.samples, self.labels = number(A), np.eye(max(self.n_scores, 2))[y]
        self.outer = number(B), np.eye(max(self.n_scores, 2))[y_outer]
        by_class = self.n_scores > 1
        x = np.repeat(x, A.shape[1]) if by_class else x
        self.ridge = exponential(number(x)).reshape(self.n_scores, -1)

    def probabilities(self, samples, z):
        scores = samples @ z.T
        if self.n_scores == 1:
            scores = np.hstack([0 * scores, scores])
        terms = exponential(scores)
        return terms / terms.sum(axis=1, keepdims=True)

    def newton_step(self, z):
        p, A = self.probabilities(self.samples, z), self.samples.astype(float)
        n, s = len(A), self.n_scores
        gradient = ((p - self.labels).T @ self.samples)[-s:] / n + self.ridge * z
        curvature = [
            [
                p[:, c] * ((1 - p[:, c]) if c == d else -p[:, d]) / n
                for d in range(-s, 0)
            ]
            for c in range(-s, 0)
        ]
        H = np.block([[A.T * w.astype(float) @ A for w in row] for row in curvature])
        H += np.diag(self.ridge.ravel().astype(float))
        scale = 1 / np.sqrt(np.diag(H))
        factor = cho_factor(H * scale[:, None] * scale)
        right = scale * gradient.ravel().astype(float)
        return (scale * cho_solve(factor, right)).reshape(z.shape)

    def value(self, z):
        """h, by Newton's method from about its solution `z`."""
        z = number(z.reshape(self.n_scores, -1))
        for _ in range(20):
            step = self.newton_step(z)
            z = z - step
            if np.abs(self.samples @ step.T).max() < 1e-16:  # of a score
                p = self.probabilities(self.outer[0], z)
                losses = -logarithm((p * self.outer[1]).sum(axis=1))
                return losses.mean()
        raise AssertionError("the truth was not found")


FLAT = [float(x) for x in range(-20, -50, -5)]


def mixed(dim):
    """Four vectors of ±100: as good as λ = ∞ and λ = 0."""
    signs = np.random.default_rng(0).choice([-100.0, 100.0], (50, dim))
    return np.unique(signs, axis=0)[1:5]


@pytest.mark.parametrize("name", ["breast_cancer", "digits"])
def test_value_is_within_its_error(name, request):
    problem = request.getfixturevalue(name)
    exact, dim = Exact(problem), problem.dim_x
    start = problem.initial_point()[1]
    for x in [start, *(np.full(dim, x) for x in FLAT), *mixed(dim)]:
        result = exact.evaluate(x)
        truth = Truth(problem, x).value(result.z)
        error = float(abs(result.value - truth))
        assert error <= result.error <= 1e-9 * max(1, abs(truth)), x


def test_warm_starts_from_another_scale(digits):
    """At z the ridge is now worth 1e13 times the loss."""
    exact = Exact(digits)
    near = exact.evaluate(np.array([-6.0, -6.0, -6.0]))
    x = np.array([-30.0, 30.0, -2.0])
    warm, cold = exact.evaluate(x, near.z, near.v), exact.evaluate(x)
    assert abs(warm.value - cold.value) <= warm.error + cold.error <= 2e-9


def test_hypergradient_where_h_is_flat(breast_cancer, generator):
    x = np.full(breast_cancer.dim_x, -40.0)
    direction = generator.standard_normal(x.size)
    check_hypergradient(breast_cancer, x, direction, 1e-4)


@pytest.mark.parametrize("name", ["breast_cancer", "digits"])
def test_fine_losses_are_the_losses(name, request, generator):
    problem = request.getfixturevalue(name)
    fine, right = problem.fine_losses(), AutogradLosses(problem)
    z, v = generator.standard_normal((2, problem.dim_z))
    x = generator.standard_normal(problem.dim_x)
    for method, arguments in {
        "grad": (z, x),
        "hvp": (z, x, v),
        "hessian": (z, x),
        "cross": (z, x, v),
        "outer_value": (z, x),
    }.items():
        found, expected = (getattr(y, method)(*arguments) for y in (fine, right))
        np.testing.assert_allclose(
            found.astype(float), expected, rtol=1e-11, atol=1e-14, err_msg=method
        )
    found, expected = (y.outer_grad(z, x)[0] for y in (fine, right))
    np.testing.assert_allclose(found.astype(float), expected, rtol=1e-11, atol=1e-14)


@pytest.fixture
def coarse(breast_cancer, monkeypatch):
    """The problem without fine losses."""
    monkeypatch.setattr(breast_cancer, "fine_losses", lambda: None)
    return breast_cancer


@pytest.mark.parametrize("x", [-30.0, -40.0, -100.0])
def test_no_value_rather_than_a_wrong_one(coarse, x):
    with pytest.raises(InnerSolveError, match="rounding leaves h uncertain by"):
        Exact(coarse).evaluate(np.full(coarse.dim_x, x))


def test_columns_that_need_h_are_nan_where_it_is_unknown(coarse):
    evaluator, (z, x) = Evaluator(coarse), coarse.initial_point()
    assert 0 < evaluator.metrics(z, x, 0)["value_error"] <= 1e-9
    with pytest.warns(RuntimeWarning, match="hyperparameter-selection: rounding"):
        found = evaluator.metrics(z, x - 40, 1)
    for name in ("value", "value_error", "suboptimality", "hypergradient_norm"):
        assert np.isnan(found[name])
    assert np.isfinite(found["outer_loss"])


def test_hypergradient_of_an_unsolved_system_is_nan(breast_cancer, monkeypatch):
    """The value needs v less."""
    solve = HessianSolver.solve

    def solve_badly(self, z, x, b, rtol, start=None, floor=0.0):
        d, _ = solve(self, z, x, b, rtol, start, floor)
        return d * (1 + 1e-4), b - self.losses.hvp(z, x, d * (1 + 1e-4))

    z, x = breast_cancer.initial_point()
    right = Exact(breast_cancer).evaluate(x + 1).value
    monkeypatch.setattr(HessianSolver, "solve", solve_badly)
    with pytest.warns(RuntimeWarning, match="∇h is unknown"):
        found = Evaluator(breast_cancer).metrics(z, x + 1, 1)
    assert np.isnan(found["hypergradient_norm"])
    assert abs(found["value"] - right) <= found["value_error"] <= 1e-9


@pytest.mark.parametrize("factor", [0.1, 0.9, 1.0, 1.01])
def test_bad_newton_steps_are_no_excuse(breast_cancer, monkeypatch, factor):
    """Steps too short or too long, and a tolerance of g that ends them early."""
    solve, x = HessianSolver.solve, breast_cancer.initial_point()[1] - 6
    right = Exact(breast_cancer).evaluate(x).value

    def solve_badly(self, z, x, b, rtol, start=None, floor=0.0):
        d, residual = solve(self, z, x, b, rtol, start, floor)
        return (factor * d if rtol == newton.NEWTON_TOLERANCE else d), residual

    monkeypatch.setattr(HessianSolver, "solve", solve_badly)
    monkeypatch.setattr(newton, "DECREMENT_TOLERANCE", 1e-10)
    monkeypatch.setattr(newton, "GRADIENT_TOLERANCE", 1e-5)
    result = Exact(breast_cancer).evaluate(x)
    assert abs(result.value - right) <= result.error <= 1e-9


def test_ends_of_the_scale(breast_cancer):
    """Neither a crash nor an endless loop where λ overflows or becomes 0."""
    exact = Exact(breast_cancer)
    for x in (-800.0, 800.0):
        with pytest.raises(InnerSolveError):
            exact.evaluate(np.full(breast_cancer.dim_x, x))
