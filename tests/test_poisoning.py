"""Data poisoning: projections, split, closed forms, runtimes, training from zero."""

import numpy as np
import pytest
import torch
from conftest import dataset, load_solver, real_data
from derivatives import check_closed_forms, check_finite_differences, check_means
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from sklearn.model_selection import train_test_split

from benchmark_bilevel.data import Inadmissible
from benchmark_bilevel.exact import linear_systems
from benchmark_bilevel.exact.solve import Exact
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.problems.poisoning.projections import (
    CONSTRAINTS,
    project_row,
    project_rows,
    radius,
)
from benchmark_bilevel.problems.poisoning.scaled_projections import (
    project_row_scaled,
    project_rows_scaled,
)
from benchmark_bilevel.verification.probe import probe

BATCH_SIZE = 64  # divides neither the 599 inner nor the 599 outer samples of digits
NORMS = {"l2": 2, "linf": np.inf, "l1": 1}


def make(data, constraint="l2-then-box"):
    return PROBLEMS["data-poisoning"](data, constraint=constraint)


@pytest.fixture(scope="module")
def digits():
    return make(dataset("digits"))


@pytest.fixture(scope="module")
def mnist():
    return make(real_data("mnist"))


@pytest.fixture
def point(digits, generator):
    z, v = generator.standard_normal((2, digits.dim_z))
    return z, 0.2 * generator.standard_normal(digits.dim_x), v


def run(problem, name, n_iterations, seed=3, **parameters):
    solver = load_solver(name).get_instance(batch_size=BATCH_SIZE, **parameters)
    runtime = solver.make_runtime(problem)
    runtime.start(seed)
    runtime.advance(n_iterations)
    return runtime


# --- projections --------------------------------------------------------------------


def projected(constraint, y, image, radius):
    """By both implementations, which have to agree."""
    row = y.copy()
    project_row(CONSTRAINTS.index(constraint), row, image, radius)
    tensors = torch.tensor(y)[None], torch.tensor(image)[None]
    (other,) = project_rows(constraint, *tensors, radius).numpy()
    assert_allclose(row, other, rtol=1e-12, atol=1e-14)
    return row


def projected_scaled(constraint, y, image, radius, w):
    """The same in the metric of the weights `w`."""
    row = y.copy()
    project_row_scaled(CONSTRAINTS.index(constraint), row, image, radius, w)
    tensors = (torch.tensor(array)[None] for array in (y, image))
    weights = torch.tensor(w)[None]
    (other,) = project_rows_scaled(constraint, *tensors, radius, weights).numpy()
    assert_allclose(row, other, rtol=1e-12, atol=1e-14)
    return row


def nearest(y, low, high, norm=None, radius=1e6, w=1.0):
    """Nearest point of a box and a ball, by sequential quadratic programming.

    In the positive and the negative parts of the variables everything is smooth.
    """
    n = y.size
    size = {1: lambda s: s.sum(), 2: lambda s: s @ s}.get(norm, lambda s: 0.0)
    limit = radius**2 if norm == 2 else radius

    def move(parts):
        return parts[:n] - parts[n:]

    solution = minimize(
        lambda parts: 0.5 * np.sum(w * (move(parts) - y) ** 2) + 1e-9 * parts @ parts,
        np.zeros(2 * n),
        method="SLSQP",
        bounds=[(0, max(b, 0)) for b in high] + [(0, max(-b, 0)) for b in low],
        constraints={"type": "ineq", "fun": lambda parts: limit - size(parts)},
        options={"maxiter": 500, "ftol": 1e-15},
    )
    return move(solution.x)


def solved(constraint, y, image, r, w=1.0):
    """What `nearest` makes of a constraint."""
    norm, order = NORMS[constraint.split("-")[0]], constraint.split("-")[1]
    low, high = -image, 1 - image
    if norm == np.inf:
        return nearest(y, np.maximum(low, -r), np.minimum(high, r), w=w)
    if order == "then":
        everywhere = np.full(y.size, 1e3)
        return nearest(y, -everywhere, everywhere, norm, r, w).clip(low, high)
    return nearest(y, low, high, norm, r, w)


