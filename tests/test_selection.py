"""Hyper-parameter selection on dense data: every number of classes and parametrisation."""

import click
import numpy as np
import pytest
from conftest import ROOT, dataset, load_plugin, load_solver, real_selection
from numba import njit
from scipy.special import log_softmax, softmax

from benchmark_bilevel.exact.linear_systems import InnerSolveError
from benchmark_bilevel.exact.published import reference_value
from benchmark_bilevel.exact.solve import Exact
from benchmark_bilevel.fingerprint import cached_njit
from benchmark_bilevel.methods.directions import assign, zeros_like
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.oracles.autograd import AutogradInner, AutogradOuter, to_tensor
from benchmark_bilevel.oracles.samplers import Partition, make_sampler
from benchmark_bilevel.problems.selection.problem import (
    GROUPINGS,
    LINKS,
    HyperparameterSelection,
)

PARAMETRISATIONS = ["default", *(f"{g}-{link}" for g in GROUPINGS for link in LINKS)]
BATCH_SIZE = 7  # divides no number of samples below


@cached_njit
def value(oracle, z, x, v, i):
    return oracle.value(z, x, i)


@cached_njit
def inner_grad(inner, z, x, v, i):
    result = zeros_like(z)
    assign(result, inner.grad(z, x, i))
    return result


@cached_njit
def hvp(inner, z, x, v, i):
    result = zeros_like(z)
    assign(result, inner.hvp(z, x, v, i))
    return result


@cached_njit
def cross(inner, z, x, v, i):
    return inner.cross(z, x, v, i)


@cached_njit
def grad_x(inner, z, x, v, i):
    return inner.grad_x(z, x, i)


@cached_njit
def pair(inner, z, x, v, i):
    result = zeros_like(z)
    dz, dx = inner.grads(z, x, i)
    assign(result, dz)
    return result, dx


@cached_njit
def outer_grad(outer, z, x, v, i):
    result = zeros_like(z)
    assign(result, outer.grad(z, x, i)[0])
    return result


@cached_njit
def joint(inner, z, x, v, i):
    first, second = zeros_like(z), zeros_like(z)
    dz, hv, jv = inner.grad_hvp_cross(z, x, v, i)
    assign(first, dz)
    assign(second, hv)
    return first, second, jv


INNER = {
    "value": value,
    "grad": inner_grad,
    "grad_x": grad_x,
    "hvp": hvp,
    "cross": cross,
}
OUTER = {"value": value, "grad": outer_grad}


def oracles(problem, batch_size, dtype="float64"):
    """Pairs (closed form, autograd) of the inner and of the outer oracle."""
    pairs = []
    for name in ("inner", "outer"):
        samples = getattr(problem, f"{name}_samples")
        partition = Partition(samples[0].shape[0], batch_size)
        sampler = make_sampler(partition.n_blocks, "reshuffled", 0, 0)
        counts = np.zeros(len(COUNTS), np.int64)
        make = getattr(problem.kernels, f"make_{name}")
        settings = (samples, partition, sampler, counts, dtype, "cpu")
        autograd = (
            AutogradInner(problem.inner_loss, problem.inner_regulariser, *settings)
            if name == "inner"
            else AutogradOuter(problem.outer_loss, None, *settings, project=None)
        )
        pairs.append((make(problem, partition, sampler, counts, dtype), autograd))
    return pairs


def differentiated(oracle, name, z, x, v, i):
    """What autograd says, as arrays."""
    tensors = [to_tensor(y, "float64", "cpu") for y in (z, x, v)]
    arguments = tensors if name in ("hvp", "cross", "grad_hvp_cross") else tensors[:2]
    result = getattr(oracle, name)(*arguments, i)
    if isinstance(oracle, AutogradOuter) and name == "grad":
        result = result[0]
    if isinstance(result, tuple):
        return tuple(part.numpy() for part in result)
    return result if isinstance(result, float) else result.numpy()


def check_close(actual, expected, tolerance=1e-12):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert np.abs(actual - expected).max() <= tolerance * max(1, np.abs(expected).max())


