"""Deep hyper-cleaning: sizes, losses, metrics, and what is said of h."""

import numpy as np
import pytest
from conftest import dataset, load_solver, real_data
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, log_softmax

from benchmark_bilevel.data import Inadmissible
from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.exact.solve import Exact, InnerSolveError
from benchmark_bilevel.notices import say_once
from benchmark_bilevel.problems.hypercleaning.deep import DeepHypercleaning
from benchmark_bilevel.verification import NotDeclared
from benchmark_bilevel.verification.cases import small_images, small_problems
from benchmark_bilevel.verification.problems import batches, hypergradient, losses


class Small(DeepHypercleaning):
    n_hidden = 4


@pytest.fixture(scope="module")
def small():
    return Small(small_images(), corruption=0.5)


@pytest.fixture
def point(small, generator):
    return generator.standard_normal(small.dim_z), generator.standard_normal(30)


def cross_entropies(problem, z, X, y):
    hidden, n_pixels, n_classes = problem.n_hidden, X.shape[1], problem.n_classes
    W1, z = z[: hidden * n_pixels].reshape(hidden, n_pixels), z[hidden * n_pixels :]
    b1, z = z[:hidden], z[hidden:]
    W2, b2 = z[: n_classes * hidden].reshape(n_classes, hidden), z[n_classes * hidden :]
    scores = expit(X @ W1.T + b1) @ W2.T + b2
    return -log_softmax(scores, axis=1)[np.arange(len(y)), y], scores.argmax(
        axis=1
    ) == y


def test_checks_pass(small):
    losses(small)
    batches(small)
    with pytest.raises(NotDeclared, match="not convex"):
        hypergradient(small)


def test_solvers_are_not_judged_by_it():
    assert "deep-hypercleaning" not in {problem.name for problem in small_problems()}


def test_published_sizes():
    """784-300-10 from 5,000 and 5,000 images; the test on the 10,000 test images."""
    data = real_data("mnist")
    problem = DeepHypercleaning(data, corruption=0.5)
    assert problem.dim_z == 784 * 300 + 300 + 300 * 10 + 10
    assert [len(part.y) for part in problem.split] == [5000, 5000, 10000]
    generator = np.random.RandomState(32)
    inner = generator.permutation(60000)[:5000]
    replaced = generator.permutation(5000)[:2500]
    X, labels, _ = problem.inner_samples
    assert_array_equal(X[:50], data["X_train"][inner[:50]] / 255)
    assert (X.min(), X.max()) == (0, 1)
    kept = np.setdiff1d(np.arange(5000), replaced)
    assert_array_equal(labels[kept], data["y_train"][inner][kept])
    assert 0.43 < problem.wrong.mean() < 0.47  # one in ten of 2,500 is right by chance
    z, x = problem.initial_point()
    assert not x.any()
    W1, b1, W2, b2 = np.split(z, np.cumsum([784 * 300, 300, 3000]))
    for part, bound in ((W1, 784), (b1, 784), (W2, 300), (b2, 300)):
        assert 0.6 / np.sqrt(bound) < np.abs(part).max() <= 1 / np.sqrt(bound)


def test_metrics(small, point):
    """Each of a row, from z and x in NumPy; whatever needs z*(x) does not exist."""
    z, x = point
    row = Evaluator(small).metrics(z, x, 0, {}, False)
    inner, outer, test = small.split
    given, wrong = small.given_labels, small.wrong
    given_losses, given_hits = cross_entropies(small, z, inner.X, given)
    outer_losses, outer_hits = cross_entropies(small, z, outer.X, outer.y)
    test_losses, test_hits = cross_entropies(small, z, test.X, test.y)
    kept = x >= 0
    precision, recall = np.mean(~wrong[kept]), np.mean(kept[~wrong])
    expected = {
        "inner_loss": np.mean(expit(x) * given_losses),
        "outer_loss": outer_losses.mean(),
        "train_accuracy": given_hits.mean(),
        "validation_accuracy": outer_hits.mean(),
        "test_accuracy": test_hits.mean(),
        "test_loss": test_losses.mean(),
        "clean_f1": 2 * precision * recall / (precision + recall),
    }
    for name, right in expected.items():
        assert_allclose(row[name], right, rtol=1e-12, err_msg=name)
    unknown = ("value", "suboptimality", "hypergradient_norm", "inner_distance")
    for name in (*unknown, "test_accuracy_at_solution"):
        assert np.isnan(row[name]), name


def test_the_reason_is_given_once(small, point, capsys):
    say_once.cache_clear()
    for iterations in range(3):
        Evaluator(small).metrics(*point, iterations, {}, False)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deep-hypercleaning: the inner problem") and "h or z" in line
    with pytest.raises(InnerSolveError, match="not convex"):
        Exact(small).evaluate(point[1])


def test_wrong_labels_are_found():
    """On digits, from which AmIGO learns within seconds."""
    problem = DeepHypercleaning(dataset("digits"), corruption=0.5)
    run = load_solver("amigo").get_instance(
        step_size=0.3, outer_ratio=0.01, linear_step=0.1, dtype="float32"
    )
    assert problem.dim_z == 64 * 128 + 128 + 128 * 10 + 10
    run = run.make_runtime(problem)
    run.advance(100)
    z, x = (y.astype(float) for y in run.variables())
    metrics = problem.outer_metrics(x)
    assert metrics["clean_f1"] > 0.9 and metrics["corrupted_auc"] > 0.95
    assert problem.accuracies(z, x)["test_accuracy"] > 0.88


def test_other_data_do_not_fit():
    for name, line in (
        ("breast_cancer", "needs images"),
        ("diabetes", "y_train has 214 distinct values in 442 samples"),
        ("quadratic", "needs classification data"),
    ):
        with pytest.raises(Inadmissible, match=line):
            DeepHypercleaning.admit(dataset(name))