def random_row(seed, n=6):
    generator = np.random.default_rng(seed)
    image = generator.random(n).round(seed % 2)  # black and white on even seeds
    return image, generator.standard_normal(n) * 10.0 ** generator.integers(-1, 2)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_projection_equals_an_independent_solver(constraint, seed):
    image, y = random_row(seed)
    r = 0.2 if constraint == "linf-box" else 0.7
    expected = solved(constraint, y, image, r)
    assert_allclose(projected(constraint, y, image, r), expected, atol=2e-5)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_scaled_projection_equals_an_independent_solver(constraint, seed):
    image, y = random_row(seed)
    r = 0.2 if constraint == "linf-box" else 0.7
    w = np.random.default_rng(seed + 100).uniform(0.3, 3, y.size)
    expected = solved(constraint, y, image, r, w)
    assert_allclose(projected_scaled(constraint, y, image, r, w), expected, atol=2e-5)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_scaled_projection_with_equal_weights_is_the_plain_one(constraint):
    for seed in range(8):
        image, y = random_row(seed, 50)
        for w in (1e-6, 1.0, 1e6):
            found = projected_scaled(constraint, y, image, 1.3, np.full(50, w))
            expected = projected(constraint, y, image, 1.3)
            assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_scaled_projection_at_the_edges(constraint):
    """Weights that differ by 1e12, a point just outside the ball, zero and NaN."""
    norm = NORMS[constraint.split("-")[0]]
    image, w = np.array([0.5, 0.5, 0.25, 1.0]), np.array([1e-6, 1.0, 1e6, 1.0])
    for y in (np.array([0.3, -0.4, 0, 0]) * (1 + 1e-9), np.full(4, 1e8), np.zeros(4)):
        found = projected_scaled(constraint, y, image, 0.5, w)
        assert np.linalg.norm(found, norm) <= 0.5 * (1 + 1e-12)
        assert (found >= -image).all() and (found <= 1 - image).all()
        again = projected_scaled(constraint, found, image, 0.5, w)
        assert_allclose(again, found, rtol=1e-9, atol=1e-14)
    row = np.array([np.nan, 3.0, 0, 0])
    project_row_scaled(CONSTRAINTS.index(constraint), row, image, 0.5, w)
    assert np.isnan(row[0])


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_projection_at_the_edges(constraint, generator):
    image = np.array([0.0, 1.0, 0.5, 0.25, 0.0])
    norm = NORMS[constraint.split("-")[0]]
    for y, r in [
        (np.zeros(5), 1.0),
        (np.zeros(5), 0.0),
        (np.array([-1.0, 1, 0, 0, -2]), 1.0),  # all out of the box, at zero once in
        (np.array([0.3, -0.3, 0, 0, 0]), 0.6),  # inside
        (np.array([0.3, -0.4, 0, 0, 0]), 0.5),  # on the sphere
        (np.array([5.0, -5, 5, -5, 5]), 0.0),  # radius zero
        (np.array([1e8, -1e-8, 3, 0, 0]), 0.7),  # of very different sizes
        (np.full(5, 1e8), 100.0),  # a corner of the box is in the ball
    ]:
        found = projected(constraint, y, image, r)
        rounding = 1e-15 * np.abs(y).max()
        assert np.linalg.norm(found, norm) <= r * (1 + 1e-12) + rounding
        assert (found >= -image).all() and (found <= 1 - image).all()
        again = projected(constraint, found, image, r)
        assert_allclose(again, found, rtol=1e-12, atol=1e-15 + rounding)
    inside = np.array([0.1, -0.1, 0.05, 0.0, 0.1])
    assert_array_equal(projected(constraint, inside, image, 0.5), inside)
    assert np.isnan(projected(constraint, np.full(5, np.nan), image, 0.5)).all()


