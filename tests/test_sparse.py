"""Hyper-parameter selection on sparse data: kernels, factored directions, exact layer."""

import tracemalloc

import numpy as np
import pytest
import torch
from conftest import ROOT, load_plugin, load_solver, real_selection
from scipy.sparse import csr_matrix, random_array
from test_selection import (
    BATCH_SIZE,
    check_close,
    check_derivatives,
    check_float32,
    check_means,
    check_runtimes,
    cross,
    hvp,
    inner_grad,
    oracles,
    outer_grad,
    value,
)

from benchmark_bilevel.exact.metrics import EXACT_METRICS, Evaluator
from benchmark_bilevel.exact.solve import Exact
from benchmark_bilevel.fingerprint import cached_njit
from benchmark_bilevel.methods import (
    add,
    as_variable,
    assign,
    average,
    combine,
    descend,
    dot,
    empty_memory,
    norm,
    saga,
    scale,
    scaled_descend,
    solve_spd,
    square_average,
    system_directions,
    zero_sarah,
    zeros_like,
)
from benchmark_bilevel.methods.directions import Moved
from benchmark_bilevel.oracles.autograd import to_tensor
from benchmark_bilevel.points import evaluation_points
from benchmark_bilevel.problems.classification import Split
from benchmark_bilevel.problems.selection.problem import HyperparameterSelection
from benchmark_bilevel.verification.cases import small_sparse

# Tables and joint calls; series and their means; the recursions.
SOLVERS = ("saba", "stocbio", "mrbo")
OTHERS = ("soba", "amigo", "bsgm", "vrbo")


def make_data(n_classes, n_samples=161, n_features=12):
    """A third of the entries are not zero; one feature and one sample are empty."""
    generator = np.random.default_rng(n_classes)

    def part(n):
        y = np.arange(n) % n_classes
        X = random_array((n, n_features), density=0.3, rng=generator).toarray()
        X[np.arange(n), y] += 1
        X[:, -1] = X[0] = 0
        return csr_matrix(X), y

    X, y = part(n_samples)
    X_test, y_test = part(41)
    return {"X_train": X, "y_train": y, "X_test": X_test, "y_test": y_test}


@pytest.fixture(scope="module", params=[2, 4])
def data(request):
    return make_data(request.param)


@pytest.fixture(scope="module")
def problem(data):
    return HyperparameterSelection(data)


@pytest.mark.parametrize(
    "parametrisation",
    ["default", "per-class-exp", "per-coefficient-lin", "single-exp", "single-lin"],
)
def test_derivatives(data, parametrisation, generator):
    problem = HyperparameterSelection(data, parametrisation=parametrisation)
    check_derivatives(problem, generator)


def test_mean_over_blocks_is_the_full_batch(problem, generator):
    check_means(problem, generator)


def test_float32(problem, generator):
    check_float32(problem, generator)


@pytest.mark.parametrize(
    "solver",
    [*SOLVERS, *(pytest.param(name, marks=pytest.mark.exhaustive) for name in OTHERS)],
)
def test_runtimes(problem, solver):
    check_runtimes(problem, solver, step_size=0.1)


def test_runtimes_with_projection(data):
    problem = HyperparameterSelection(data, parametrisation="per-class-lin")
    x = check_runtimes(problem, "saba", 200, step_size=0.1, outer_ratio=0.005)
    assert (x >= 0).all()


def dense_twin(problem):
    """The same problem on arrays, and how z and x of it follow from the sparse one's."""
    dense = {
        k: v.toarray() if k.startswith("X") else v for k, v in problem.data.items()
    }
    twin = HyperparameterSelection(dense, parametrisation="per-feature-exp")
    # Instead of its own split, which would standardise.
    twin.split = tuple(Split(part.X.toarray(), part.y) for part in problem.split)

    def transposed(z):
        return z.reshape(problem.n_features, -1).T.ravel()

    return twin, transposed, np.log(1 / problem.dim_z)


def test_sparse_equals_dense(problem, generator):
    twin, transposed, shift = dense_twin(problem)
    z, v = generator.standard_normal((2, problem.dim_z))
    x = generator.standard_normal(problem.dim_x)
    ours, theirs = oracles(problem, BATCH_SIZE), oracles(twin, BATCH_SIZE)
    arguments = z, x, v
    other = transposed(z), x + shift, transposed(v)
    for i in (0, ours[0][0].n_blocks - 1):
        for function in (value, cross, inner_grad, hvp):
            actual = function(ours[0][0], *arguments, i)
            if function in (inner_grad, hvp):
                actual = transposed(actual)
            check_close(actual, function(theirs[0][0], *other, i))
        check_close(
            transposed(outer_grad(ours[1][0], *arguments, i)),
            outer_grad(theirs[1][0], *other, i),
        )
    assert problem.accuracies(z, x) == pytest.approx(twin.accuracies(transposed(z), x))