def check_derivatives(problem, generator):
    """Kernels against autograd (1e-12) and finite differences (1e-6)."""
    z, v = generator.standard_normal((2, problem.dim_z))
    x = generator.random(problem.dim_x)
    for (closed, autograd), functions in zip(
        oracles(problem, BATCH_SIZE), (INNER, OUTER), strict=True
    ):
        last = closed.n_blocks - 1
        for name, function in functions.items():
            for i in (0, last):
                expected = differentiated(autograd, name, z, x, v, i)
                check_close(function(closed, z, x, v, i), expected)
        gradient = functions["grad"]
        step, direction = 1e-5, generator.standard_normal(problem.dim_z)
        sides = [value(closed, z + s * direction, x, v, last) for s in (step, -step)]
        slope = (sides[0] - sides[1]) / (2 * step)
        check_close(gradient(closed, z, x, v, last) @ direction, slope, 1e-6)
    closed, autograd = oracles(problem, BATCH_SIZE)[0]
    parts = [f(closed, z, x, v, 1) for f in (inner_grad, hvp, cross)]
    for actual, expected in zip(joint(closed, z, x, v, 1), parts, strict=True):
        check_close(actual, expected, 1e-14)
    parts_of_pair = [f(closed, z, x, v, 1) for f in (inner_grad, grad_x)]
    for actual, expected in zip(pair(closed, z, x, v, 1), parts_of_pair, strict=True):
        check_close(actual, expected, 1e-14)
    sides = [inner_grad(closed, z + s * v, x, v, 1) for s in (step, -step)]
    check_close(parts[1], (sides[0] - sides[1]) / (2 * step), 1e-6)
    direction = generator.standard_normal(problem.dim_x)
    sides = [inner_grad(closed, z, x + s * direction, v, 1) @ v for s in (step, -step)]
    check_close(parts[2] @ direction, (sides[0] - sides[1]) / (2 * step), 1e-6)
    sides = [value(closed, z, x + s * direction, v, 1) for s in (step, -step)]
    slope = (sides[0] - sides[1]) / (2 * step)
    check_close(parts_of_pair[1] @ direction, slope, 1e-6)


def check_means(problem, generator):
    """The mean over the blocks is the full batch, for a size that divides nothing."""
    z, v = generator.standard_normal((2, problem.dim_z))
    x = generator.random(problem.dim_x)
    small, full = oracles(problem, BATCH_SIZE), oracles(problem, "full")
    for k, functions in enumerate((INNER, OUTER)):
        assert (problem.n_inner, problem.n_outer)[k] % BATCH_SIZE
        for function in functions.values():
            blocks = [
                function(small[k][0], z, x, v, i) for i in range(small[k][0].n_blocks)
            ]
            check_close(np.mean(blocks, axis=0), function(full[k][0], z, x, v, 0))


def check_runtimes(problem, solver, n_iterations=60, **parameters):
    """Both runtimes give the same iterates, float64, and count the same calls."""
    z, x, counts = {}, {}, {}
    for runtime in ("numba", "torch"):
        run = load_solver(solver).get_instance(
            runtime=runtime, batch_size=16, outer_batch_size=24, **parameters
        )
        run = run.make_runtime(problem)
        run.start(seed=1)
        run.advance(n_iterations)
        z[runtime], x[runtime] = run.variables()
        counts[runtime] = run.counts
    np.testing.assert_array_equal(counts["numba"], counts["torch"])
    for iterates, start in zip((z, x), problem.initial_point(), strict=True):
        assert np.abs(iterates["numba"] - iterates["torch"]).max() <= 1e-10
        assert np.abs(iterates["numba"] - start).max() > 1e-4
    return x["numba"]


def check_float32(problem, generator):
    z, v = generator.standard_normal((2, problem.dim_z))
    x = generator.random(problem.dim_x)
    expected = joint(oracles(problem, BATCH_SIZE)[0][0], z, x, v, 0)
    single = oracles(problem, BATCH_SIZE, "float32")[0][0]
    actual = joint(single, *(y.astype(np.float32) for y in (z, x, v)), 0)
    for y, reference in zip(actual, expected, strict=True):
        assert y.dtype == np.float32
        check_close(y, reference, 2e-5)


