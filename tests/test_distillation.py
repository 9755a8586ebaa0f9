"""Dataset distillation: parts, exact values, metrics, the images that are learnt."""

import numpy as np
import pytest
from conftest import dataset, load_solver, real_data
from derivatives import check_hypergradient
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_softmax, softmax

from benchmark_bilevel.data import Inadmissible
from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.exact.solve import Exact
from benchmark_bilevel.problems.distillation.problem import DatasetDistillation
from benchmark_bilevel.verification import run_checks
from benchmark_bilevel.verification.cases import small_images
from benchmark_bilevel.verification.problems import PROBLEM_CHECKS


@pytest.fixture(scope="module")
def digits():
    return DatasetDistillation(dataset("digits"))


@pytest.fixture(scope="module")
def small():
    return DatasetDistillation(small_images())


def cross_entropies(scores, y):
    return -log_softmax(scores, axis=1)[np.arange(len(y)), y]


def test_checks_pass(small):
    for result in run_checks(PROBLEM_CHECKS, small):
        assert result.status in ("ok", "not declared"), result


def test_parts(digits):
    """A third is the test; one mean and one scale for all pixels; ten learnt images."""
    outer, test, (mean, scale) = digits._parts
    assert (len(outer.y), len(test.y)) == (1198, 599)
    assert_allclose((outer.X.mean(), outer.X.std()), (0, 1), atol=1e-12)
    pixels = mean + scale * np.vstack([outer.X, test.X])
    assert_allclose(np.sort(pixels, axis=None), np.sort(digits.data["X_train"], None))
    counts = np.bincount(test.y)
    assert counts.min() >= 57 and counts.max() <= 62  # stratified
    assert_array_equal(digits.inner_samples[0], np.arange(10))
    assert (digits.dim_z, digits.dim_x) == (640, 640)
    z, x = digits.initial_point()
    assert not z.any() and is_normal(x * 64)


def is_normal(x):
    return abs(x.mean()) < 0.2 and 0.9 < x.std() < 1.1


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_images_of_ten_classes(name):
    """20,000 random training images are distilled, the test images stay apart."""
    data = real_data(name)
    problem = DatasetDistillation(data)
    outer, test, (mean, scale) = problem._parts
    chosen = np.random.RandomState(32).permutation(60000)[:20000]
    assert_array_equal(outer.y, data["y_train"][chosen])
    assert_array_equal(test.y, data["y_test"])
    assert_allclose(mean + scale * test.X[:50], data["X_test"][:50], atol=1e-10)
    assert_allclose(outer.X.std(), 1)
    assert (problem.dim_z, problem.dim_x, problem.n_inner) == (7840, 7840, 10)


def test_inner_solution_is_in_the_span_of_the_images(small, generator):
    """z*(x) = −1/(2 r) R x / K with R = p − e, a system of K² unknowns for R."""
    x = generator.standard_normal(small.dim_x)
    z = Exact(small).evaluate(x).z.reshape(3, -1)
    images = x.reshape(3, -1)
    R = softmax(images @ z.T, axis=1) - np.eye(3)
    assert_allclose(z, -R.T @ images / 3 / (2 * small.ridge), atol=1e-9)


def test_hypergradient_is_the_slope_of_h(digits, generator):
    x, direction = generator.standard_normal((2, digits.dim_x))
    check_hypergradient(digits, x, direction, 1e-4)


def test_metrics(small, generator):
    """Each of a row, from z and x in NumPy."""
    z, x = generator.standard_normal((2, small.dim_x))
    row = Evaluator(small).metrics(z, x, 0, {}, False)
    solution = Exact(small).evaluate(x)
    outer, test, _ = small._parts
    images, Z = x.reshape(3, -1), z.reshape(3, -1)
    expected = {
        "value": cross_entropies(outer.X @ solution.z.reshape(3, -1).T, outer.y).mean(),
        "hypergradient_norm": np.sqrt(np.sum(solution.hypergradient**2)),
        "inner_distance": np.sqrt(np.sum((z - solution.z) ** 2)),
        "inner_loss": cross_entropies(images @ Z.T, [0, 1, 2]).mean()
        + 0.2 * np.sum(z**2),
        "outer_loss": cross_entropies(outer.X @ Z.T, outer.y).mean(),
    }
    for suffix, w in (("", z), ("_at_solution", solution.z)):
        W = w.reshape(3, -1)
        for name, part in (("validation", outer), ("test", test)):
            right = (part.X @ W.T).argmax(axis=1) == part.y
            expected[f"{name}_accuracy{suffix}"] = right.mean()
        expected[f"test_loss{suffix}"] = cross_entropies(test.X @ W.T, test.y).mean()
    for name, right in expected.items():
        assert_allclose(row[name], right, rtol=1e-9, err_msg=name)
    for name in ("suboptimality", "train_accuracy", "train_accuracy_at_solution"):
        assert np.isnan(row[name])


def test_learnt_images_serve_the_test_set(digits):
    """Ten images replace 1,198; the result file keeps them, in the pixels of the data."""
    run = load_solver("amigo").get_instance(
        step_size=0.2, outer_ratio=0.04, dtype="float32"
    )
    run = run.make_runtime(digits)
    exact, (_, x) = Exact(digits), digits.initial_point()
    before = digits.accuracies(exact.evaluate(x).z, x)["test_accuracy"]
    run.advance(150)
    z, x = (y.astype(float) for y in run.variables())
    after = digits.accuracies(exact.evaluate(x).z, x)["test_accuracy"]
    assert before < 0.3 and after > 0.85
    kept = digits.final_results(z, x)
    assert set(kept) == {"images"} and kept["images"].dtype == np.float32
    mean, scale = digits._parts[2]
    pixels = mean + scale * x.reshape(10, 64)
    assert_allclose(kept["images"], pixels, rtol=1e-5, atol=1e-5)
    # Each learnt image resembles the mean of its class more than that of any other.
    outer = digits.outer_samples
    means = np.array([outer[0][outer[1] == c].mean(axis=0) for c in range(10)])
    similarity = x.reshape(10, 64) @ (means - means.mean(axis=0)).T
    assert (similarity.argmax(axis=1) == np.arange(10)).sum() >= 9


@pytest.mark.parametrize("name", ["breast_cancer", "simulated"])
def test_data_without_pixels_do_not_fit(name):
    with pytest.raises(Inadmissible, match="needs images, with pixels"):
        DatasetDistillation.admit(dataset(name))