def test_exact_layer_equals_dense(problem, generator):
    """The system of the samples against the Cholesky factor of the Hessian."""
    twin, transposed, shift = dense_twin(problem)
    x = generator.standard_normal(problem.dim_x)
    ours, theirs = Exact(problem).evaluate(x), Exact(twin).evaluate(x + shift)
    check_close(ours.value, theirs.value, 1e-12)
    for actual, expected in (
        (ours.hypergradient, theirs.hypergradient),
        (transposed(ours.z), theirs.z),
        (transposed(ours.v), theirs.v),
    ):
        assert np.linalg.norm(actual - expected) <= 1e-7 * np.linalg.norm(expected)
    direction = generator.standard_normal(problem.dim_x)
    exact = Exact(problem)
    sides = [exact.evaluate(x + s * direction).value for s in (1e-5, -1e-5)]
    slope = (sides[0] - sides[1]) / 2e-5
    assert abs(ours.hypergradient @ direction - slope) <= 1e-6 * max(1, abs(slope))


# --- directions -------------------------------------------------------------------------


@cached_njit
def verbs(inner, outer, z, x, v, i, j):
    """What each verb makes of the factored directions of two blocks, as arrays."""
    a = 0.3
    moved = v.copy()  # the ridge's point itself moves
    descend(moved, a, inner.hvp(z, x, moved, i), outer.grad(z, x, j)[0])
    other = z.copy()  # the ridge's point is elsewhere
    descend(other, a, inner.hvp(z, x, v, i))
    mean = add(inner.grad(z, x, i), inner.grad(z, x, j))
    mean = scale(mean, 0.5)
    halves = zeros_like(z)
    assign(halves, mean)
    f_mean = scale(add(outer.grad(z, x, i)[0], outer.grad(z, x, j)[0]), 0.5)
    f_halves = zeros_like(z)
    assign(f_halves, f_mean)
    product = v.copy()
    assign(product, inner.hvp(z, x, product, i))
    return moved, other, halves, f_halves, product, dot(v, inner.hvp(z, x, v, i))


def test_verbs(problem, generator):
    z, v = generator.standard_normal((2, problem.dim_z))
    x = generator.standard_normal(problem.dim_x)
    (inner, _), (outer, _) = oracles(problem, BATCH_SIZE)
    i, j = 1, outer.n_blocks - 1  # the last block is shorter
    gradients = [inner_grad(inner, z, x, v, k) for k in (i, j)]
    f_gradients = [outer_grad(outer, z, x, v, k) for k in (i, j)]
    product = hvp(inner, z, x, v, i)
    expected = (
        v - 0.3 * (product + f_gradients[1]),
        z - 0.3 * product,
        np.mean(gradients, axis=0),
        np.mean(f_gradients, axis=0),
        product,
        v @ product,
    )
    for actual, array in zip(verbs(inner, outer, z, x, v, i, j), expected, strict=True):
        check_close(actual, array, 1e-14)


@cached_njit
def measures(inner, outer, z, x, v, i, j, memory, fz_memory):
    """What the verbs for every kind of direction make of these, as arrays."""
    gz, hv, fz = inner.grad(z, x, i), inner.hvp(z, x, v, i), outer.grad(z, x, j)[0]
    products = np.array([norm(gz), norm(fz), dot(gz, hv), dot(fz, hv), dot(fz, fz)])
    square, moved, averaged = zeros_like(z), zeros_like(z), zeros_like(z)
    square_average(square, 0.9, gz)
    scaled_descend(moved, 0.3, fz, v * v, 0.1)
    average(averaged, 0.2, hv, fz)
    both = as_variable(combine(2.0, inner.grad(z, x, i), -3.0, inner.grad(z, x, j)), z)
    # Estimates of SAGA, which have the memory's mean as a part.
    saga(inner.grad(z, x, i), memory, i)
    third = as_variable(scale(saga(inner.grad(z, x, j), memory, j), 3.0), z)
    of_f = saga(outer.grad(z, x, j)[0], fz_memory, j)
    size = norm(of_f)
    with_average = as_variable(add(of_f, outer.grad(z, x, i)[0]), z)
    running = v.copy()
    zero_sarah(running, 0.3, inner.grad(z, x, i), inner.grad(v, x, i), memory, i)
    return products, square, moved, averaged, both, third, size, with_average, running


@cached_njit
def sums(inner, outer, z, x, v, i, j):
    return system_directions(inner, outer, z, x, v, np.array([i]), np.array([j]))


@cached_njit
def sum_of_both(inner, outer, z, x, v, i, j):
    return as_variable(add(inner.hvp(z, x, v, i), outer.grad(z, x, j)[0]), z)