def make_data(n_classes, n_samples=161, n_features=9):
    """Classes with shifted means; 161 samples make thirds of 53, 54 and 54."""
    generator = np.random.default_rng(n_classes)
    X = generator.standard_normal((n_samples, n_features))
    y = np.arange(n_samples) % n_classes
    X[np.arange(n_samples), y] += 1
    return {"X_train": X, "y_train": y, "X_test": None, "y_test": None}


@pytest.fixture(scope="module", params=[2, 4])
def data(request):
    return make_data(request.param)


@pytest.mark.parametrize("parametrisation", PARAMETRISATIONS)
def test_derivatives(data, parametrisation, generator):
    problem = HyperparameterSelection(data, parametrisation=parametrisation)
    check_derivatives(problem, generator)


@pytest.mark.parametrize("parametrisation", ["default", "per-class-lin"])
def test_mean_over_blocks_is_the_full_batch(data, parametrisation, generator):
    check_means(
        HyperparameterSelection(data, parametrisation=parametrisation), generator
    )


EXHAUSTIVE = [
    pytest.param(solver, parametrisation, marks=pytest.mark.exhaustive)
    for solver in ("soba", "saba", "amigo")
    for parametrisation in ("default", "per-coefficient-lin")
    if (solver, parametrisation) != ("saba", "default")
]


@pytest.mark.parametrize("solver, parametrisation", [("saba", "default"), *EXHAUSTIVE])
def test_runtimes(data, solver, parametrisation):
    problem = HyperparameterSelection(data, parametrisation=parametrisation)
    check_runtimes(problem, solver, step_size=0.1)


def test_linear_parameters_stay_nonnegative(data):
    problem = HyperparameterSelection(data, parametrisation="per-coefficient-lin")
    x = check_runtimes(problem, "soba", 200, step_size=0.1, outer_ratio=0.05)
    assert (x >= 0).all() and (x == 0).any() and (x > 0).any()


def test_float32(data, generator):
    check_float32(HyperparameterSelection(data), generator)


def test_hessian_is_that_of_the_products(data, generator):
    problem = HyperparameterSelection(data)
    closed = oracles(problem, BATCH_SIZE)[0][0]
    z, x = generator.standard_normal(problem.dim_z), generator.random(problem.dim_x)
    matrix = njit(lambda inner, z, x: inner.hessian(z, x, 1))(closed, z, x)
    check_close(matrix, [hvp(closed, z, x, unit, 1) for unit in np.eye(z.size)])


def test_groupings_share_coefficients(data, generator):
    """Equal coefficients give the same loss whatever they are shared by."""
    z = generator.standard_normal(HyperparameterSelection(data).dim_z)
    values = []
    for parametrisation in PARAMETRISATIONS:
        problem = HyperparameterSelection(data, parametrisation=parametrisation)
        penalty = 0.3 if parametrisation.endswith("lin") else np.log(0.3)
        x = np.full(problem.dim_x, penalty)
        values.append(Exact(problem).losses.inner_value(z, x))
        check_close(problem.regulariser_diagonal(x), 0.3)
    check_close(values, values[0], 1e-14)


def test_exact_hypergradient(data, generator):
    for parametrisation in ("default", "per-feature-lin"):
        problem = HyperparameterSelection(data, parametrisation=parametrisation)
        exact = Exact(problem)
        x, direction = generator.random((2, problem.dim_x))
        sides = [exact.evaluate(x + s * direction).value for s in (1e-5, -1e-5)]
        slope = (sides[0] - sides[1]) / 2e-5
        check_close(exact.evaluate(x).hypergradient @ direction, slope, 1e-6)


def test_one_hessian_serves_many_points(generator):
    """What large problems do: an old factor as preconditioner, to the same result."""
    problem = HyperparameterSelection(make_data(4))
    expected, actual = Exact(problem), Exact(problem)
    actual._solver.hessian.is_cheap = False
    _, x = problem.initial_point()
    for shift in (0.0, 0.1, -1.0, -3.0):
        first, second = (exact.evaluate(x + shift) for exact in (expected, actual))
        check_close(second.value, first.value, 1e-12)
        check_close(second.hypergradient, first.hypergradient, 1e-9)


