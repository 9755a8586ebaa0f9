"""Data hyper-cleaning: labels, metrics, closed forms, runtimes, reference."""

import numpy as np
import pytest
from conftest import dataset, load_solver, real_data
from derivatives import (
    check_closed_forms,
    check_finite_differences,
    check_hypergradient,
    check_means,
)
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, log_softmax
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.exact.published import reference_value
from benchmark_bilevel.exact.solve import Exact
from benchmark_bilevel.methods import as_variable
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.verification import run_checks
from benchmark_bilevel.verification.cases import small_images
from benchmark_bilevel.verification.problems import PROBLEM_CHECKS, kernels

BATCH_SIZE = 64  # divides neither the 599 inner nor the 599 outer samples of digits


def make(data, corruption=0.5, **options):
    return PROBLEMS["data-hypercleaning"](data, corruption=corruption, **options)


@pytest.fixture(scope="module")
def digits():
    return make(dataset("digits"))


@pytest.fixture(scope="module")
def mnist():
    return make(real_data("mnist"))


@pytest.fixture
def point(digits, generator):
    z, v = 0.1 * generator.standard_normal((2, digits.dim_z))
    return z, 2 * generator.standard_normal(digits.dim_x), v


def run(problem, name, n_iterations, seed=3, **parameters):
    solver = load_solver(name).get_instance(**parameters)
    runtime = solver.make_runtime(problem)
    runtime.start(seed)
    runtime.advance(n_iterations)
    return runtime


def test_labels_are_replaced_once_and_the_same_each_time(digits):
    generator = np.random.RandomState(32)
    replaced = generator.rand(digits.n_inner) < 0.5
    labels = digits.split[0].y.copy()
    labels[replaced] = generator.randint(0, 10, replaced.sum())
    assert_array_equal(digits.given_labels, labels)
    assert_array_equal(make(dataset("digits")).given_labels, labels)
    assert_array_equal(digits.inner_samples[1], labels)
    assert_array_equal(digits.outer_samples[1], digits.split[1].y)
    assert (digits.wrong == (labels != digits.split[0].y)).all()
    assert 0.4 < digits.wrong.mean() < 0.5
    assert (make(dataset("digits"), split_seed=1).given_labels != labels).any()
    assert not make(dataset("digits"), corruption=0.0).wrong.any()


@pytest.mark.parametrize("corruption", [0.5, 0.7, 0.9])
def test_mnist_split(mnist, corruption):
    """As the protocol says: one generator for the split, then for the labels."""
    data = mnist.data
    generator = np.random.RandomState(32)
    order = generator.permutation(60000)
    inner, outer = order[:20000], order[20000:25000]
    labels = data["y_train"][inner]
    replaced = generator.rand(20000) < corruption
    labels[replaced] = generator.randint(0, 10, replaced.sum())
    problem = PROBLEMS["data-hypercleaning"](data, corruption=corruption)
    vars(problem)["split"] = mnist.split  # of the same seed
    X, given, _ = problem.inner_samples
    assert_array_equal(given, labels)
    assert_allclose(problem.wrong.mean(), 0.9 * corruption, atol=0.01)
    mean, scale = (getattr(data["X_train"][inner], f)(axis=0) for f in ("mean", "std"))
    scale[scale == 0] = 1
    assert_allclose(X[:50], (data["X_train"][inner[:50]] - mean) / scale, atol=1e-12)
    X, y = problem.outer_samples
    assert_array_equal(y, data["y_train"][outer])
    assert_allclose(X[:50], (data["X_train"][outer[:50]] - mean) / scale, atol=1e-12)
    assert len(problem.split[2].y) == 10000


def test_metrics_of_found_labels(digits, generator):
    x = generator.standard_normal(digits.dim_x) - digits.wrong
    x[:50] = x[0]  # ties
    metrics, found = digits.outer_metrics(x), expit(x) < 0.5
    assert_allclose(metrics["corrupted_auc"], roc_auc_score(digits.wrong, -x))
    assert_allclose(
        metrics["corrupted_precision"], precision_score(digits.wrong, found)
    )
    assert_allclose(metrics["corrupted_recall"], recall_score(digits.wrong, found))
    assert_allclose(metrics["clean_f1"], f1_score(~digits.wrong, ~found))
    oracle = digits.outer_metrics(np.where(digits.wrong, -900.0, 900.0))
    assert set(oracle.values()) == {1.0}
    nothing_found = digits.outer_metrics(np.ones(digits.dim_x))
    assert np.isnan(nothing_found["corrupted_precision"])
    assert nothing_found["corrupted_auc"] == 0.5