def test_rows_of_both_losses(problem, generator):
    """D_v has rows of two data sets, which no direction in factors can hold."""
    z, v = generator.standard_normal((2, problem.dim_z))
    x = generator.standard_normal(problem.dim_x)
    (inner, _), (outer, _) = oracles(problem, BATCH_SIZE)
    i, j = 1, outer.n_blocks - 1
    d_v, d_x = sums(inner, outer, z, x, v, i, j)
    right = hvp(inner, z, x, v, i) + outer_grad(outer, z, x, v, j)
    check_close(d_v, right, 1e-14)
    check_close(d_x, cross(inner, z, x, v, i), 1e-14)
    with pytest.raises(ValueError, match="rows of two data sets"):
        sum_of_both(inner, outer, z, x, v, i, j)


@cached_njit
def solved(outer, z, x, j, matrix):
    return solve_spd(matrix, outer.grad(z, x, j)[0])


def test_a_matrix_is_solved_with_a_direction(problem, generator):
    z, v = generator.standard_normal((2, problem.dim_z))
    x = generator.standard_normal(problem.dim_x)
    _, (outer, _) = oracles(problem, BATCH_SIZE)
    matrix = np.eye(z.size) + np.outer(v, v)
    right = np.linalg.solve(matrix, outer_grad(outer, z, x, v, 0))
    check_close(solved(outer, z, x, 0, matrix), right, 1e-12)


def test_verbs_for_every_kind(problem, generator):
    z, v = generator.standard_normal((2, problem.dim_z))
    x = generator.standard_normal(problem.dim_x)
    (inner, _), (outer, _) = oracles(problem, BATCH_SIZE)
    i, j = 1, outer.n_blocks - 1
    gz, gz_j = (inner_grad(inner, z, x, v, k) for k in (i, j))
    product = hvp(inner, z, x, v, i)
    fz, fz_i = (outer_grad(outer, z, x, v, k) for k in (j, i))
    ridge = problem.regulariser_diagonal(x)
    table = {}  # of the data part, in plain NumPy

    def plain_saga(new, k):
        before = np.sum(list(table.values()), 0) / inner.n_blocks
        estimate = new - table.get(k, 0) + before
        table[k] = new
        return estimate

    plain_saga(gz - ridge * z, i)
    third = 3 * (plain_saga(gz_j - ridge * z, j) + ridge * z)
    old = inner_grad(inner, v, x, v, i)
    running = 0.7 * v + gz - old
    running += 0.3 * (plain_saga(old - ridge * v, i) + ridge * v)
    expected = (
        [np.linalg.norm(gz), np.linalg.norm(fz), gz @ product, fz @ product, fz @ fz],
        0.1 * gz**2,
        -0.3 * fz / (np.abs(v) + 0.1),
        0.2 * (product + fz),
        2 * gz - 3 * gz_j,
        third,
        np.linalg.norm(fz),
        fz + fz_i,
        running,
    )
    memories = inner.memory(z, x)[0], outer.memory(z, x)[0]
    found = measures(inner, outer, z, x, v, i, j, *memories)
    for actual, array in zip(found, expected, strict=True):
        check_close(actual, array, 1e-13)
    mean = np.sum([table[j], gz - ridge * z], 0) / inner.n_blocks  # table[i] is new
    check_close(memories[0].average, mean, 1e-13)


@pytest.mark.parametrize("runtime", ["numba", "torch"])
def test_saga_means_are_the_full_data_gradients(problem, runtime, generator):
    """After one pass at a frozen point; the ridge is not in the tables."""
    solver = load_solver("saba").get_instance(
        runtime=runtime, batch_size=16, outer_batch_size=16, full_memory=False
    )
    solver.step_size = 0.0  # which the validation of parameters refuses
    run = solver.make_runtime(problem)
    for y in run.state[:3]:
        values = generator.standard_normal(len(y))
        y[:] = values if runtime == "numba" else torch.from_numpy(values)
    as_array = np.copy if runtime == "numba" else torch.Tensor.numpy
    run.advance(max(partition.n_blocks for partition in run.partitions))
    z, x, v, (z_memory, v_memory, x_memory), (fz_memory, fx_memory) = run.state
    assert x_memory is None and fx_memory is None
    z, x, v = (as_array(y) for y in (z, x, v))
    (inner, _), (outer, _) = oracles(problem, "full")
    ridge = problem.regulariser_diagonal(x)
    for memory, expected in (
        (z_memory, inner_grad(inner, z, x, v, 0) - ridge * z),
        (v_memory, hvp(inner, z, x, v, 0) - ridge * v),
        (fz_memory, outer_grad(outer, z, x, v, 0)),
    ):
        check_close(as_array(memory[1]), expected)