def test_vanishing_penalties():
    """Towards the unregularised limit the softmax shift is all but free."""
    problem = HyperparameterSelection(make_data(4, n_samples=600))
    exact, result = Exact(problem), None
    values = []
    for x in np.arange(-2.0, -30.0, -4.0):
        warm = {} if result is None else {"z": result.z, "v": result.v}
        result = exact.evaluate(np.full(4, x), **warm)
        residual = exact.losses.hvp(result.z, np.full(4, x), result.v)
        fz, _ = exact.losses.outer_grad(result.z, np.full(4, x))
        assert np.linalg.norm(residual + fz) <= 1e-8 * np.linalg.norm(fz)
        values.append(result.value)
    assert abs(values[-1] - values[-2]) <= 1e-8
    without = HyperparameterSelection(
        make_data(4, n_samples=600), parametrisation="per-class-lin"
    )
    limit = Exact(without).evaluate(np.full(4, 1e-12), z=result.z)
    assert abs(limit.value - values[-1]) <= 1e-8


def unpenalised_value(problem):
    """h without a ridge, by Newton's method with the weights of class 0 at 0."""
    (X, y), (X_outer, y_outer) = problem.inner_samples, problem.outer_samples
    n_free = int(y.max())
    units, Z = np.eye(n_free), np.zeros((n_free, X.shape[1]))

    def scores(X):
        return np.hstack([np.zeros((len(X), 1)), X @ Z.T])

    for _ in range(30):
        p = softmax(scores(X), axis=1)[:, 1:]
        gradient = (p - np.eye(n_free + 1)[y, 1:]).T @ X
        curvatures = p[:, :, None] * (units - p[:, None])
        H = np.einsum("ncd,ni,nj->cidj", curvatures, X, X).reshape(Z.size, Z.size)
        Z -= np.linalg.solve(H, gradient.ravel()).reshape(Z.shape)
    rows = np.arange(len(y_outer))
    return -log_softmax(scores(X_outer), axis=1)[rows, y_outer].mean()


@pytest.mark.parametrize("grouping", ["per-class", "per-feature", "per-coefficient"])
def test_no_penalty(grouping):
    """The softmax shift is free: z*(x) is the limit of equal penalties."""
    data = make_data(4, n_samples=600)
    problem = HyperparameterSelection(data, parametrisation=f"{grouping}-lin")
    exact, zero = Exact(problem), np.zeros(problem.dim_x)
    result = exact.evaluate(zero)
    truth = unpenalised_value(problem)
    assert abs(result.value - truth) <= result.error <= 1e-9
    near = exact.evaluate(zero + 1e-9, result.z + 1.0, result.v)
    check_close(result.z, near.z, 1e-6)
    back = exact.evaluate(zero, near.z + 1.0, near.v + 1.0)  # a shift of all classes
    check_close(back.z, result.z, 1e-9)
    check_close(back.hypergradient, result.hypergradient, 1e-6)
    step = 1e-5
    values = [exact.evaluate(zero + k * step).value for k in (1, 2)]
    slope = (4 * values[0] - values[1] - 3 * result.value) / (2 * step)
    check_close(result.hypergradient.sum(), slope, 1e-6)


def test_some_features_without_penalty():
    """As good as with a penalty too small to matter."""
    data = make_data(4, n_samples=600)
    problem = HyperparameterSelection(data, parametrisation="per-feature-lin")
    exact, x = Exact(problem), np.arange(9) % 3 / 10
    result, near = exact.evaluate(x), exact.evaluate(x + 1e-11)
    assert abs(result.value - near.value) <= 1e-10
    check_close(result.hypergradient, near.hypergradient, 1e-6)


def test_classes_that_a_plane_separates_need_a_penalty():
    data = make_data(4, n_samples=60)
    problem = HyperparameterSelection(data, parametrisation="per-class-lin")
    with pytest.raises(InnerSolveError):
        Exact(problem).evaluate(np.zeros(4))


