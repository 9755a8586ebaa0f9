"""Hyper-representation: sizes, closed form, metrics, a learnt representation."""

import numpy as np
import pytest
from conftest import dataset, load_solver
from derivatives import check_hypergradient
from numpy.testing import assert_allclose

from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.exact.solve import Exact
from benchmark_bilevel.problems.representation.problem import (
    HyperRepresentation,
    random_representation,
)
from benchmark_bilevel.verification import run_checks
from benchmark_bilevel.verification.problems import PROBLEM_CHECKS


@pytest.fixture(scope="module")
def small():
    return HyperRepresentation(
        random_representation(n_samples=40, n_features=5, n_hidden=7)
    )


def value_and_gradient(problem, x):
    """h and ∇h from the normal equations: h depends on X by z*(X) and directly."""
    (A, y), (B, b), _ = problem.split
    X = x.reshape(A.shape[1], -1)
    n, m = len(y), len(b)
    H = X.T @ A.T @ A @ X / n + problem.ridge * np.eye(X.shape[1])
    z = np.linalg.solve(H, X.T @ A.T @ y / n)
    outer_residual, inner_residual = B @ X @ z - b, A @ X @ z - y
    v = -np.linalg.solve(H, X.T @ B.T @ outer_residual / m)
    gradient = np.outer(B.T @ outer_residual / m, z)
    gradient += np.outer(A.T @ inner_residual / n, v)
    gradient += np.outer(A.T @ (A @ X @ v) / n, z)
    return 0.5 * np.mean(outer_residual**2), gradient.ravel()


def test_checks_pass(small):
    for result in run_checks(PROBLEM_CHECKS, small):
        assert result.status in ("ok", "not declared"), result


def test_published_sizes_and_noise():
    """64 features, 128 hidden units, 500 samples of each part, noise of 0.1."""
    problem = HyperRepresentation(dataset("shallow_representation"))
    assert [part.X.shape for part in problem.split] == 3 * [(500, 64)]
    z, x = problem.initial_point()
    assert (z.size, x.size) == (128, 64 * 128)
    for y in (z, x):
        assert abs(y.mean()) < 0.3 and 0.8 < y.std() < 1.2
    X = np.vstack([part.X for part in problem.split])
    y = np.concatenate([part.y for part in problem.split])
    weights, residual, *_ = np.linalg.lstsq(X, y, rcond=None)
    assert_allclose(np.sqrt(residual / (1500 - 64)), 0.1, rtol=0.1)
    assert 7 < weights.std() < 17  # H w has a variance of 128


def test_exact_values_are_the_closed_form(small, generator):
    exact = Exact(small)
    for x in generator.standard_normal((3, small.dim_x)):
        evaluation = exact.evaluate(x)
        value, gradient = value_and_gradient(small, x)
        assert_allclose(evaluation.z, small.inner_solution(x), rtol=1e-9, atol=1e-12)
        assert_allclose(evaluation.value, value, rtol=1e-10)
        scale = np.abs(gradient).max()
        assert_allclose(evaluation.hypergradient, gradient, atol=1e-8 * scale)


def test_hypergradient_is_the_slope_of_h(small, generator):
    x, direction = generator.standard_normal((2, small.dim_x))
    check_hypergradient(small, x, direction, 1e-5)


def test_metrics(small, generator):
    """Each of a row, from z and x in NumPy: the model is x and z together."""
    z, x = (
        generator.standard_normal(small.dim_z),
        generator.standard_normal(small.dim_x),
    )
    row = Evaluator(small).metrics(z, x, 0, {}, False)
    value, gradient = value_and_gradient(small, x)
    solution = small.inner_solution(x)
    (A, y), (B, b), (T, t) = small.split
    X = x.reshape(5, 7)
    expected = {
        "value": value,
        "hypergradient_norm": np.sqrt(gradient @ gradient),
        "inner_distance": np.sqrt(np.sum((z - solution) ** 2)),
        "inner_loss": np.mean((A @ X @ z - y) ** 2) / 2 + 0.05 * np.sum(z**2),
        "outer_loss": np.mean((B @ X @ z - b) ** 2) / 2,
    }
    for suffix, w in (("", z), ("_at_solution", solution)):
        expected[f"test_loss{suffix}"] = np.mean((T @ X @ w - t) ** 2) / 2
        for name, M, m in (("train", A, y), ("validation", B, b), ("test", T, t)):
            spread = np.sum((m - m.mean()) ** 2)
            expected[f"{name}_r2{suffix}"] = 1 - np.sum((M @ X @ w - m) ** 2) / spread
    for name, right in expected.items():
        assert_allclose(row[name], right, rtol=1e-8, err_msg=name)
    assert np.isnan(row["suboptimality"])


def test_a_narrow_representation_is_learnt():
    """Two hidden units are enough for y = X w, and the random ones say little of it."""
    problem = HyperRepresentation(random_representation(40, n_features=5, n_hidden=2))
    run = load_solver("soba").get_instance(
        step_size=0.05,
        outer_ratio=0.5,
        step_exponent=0.0,
        outer_exponent=0.0,
        batch_size="full",
        outer_batch_size="full",
    )
    run = run.make_runtime(problem)
    z, x = run.variables()
    before, start = problem.accuracies(z, x), value_and_gradient(problem, x)[0]
    run.advance(800)
    z, x = run.variables()
    assert value_and_gradient(problem, x)[0] < 0.05 * start
    assert before["test_r2"] < 0.5 and problem.accuracies(z, x)["test_r2"] > 0.95


def test_other_data_do_not_fit():
    for name in ("quadratic", "digits", "diabetes"):
        assert "shallow_representation" in HyperRepresentation.unfit(dataset(name))