def test_the_part_that_is_not_sampled_is_scaled_and_added_in_torch():
    """What SAGA leaves out of its table is the ridge of 2 (d + e)."""
    directions = []
    for k in (1.0, 10.0):
        directions.append(torch.tensor([k, 2 * k]))
        directions[-1].not_sampled = torch.tensor([k, 0.0])
    total = scale(add(*directions), 2.0)
    memory = empty_memory(total, 1)
    np.testing.assert_array_equal(saga(total, memory, 0), [22, 44])
    np.testing.assert_array_equal(memory[0], [[0, 44]])


def test_memory_is_that_of_the_residuals(problem):
    """n numbers a class and one array like z, not a row like z for each block."""
    run = load_solver("saba").get_instance(batch_size=1, outer_batch_size=1)
    residuals, average = run.make_runtime(problem).state[3][0]
    assert residuals.size == problem.n_inner * problem.n_scores
    assert average.size == problem.dim_z


def test_sparse_rows_of_torch(problem, generator):
    """Slices and products; twice differentiable, unlike PyTorch's own."""
    design = problem.inner_samples[0]
    rows = to_tensor(design, "float64", "cpu")
    weights = torch.from_numpy(generator.standard_normal((problem.n_features, 3)))
    weights.requires_grad_()
    for part in (slice(0, 7), slice(77, 80)):
        expected = design[part] @ weights.detach().numpy()
        check_close((rows[part] @ weights).detach(), expected)
    assert torch.autograd.gradgradcheck(lambda w: (rows[0:5] @ w).sin(), weights)


# --- evaluation -------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 12])
def test_exact_metrics_are_thinned(problem, limit, monkeypatch):
    """At most so many and the last point; all others have the cheap metrics only."""
    monkeypatch.setattr(type(problem), "max_exact_evaluations", limit)
    evaluator = Evaluator(problem)
    z, x = problem.initial_point()
    points = [0, *evaluation_points(10**6)]
    counts = []
    exact = dict.fromkeys(EXACT_METRICS, 1.0)
    monkeypatch.setattr(
        evaluator, "_exact_metrics", lambda *_: counts.append(0) or exact
    )
    for iterations in points[:-1]:
        before = len(counts)
        metrics = evaluator.metrics(z, x, iterations, {}, False)
        known = np.isfinite([metrics[name] for name in EXACT_METRICS])
        assert known.all() if len(counts) > before else not known.any()
        assert np.isfinite([metrics["inner_loss"], metrics["test_loss"]]).all()
    assert limit / 2 < len(counts) <= limit
    before = len(counts)
    for iterations in (points[-1], 123):
        evaluator.metrics(z, x, iterations, {}, False, ended="budget")
    assert len(counts) == before + 2


def test_exact_metrics_without_reference(problem):
    metrics = Evaluator(problem).metrics(*problem.initial_point(), 0, {}, False)
    assert np.isnan(metrics["suboptimality"])
    assert np.isfinite([metrics["value"], metrics["test_loss_at_solution"]]).all()


# --- 20 Newsgroups ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def newsgroups():
    return real_selection("20newsgroups")


def test_newsgroups(newsgroups):
    """The protocol's sizes and start; SABA without a dense copy of anything."""
    sizes = [part.X.shape for part in newsgroups.split]
    assert sizes == [(5657, 130_107), (5657, 130_107), (7532, 130_107)]
    assert (newsgroups.dim_z, newsgroups.dim_x) == (2_602_140, 130_107)
    assert newsgroups.ridge("float64").scale == 1 / 2_602_140
    z, x = newsgroups.initial_point()
    assert not z.any() and not x.any()
    solver = load_solver("saba").get_instance(step_size=100.0, dtype="float32")
    solver.make_runtime(small_sparse()).advance(1)  # compiled: that memory is another
    tracemalloc.start()
    run = solver.make_runtime(newsgroups)
    run.advance(100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400 * 2**20
    metrics = newsgroups.accuracies(*run.variables())
    assert metrics["test_loss"] < 2.0 and metrics["test_accuracy"] > 0.5


@pytest.mark.parametrize("runtime", ["numba", "torch"])
def test_a_direction_used_too_late_is_refused(tmp_path, runtime):
    """H v refers to v, which ∇z f has moved: by the rehearsal, before numba compiles."""
    text = (ROOT / "solvers" / "soba.py").read_text()
    late = "descend(v, steps.linear, fz)\n        descend(v, steps.linear, hv)"
    assert "descend(v, steps.linear, hv, fz)" in text
    path = tmp_path / "late.py"
    path.write_text(text.replace("descend(v, steps.linear, hv, fz)", late))
    solver = load_plugin(path).Solver.get_instance(runtime=runtime)
    with pytest.raises(Moved):
        run = solver.make_runtime(small_sparse())
        run.start(0)
        run.advance(1)
