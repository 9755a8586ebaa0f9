"""Hyper-parameter selection on regression data: ridge regression in closed form."""

import numpy as np
import pytest
from conftest import dataset, load_solver
from derivatives import check_hypergradient
from numpy.testing import assert_allclose
from scipy import sparse

from benchmark_bilevel.data import Inadmissible
from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.exact.published import reference_value
from benchmark_bilevel.exact.solve import Exact
from benchmark_bilevel.problems.classification import Split
from benchmark_bilevel.problems.regression import regression_metrics
from benchmark_bilevel.problems.selection.problem import HyperparameterSelection
from benchmark_bilevel.problems.template_problem import RidgeSelection
from benchmark_bilevel.verification import run_checks
from benchmark_bilevel.verification.cases import small_classification, small_regression
from benchmark_bilevel.verification.problems import PROBLEM_CHECKS, kernels


@pytest.fixture(scope="module")
def diabetes():
    return HyperparameterSelection(dataset("diabetes"))


def inner_solution(problem, x):
    """z*(x) from the normal equations."""
    X, y = problem.inner_samples
    H = X.T @ X / len(y) + np.diag(np.exp(x))
    return np.linalg.solve(H, X.T @ y / len(y))


def value_and_gradient(problem, x):
    """h and ∇h: dh/dx_j = −exp(x_j) z_j (H⁻¹ ∇f)_j."""
    X, y = problem.inner_samples
    A, b = problem.outer_samples
    H = X.T @ X / len(y) + np.diag(np.exp(x))
    z = np.linalg.solve(H, X.T @ y / len(y))
    residual = A @ z - b
    v = np.linalg.solve(H, A.T @ residual / len(b))
    return 0.5 * np.mean(residual**2), -np.exp(x) * z * v


@pytest.mark.parametrize("parametrisation", ["default", "single-lin"])
def test_checks_pass(parametrisation):
    problem = HyperparameterSelection(
        small_regression(), parametrisation=parametrisation
    )
    # The formulas of its kernels are in the iterations and exact values below.
    for result in run_checks([c for c in PROBLEM_CHECKS if c is not kernels], problem):
        assert result.status == "ok", result


def test_parts(diabetes):
    """Random thirds, all centred and scaled by the inner one; the published start."""
    inner, outer, test = diabetes.split
    assert [len(part.y) for part in diabetes.split] == [147, 147, 148]
    assert_allclose(inner.X.mean(0), 0, atol=1e-12)
    assert_allclose(inner.X.std(0), 1)
    assert_allclose((inner.y.mean(), inner.y.std()), (0, 1), atol=1e-12)
    raw = diabetes.data["y_train"]
    y = np.concatenate([part.y for part in diabetes.split])
    correlation = np.corrcoef(np.sort(y), np.sort(raw))[0, 1]
    assert_allclose(correlation, 1)  # one affine map for all
    assert 0 < abs(outer.y.mean()) < 0.3 and 0 < abs(test.X.mean(0)).max() < 0.3
    z, x = diabetes.initial_point()
    assert (z == 0).all() and (x == -2).all() and z.shape == x.shape == (10,)
    other = HyperparameterSelection(diabetes.data, split_seed=1)
    assert (other.split[0].y != inner.y).any()


def test_parts_with_a_test_set():
    """The training samples are halved, and the test part is scaled like them."""
    data = small_regression()
    data = {**data, "X_test": data["X_train"][:7], "y_test": data["y_train"][:7]}
    inner, outer, test = HyperparameterSelection(data).split
    assert (len(inner.y), len(outer.y), len(test.y)) == (45, 45, 7)
    rows = {tuple(row) for row in np.round(np.vstack([inner.X, outer.X]), 9)}
    assert len(rows) == 90 and {tuple(row) for row in np.round(test.X, 9)} < rows


def test_exact_values_are_the_closed_form(diabetes, generator):
    exact = Exact(diabetes)
    for x in (diabetes.initial_point()[1], 4 * generator.standard_normal(10)):
        evaluation = exact.evaluate(x)
        value, gradient = value_and_gradient(diabetes, x)
        assert_allclose(evaluation.z, inner_solution(diabetes, x), rtol=1e-10)
        assert_allclose(evaluation.value, value, rtol=1e-12)
        assert_allclose(evaluation.hypergradient, gradient, rtol=1e-8, atol=1e-14)