def test_accuracies(data, generator):
    problem = HyperparameterSelection(data)
    z = generator.standard_normal(problem.dim_z)
    metrics = problem.accuracies(z, problem.initial_point()[1])
    test = problem.split[2]
    scores = test.X @ z.reshape(problem.n_scores, -1).T
    if problem.n_scores == 1:
        predicted = (scores[:, 0] > 0).astype(int)
        loss = np.log1p(np.exp(-np.where(test.y == 1, 1, -1) * scores[:, 0])).mean()
    else:
        predicted = scores.argmax(axis=1)
        probability = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        loss = -np.log(probability[np.arange(len(test.y)), test.y]).mean()
    assert metrics["test_accuracy"] == np.mean(predicted == test.y)
    check_close(metrics["test_loss"], loss)


def test_splits():
    """Thirds for small data, fifths for data as large as covtype; standardised."""
    large = HyperparameterSelection(make_data(3, n_samples=100_001, n_features=3))
    sizes = [len(part.y) for part in large.split]
    assert sizes == [64_000, 16_000, 20_001]
    small = HyperparameterSelection(make_data(3))
    assert [len(part.y) for part in small.split] == [53, 54, 54]
    for problem in (large, small):
        inner = problem.split[0]
        check_close(inner.X.mean(axis=0), 0, 1e-12)
        check_close(inner.X.std(axis=0), 1, 1e-12)
    with_test = {**make_data(3), "X_test": np.ones((5, 9)), "y_test": np.zeros(5, int)}
    split = HyperparameterSelection(with_test).split
    assert [len(part.y) for part in split] == [80, 81, 5]
    other = HyperparameterSelection(make_data(3), split_seed=1)
    assert (other.split[0].X != small.split[0].X).any()


def test_both_links_have_one_reference(data):
    names = {
        p: HyperparameterSelection(data, parametrisation=p).fingerprint
        for p in PARAMETRISATIONS
    }
    for grouping in GROUPINGS:
        assert names[f"{grouping}-exp"] == names[f"{grouping}-lin"]
    assert len(set(names.values())) == len(GROUPINGS)


def test_bad_parametrisation_is_refused_in_one_line():
    Objective = load_plugin(ROOT / "objective.py").Objective
    with pytest.raises(
        click.UsageError, match=r"^Bilevel: parametrisation='per-word' is not"
    ) as e:
        Objective.get_instance(
            problem="hyperparameter-selection", parametrisation="per-word"
        )
    assert "\n" not in e.value.message


def test_digits():
    """Ten classes, 1,797 images, thirds; the published reference is not crossed."""
    problem = HyperparameterSelection(dataset("digits"))
    assert (problem.dim_z, problem.dim_x) == (640, 10)
    z, x = problem.initial_point()
    assert (z == 0).all() and (x == -2).all()
    run = load_solver("saba").get_instance(step_size=0.1).make_runtime(problem)
    exact = Exact(problem)
    start = exact.evaluate(x).value
    run.advance(3000)
    z, x = run.variables()
    h_star = reference_value(problem)
    assert h_star - 1e-9 <= exact.evaluate(x).value < start
    assert problem.accuracies(z, x)["test_accuracy"] > 0.93


@pytest.fixture(scope="module")
def covtype():
    return real_selection("covtype")


def test_covtype(covtype):
    """The protocol's sizes and start."""
    sizes = [part.X.shape for part in covtype.split]
    assert sizes == [(371_847, 54), (92_962, 54), (116_203, 54)]
    assert (covtype.dim_z, covtype.dim_x) == (378, 7)
    z, x = covtype.initial_point()
    assert (z == 0).all() and (x == -2).all()
    assert reference_value(covtype) < 0.6335


@pytest.mark.exhaustive
def test_h_on_covtype(covtype):
    """h(−2), and ∇h(−2) by finite differences: a second or more an evaluation."""
    _, x = covtype.initial_point()
    exact = Exact(covtype)
    result = exact.evaluate(x)
    assert abs(result.value - 1.371473611) <= 1e-9
    direction = np.random.default_rng(0).standard_normal(7)
    sides = [
        exact.evaluate(x + s * direction, result.z, result.v).value
        for s in (1e-4, -1e-4)
    ]
    slope = (sides[0] - sides[1]) / 2e-4
    assert abs(result.hypergradient @ direction - slope) <= 1e-6 * abs(slope)