def test_closed_forms_equal_autograd(digits, point):
    check_closed_forms(digits, point, BATCH_SIZE)


def test_mean_over_blocks_is_the_full_batch(digits, point):
    check_means(digits, point, BATCH_SIZE)


def test_closed_forms_equal_finite_differences(digits, point, generator):
    check_finite_differences(digits, point, generator)


@pytest.mark.parametrize(
    "name", ["soba", "saba", pytest.param("amigo", marks=pytest.mark.exhaustive)]
)
def test_runtimes_give_the_same_iterates(digits, name):
    settings = {"step_size": 0.1, "outer_ratio": 1e-3, "batch_size": BATCH_SIZE}
    compiled = run(digits, name, 60, runtime="numba", **settings)
    eager = run(digits, name, 60, runtime="torch", **settings)
    assert_array_equal(compiled.counts, eager.counts)
    start = digits.initial_point()
    for *both, y0 in zip(compiled.variables(), eager.variables(), start, strict=True):
        assert_allclose(*both, atol=1e-10)
        assert np.abs(both[0] - y0).max() > 1e-2


def test_exact_hypergradient_is_the_slope_of_h(digits, generator):
    x = generator.standard_normal(digits.dim_x)
    direction = generator.standard_normal(digits.dim_x)
    check_hypergradient(digits, x, direction, 1e-4)


def test_cleaning_finds_wrong_labels(digits):
    _, x = run(digits, "soba", 3000, step_size=0.5, outer_ratio=1e-3).variables()
    assert digits.outer_metrics(x)["corrupted_auc"] > 0.9


@pytest.mark.parametrize(
    ("corruption", "gap"),
    [
        (0.5, 0.012),
        pytest.param(0.7, 0.025, marks=pytest.mark.exhaustive),
        pytest.param(0.9, 0.045, marks=pytest.mark.exhaustive),
    ],
)
def test_soba_on_mnist_comes_near_the_reference(mnist, corruption, gap):
    """100 epochs with the published steps, and never below the reference."""
    problem = PROBLEMS["data-hypercleaning"](mnist.data, corruption=corruption)
    vars(problem)["split"] = mnist.split
    assert np.isfinite(reference_value(problem))
    runtime = run(
        problem, "soba", 31300, step_size=1.0, outer_ratio=1e-4, dtype="float32"
    )
    _, x = runtime.variables()
    suboptimality = Exact(problem).evaluate(x.astype(float)).value
    suboptimality -= reference_value(problem)
    assert 0 < suboptimality < gap
    if corruption == 0.5:
        assert problem.outer_metrics(x)["corrupted_auc"] > 0.96


@pytest.fixture(scope="module")
def bome():
    return make(dataset("digits"), protocol="bome")


@pytest.fixture(scope="module")
def small_bome():
    return PROBLEMS["data-hypercleaning"](
        small_images(), corruption=0.5, protocol="bome"
    )


def test_protocol_of_bome(bome):
    """Weights in [0, 1], projected, a small ridge, one scale for all pixels."""
    inner, outer, test = bome.split
    assert [len(part.y) for part in bome.split] == [599, 599, 599]
    assert_allclose((inner.X.mean(), inner.X.std()), (0, 1), atol=1e-12)
    constant = [np.ptp(part.X[:, 0]) for part in (inner, outer, test)]
    assert constant == [0, 0, 0], "this pixel has no scale of its own"
    generator = np.random.RandomState(32)
    replaced = generator.permutation(599)[:299]
    labels = inner.y.copy()
    labels[replaced] = generator.randint(0, 10, 299)
    assert_array_equal(bome.given_labels, labels)
    z, x = bome.initial_point()
    assert not z.any() and (x == 0.5).all()
    assert not bome.has_reference
    assert bome.fingerprint != make(dataset("digits")).fingerprint


def test_checks_of_bome_pass(small_bome):
    # The two formulas of its kernels are in every iteration of the next test.
    checks = [check for check in PROBLEM_CHECKS if check is not kernels]
    for result in run_checks(checks, small_bome):
        assert result.status == "ok", result


def test_runtimes_give_the_same_iterates_of_bome(small_bome):
    ends = [
        run(small_bome, "soba", 60, step_size=0.1, outer_ratio=1e-2, runtime=name)
        for name in ("numba", "torch")
    ]
    for numba, torch in zip(*(end.variables() for end in ends), strict=True):
        assert_allclose(numba, torch, atol=1e-10)
    _, x = ends[0].variables()
    assert x.min() == 0 and x.max() == 1, "steps this large reach both ends"