def test_exact_projection_satisfies_the_optimality_conditions(generator):
    """P(y) = clip(y / (1 + μ)) with μ ≥ 0, on the sphere if μ > 0."""
    for n in (3, 64, 784):
        image, y = generator.random(n), 2 * generator.standard_normal(n)
        r = 0.2 * np.sqrt(n)
        found = projected("l2-box", y, image, r)
        assert_allclose(np.linalg.norm(found), r, rtol=1e-12)
        clipped = (found == -image) | (found == 1 - image)
        ratio = (y / found)[~clipped]
        assert ratio.min() >= 1
        assert_allclose(ratio, ratio[0], rtol=1e-12)  # 1 + μ
        assert (np.abs(y[clipped]) >= ratio[0] * np.abs(found[clipped]) - 1e-12).all()
        published = projected("l2-then-box", y, image, r)
        assert np.linalg.norm(y - found) < np.linalg.norm(y - published)


def test_radii():
    assert radius("l2-box", 784) == 5 and radius("l1-then-box", 784) == 50
    assert_allclose(radius("l2-box", 64), 5 * 8 / 28)
    assert_allclose(radius("l1-then-box", 64), 50 * 64 / 784)
    assert radius("linf-box", 64) == 0.2


# --- the problem --------------------------------------------------------------------


def test_mnist_split(mnist):
    data = mnist.data
    X, X_outer, y, y_outer = train_test_split(
        data["X_train"],
        data["y_train"],
        test_size=0.25,
        stratify=data["y_train"],
        random_state=2,
    )
    _, chosen = train_test_split(
        np.arange(45000), test_size=0.2, stratify=y, random_state=2
    )
    inner, labels, rows = mnist.inner_samples
    assert_array_equal(labels, y)
    assert_array_equal(inner[:100], X[:100] / 255)
    assert_array_equal(mnist.outer_samples[1], y_outer)
    assert_array_equal(mnist.outer_samples[0][:100], X_outer[:100] / 255)
    assert_array_equal(np.flatnonzero(rows >= 0), np.sort(chosen))
    assert_array_equal(rows[rows >= 0], np.arange(9000))
    assert mnist.radius == 5 and mnist.dim_x == 9000 * 784 and mnist.n_outer == 15000


def test_digits_split(digits):
    parts = digits.split
    assert [len(part.y) for part in parts] == [599, 599, 599]
    assert all(part.X.min() == 0 and part.X.max() <= 1 for part in parts)
    assert len(digits.poisonable) == 120
    counts = np.bincount(parts[0].y[digits.poisonable])
    assert counts.min() >= 11 and counts.max() <= 13  # stratified


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("breast_cancer", r"needs images, .*; X_train\[0, 0\] is 17.99"),
        ("simulated", "needs images"),
        (
            "quadratic",
            "needs classification data: X_train, .*; the data have A, B, c, D",
        ),
    ],
)
def test_data_without_pixels_do_not_fit(name, words):
    with pytest.raises(Inadmissible, match=words):
        PROBLEMS["data-poisoning"].admit(dataset(name))


def test_closed_forms_equal_autograd(digits, point):
    check_closed_forms(digits, point, BATCH_SIZE)


def test_mean_over_blocks_is_the_full_batch(digits, point):
    check_means(digits, point, BATCH_SIZE)


def test_a_block_without_poisonable_images(digits, point):
    """Batches of two images: most of them."""
    found, _ = probe(digits, "numba", [point], 2)
    moved = [block["J v"].any() for block in found[0]]
    rows = digits.rows
    assert_array_equal(moved, [(rows[i : i + 2] >= 0).any() for i in range(0, 599, 2)])


def test_closed_forms_equal_finite_differences(digits, point, generator):
    check_finite_differences(digits, point, generator)