def test_hypergradient_is_the_slope_of_h(diabetes, generator):
    x, direction = generator.standard_normal((2, 10))
    check_hypergradient(diabetes, x, direction, 1e-5)


def test_metrics(diabetes, generator):
    """Each of a row, from z and x in NumPy; accuracies do not exist."""
    z, x = generator.standard_normal((2, 10))
    z *= 0.1
    row = Evaluator(diabetes).metrics(z, x, 0, {}, False)
    (X, y), (A, b), (T, t) = diabetes.split
    value, gradient = value_and_gradient(diabetes, x)
    solution = inner_solution(diabetes, x)
    expected = {
        "value": value,
        "suboptimality": value - reference_value(diabetes),
        "hypergradient_norm": np.sqrt(gradient @ gradient),
        "inner_distance": np.sqrt(np.sum((z - solution) ** 2)),
        "inner_loss": np.mean((X @ z - y) ** 2) / 2 + np.sum(np.exp(x) * z**2) / 2,
        "outer_loss": np.mean((A @ z - b) ** 2) / 2,
    }
    for suffix, w in (("", z), ("_at_solution", solution)):
        expected[f"test_loss{suffix}"] = np.mean((T @ w - t) ** 2) / 2
        for name, M, m in (("train", X, y), ("validation", A, b), ("test", T, t)):
            spread = np.sum((m - m.mean()) ** 2)
            expected[f"{name}_r2{suffix}"] = 1 - np.sum((M @ w - m) ** 2) / spread
            assert np.isnan(row[f"{name}_accuracy{suffix}"])
    assert set(expected) < set(row)
    for name, right in expected.items():
        assert_allclose(row[name], right, rtol=1e-9, err_msg=name)


def test_runtimes_give_the_same_iterates(diabetes):
    ends = []
    for name in ("numba", "torch"):
        solver = load_solver("soba").get_instance(
            runtime=name, batch_size=16, outer_batch_size=24, outer_ratio=0.1
        )
        ends.append(solver.make_runtime(diabetes))
        ends[-1].start(1)
        ends[-1].advance(100)
    for numba, torch in zip(*(end.variables() for end in ends), strict=True):
        assert_allclose(numba, torch, atol=1e-10)
        assert np.abs(numba).max() > 1e-2
    assert (ends[0].counts == ends[1].counts).all()


def test_saba_comes_down_to_the_reference(diabetes):
    h_star = reference_value(diabetes)
    solver = load_solver("saba").get_instance(
        step_size=0.1, outer_ratio=0.005, batch_size=49, outer_batch_size=49
    )
    run = solver.make_runtime(diabetes)
    start = value_and_gradient(diabetes, run.variables()[1])[0]
    run.advance(1500)
    gap = value_and_gradient(diabetes, run.variables()[1])[0] - h_star
    assert -1e-12 < gap < 0.1 * (start - h_star)


def test_data_that_do_not_fit():
    data = small_regression()
    admitted = HyperparameterSelection.admit(data)
    assert HyperparameterSelection(admitted).is_regression
    assert RidgeSelection.admit(small_classification())["y_train"].dtype == float
    few = {name: data[name][:8] for name in ("X_train", "y_train")}
    for changed, line in (
        ({"X_train": sparse.csr_matrix(data["X_train"])}, "needs dense features"),
        (few, "needs 9 samples to regress; there are 8"),
        (
            {"X_trian": data["X_train"]},
            "knows X_train, y_train, X_test, y_test and not",
        ),
    ):
        with pytest.raises(Inadmissible, match=line):
            HyperparameterSelection.admit({**data, **changed})
    with pytest.raises(Inadmissible, match="needs regression data"):
        RidgeSelection.admit(dataset("quadratic"))


def test_of_equal_targets_nothing_is_explained():
    part = Split(np.zeros((3, 1)), np.ones(3))
    metrics = regression_metrics(lambda X: np.zeros(len(X)), part, part, part)
    assert np.isnan(metrics["test_r2"]) and metrics["test_loss"] == 0.5