def test_metrics_of_bome(small_bome, generator):
    """Weights below 1/2 are those that are found, and g has them as they are."""
    z, x = (
        0.01 * generator.standard_normal(small_bome.dim_z),
        generator.random(small_bome.dim_x),
    )
    row = Evaluator(small_bome).metrics(z, x, 0, {}, False)
    (X, y, _), (A, b), Z = (
        small_bome.inner_samples,
        small_bome.outer_samples,
        z.reshape(3, -1),
    )
    given = -log_softmax(X @ Z.T, axis=1)[np.arange(len(y)), y]
    clean = -log_softmax(A @ Z.T, axis=1)[np.arange(len(b)), b]
    assert_allclose(row["inner_loss"], np.mean(x * given) + 0.001 * np.sum(z**2))
    assert_allclose(row["outer_loss"], clean.mean())
    assert_allclose(row["clean_f1"], f1_score(~small_bome.wrong, x >= 0.5))
    assert_allclose(row["corrupted_auc"], roc_auc_score(small_bome.wrong, -x))
    exact = Exact(small_bome).evaluate(x)
    moved = x - np.clip(x - exact.hypergradient, 0, 1)
    assert_allclose(row["hypergradient_norm"], np.sqrt(np.sum(moved**2)))


def test_preconditioner_of_bome_is_nearly_the_hessian(bome, generator):
    """It is exact where the classes' covariances do not depend on the images: z = 0."""
    x, v = generator.random(bome.dim_x), generator.standard_normal(bome.dim_z)
    z = np.zeros(bome.dim_z)
    product = Exact(bome).losses.hvp(z, x, v)
    assert_allclose(bome.preconditioner(z, x)(product), v, atol=1e-6)
    other = generator.random(bome.dim_x)
    product = Exact(bome).losses.hvp(z, other, v)
    assert_allclose(bome.preconditioner(z, other)(product), v, atol=1e-6)


def test_fashion_mnist_as_bome_has_it():
    """50,000 inner and 5,000 outer images, exactly half of the labels replaced."""
    problem = make(real_data("fashion_mnist"), protocol="bome")
    assert [len(part.y) for part in problem.split] == [50_000, 5000, 10_000]
    generator = np.random.RandomState(32)
    order = generator.permutation(60_000)
    replaced = generator.permutation(50_000)[:25_000]
    right = problem.data["y_train"][order[:50_000]]
    kept = np.setdiff1d(np.arange(50_000), replaced)
    assert_array_equal(problem.given_labels[kept], right[kept])
    assert 0.445 < problem.wrong.mean() < 0.455
    assert_array_equal(
        problem.outer_samples[1], problem.data["y_train"][order[50_000:55_000]]
    )


@pytest.mark.parametrize("value", ["BOME", None, 1])
def test_bad_protocol_is_refused(value):
    line = PROBLEMS["data-hypercleaning"].invalid(corruption=0.5, protocol=value)
    assert line.startswith(f"protocol={value!r} is not known") and "bome" in line


@pytest.mark.parametrize("value", [-0.1, 1.5, "half"])
def test_bad_corruption_is_refused(value):
    assert "corruption" in PROBLEMS["data-hypercleaning"].invalid(corruption=value)


def cross_as_array(inner, z, x, v):
    return as_variable(inner.cross(z, x, v, 0), x)


CROSS = {"torch": cross_as_array, "numba": njit(cross_as_array)}


@pytest.mark.parametrize("dtype, rtol", [("float32", 1e-4), ("float64", 1e-11)])
@pytest.mark.parametrize("runtime", ["numba", "torch"])
def test_weights_near_one_still_move(digits, runtime, dtype, rtol):
    """σ' is as exact at 30 as at −30, where it is σ nearly."""
    z, x = digits.initial_point()
    z = np.random.default_rng(0).standard_normal(z.size)
    v = np.random.default_rng(1).standard_normal(z.size)
    found = {}
    for value in (0.0, 30.0, -30.0):
        oracles = (
            load_solver("soba")
            .get_instance(runtime=runtime, dtype=dtype, batch_size="full")
            .make_runtime(digits)
        )
        arrays = [oracles._variable(y) for y in (z, np.full_like(x, value), v)]
        cross = CROSS[runtime](oracles.inner, *arrays)
        found[value] = oracles._to_numpy(cross).astype(float)
    for value in (30.0, -30.0):
        slope = np.exp(-30) / (1 + np.exp(-30)) ** 2
        assert_allclose(found[value], 4 * slope * found[0.0], rtol=rtol)