def test_exact_evaluation_by_conjugate_gradients(digits, point, monkeypatch):
    """As on MNIST, where the Hessian is too large to be formed."""
    x = digits.project(torch.tensor(point[1])).numpy()
    expected = Exact(digits).evaluate(x)
    monkeypatch.setattr(linear_systems, "DENSE_LIMIT", 100)
    found = Exact(digits).evaluate(x)
    assert_allclose(found.value, expected.value, rtol=1e-10)
    scale = np.abs(expected.hypergradient).max()
    assert_allclose(found.hypergradient, expected.hypergradient, atol=1e-7 * scale)


SETTINGS = {
    "step_size": 0.1,
    "outer_ratio": 1e-5,
    "step_exponent": 0.0,
    "outer_exponent": 0.0,
    "outer_batch_size": "full",
}


@pytest.mark.parametrize(
    ("name", "constraint"),
    [
        *(("soba", name) for name in CONSTRAINTS),
        ("saba", "l2-box"),
        pytest.param("amigo", "l2-box", marks=pytest.mark.exhaustive),
    ],
)
def test_runtimes_give_the_same_iterates(digits, name, constraint):
    problem = PROBLEMS["data-poisoning"](digits.data, constraint=constraint)
    compiled = run(problem, name, 100, runtime="numba", **SETTINGS)
    eager = run(problem, name, 100, runtime="torch", **SETTINGS)
    assert_array_equal(compiled.counts, eager.counts)
    for *both, y0 in zip(
        compiled.variables(), eager.variables(), problem.initial_point(), strict=True
    ):
        assert_allclose(*both, atol=1e-10)
        assert np.abs(both[0] - y0).max() > 0.1
    moves = compiled.variables()[1].reshape(-1, problem.n_pixels)
    norms = np.linalg.norm(moves, NORMS[constraint.split("-")[0]], axis=1)
    assert norms.max() <= problem.radius * (1 + 1e-12)
    pixels = problem.images + moves
    assert pixels.min() >= -1e-15 and pixels.max() <= 1 + 1e-15


def test_an_iteration_touches_the_rows_of_its_batch_only(digits):
    _, x = run(digits, "soba", 5, **SETTINGS).variables()
    touched = x.reshape(-1, digits.n_pixels).any(axis=1)
    starts = np.searchsorted(digits.poisonable, np.arange(0, 600, BATCH_SIZE))
    by_block = np.split(touched, starts[1:])
    assert sum(block.any() for block in by_block) == 4  # v = 0 at first: no move
    assert all(block.all() or not block.any() for block in by_block)


def test_attack_raises_the_validation_loss(digits):
    _, x = run(digits, "soba", 2000, **SETTINGS).variables()
    exact = Exact(digits)
    _, start = digits.initial_point()
    assert exact.evaluate(x).value < exact.evaluate(start).value - 0.2


def test_training_from_zero(digits, point):
    """Heavy ball as in the protocol, against its plain text."""
    x = digits.project(torch.tensor(point[1])).numpy()
    images, labels, _ = digits.inner_samples
    images = images.copy()
    images[digits.poisonable] += x.reshape(-1, digits.n_pixels)
    weights, before = torch.zeros(64, 10, dtype=torch.float64), 0.0
    weights.requires_grad_()
    for _ in range(50):
        scores = torch.tensor(images) @ weights
        loss = torch.nn.functional.cross_entropy(scores, torch.tensor(labels))
        (gradient,) = torch.autograd.grad(loss + 0.1 * (weights**2).mean(), weights)
        before = 0.5 * before - 0.1 * gradient
        weights = (weights + before).detach().requires_grad_()
    z = digits.retrain(x, n_steps=50).reshape(10, 64)
    assert_allclose(z.T, weights.detach(), atol=1e-5)


@pytest.mark.parametrize("value", ["l2", 3, None])
def test_bad_constraint_is_refused(value):
    assert "constraint" in PROBLEMS["data-poisoning"].invalid(constraint=value)
