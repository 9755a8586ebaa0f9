"""Task problems: rows, exact layer, multi-task ridge, equilibrium, few-shot learning."""

import numpy as np
import pytest
import torch
from conftest import load_solver
from scipy.linalg import svdvals
from sklearn.datasets import load_digits

from benchmark_bilevel.data.glyphs import draw_tasks
from benchmark_bilevel.data.sinusoid import sinusoid_tasks
from benchmark_bilevel.exact.tasks import TaskExact
from benchmark_bilevel.methods.schedules import Schedule
from benchmark_bilevel.problems.tasks.equilibrium import RADIUS, Equilibrium
from benchmark_bilevel.problems.tasks.few_shot import FewShot
from benchmark_bilevel.problems.tasks.ridge import MultiTaskRidge, random_tasks
from benchmark_bilevel.runtimes.gate import own_options
from benchmark_bilevel.runtimes.tasks import TaskRuntime


def runtime(
    problem,
    name,
    step,
    outer_step,
    kept=True,
    batch_size="full",
    dtype="float64",
    **own,
):
    """The solver `name` on a task problem, with constant steps."""
    solver = load_solver(name).get_instance(step_size=step, **own)
    names = {*own_options(solver, "init"), *own_options(solver, "step")}
    return TaskRuntime(
        solver,
        problem,
        Schedule(step, solver.option("linear_step"), outer_step, 0.0, 0.0),
        {name: solver.option(name) for name in names},
        batch_size=batch_size,
        dtype=dtype,
        kept=kept,
    )


@pytest.fixture(scope="module")
def ridge():
    return MultiTaskRidge(random_tasks(n_tasks=9, n_samples=8, dim=3))


@pytest.fixture(scope="module")
def equilibrium():
    X, y = load_digits(return_X_y=True)
    data = {"X_train": X[:300], "y_train": y[:300], "X_test": None, "y_test": None}
    return Equilibrium(data)


def feasible(problem, generator, size=0.05):
    """A point whose A is on the boundary of the feasible set."""
    x = problem.initial_outer() + size * generator.standard_normal(problem.dim_x)
    return problem.project(torch.from_numpy(x)).numpy()


# --- the exact layer ------------------------------------------------------------------


def test_exact_layer_on_ridge_tasks(ridge, generator):
    x = generator.standard_normal(ridge.dim_x)
    found = TaskExact(ridge).evaluate(x)
    np.testing.assert_allclose(found.value, ridge.value_function(x), rtol=1e-13)
    np.testing.assert_allclose(found.z, ridge.inner_solution(x).ravel(), atol=1e-13)
    best = ridge.minimiser()
    assert np.linalg.norm(TaskExact(ridge).evaluate(best).hypergradient) <= 1e-13
    assert found.error <= 1e-12


@pytest.mark.parametrize("kind", ["equilibrium", "sinusoid", "images"])
def test_hypergradient_is_the_derivative_of_h(kind, equilibrium, generator):
    if kind == "equilibrium":
        problem = equilibrium
        x = feasible(problem, generator)
    else:
        problem = few_shot(kind)
        x = problem.initial_outer()
    exact = TaskExact(problem)
    direction = generator.standard_normal(x.size)
    direction /= np.linalg.norm(direction)
    step = 1e-4
    sides = [exact.evaluate(x + s * direction).value for s in (step, -step)]
    slope = exact.evaluate(x).hypergradient @ direction
    difference = (sides[0] - sides[1]) / (2 * step)
    assert abs(difference - slope) <= 1e-6 * max(1, abs(slope))


def test_adjoint_of_an_equilibrium_against_a_dense_solve(equilibrium, generator):
    """(∂F/∂z)ᵀ v = −∇z f, whose matrix is I − diag(s') Aᵀ, transposed by hand."""
    x = feasible(equilibrium, generator)
    found = TaskExact(equilibrium).evaluate(x)
    z, v = (y.reshape(300, -1) for y in (found.z, found.v))
    A, B, c, D, beta = equilibrium.parts(x)
    a, y = equilibrium.inner_samples[0], equilibrium.outer_samples[0]
    np.testing.assert_allclose(z, np.tanh(z @ A + a @ B + c), atol=1e-12)
    for k in (0, 17):
        jacobian = np.eye(z.shape[1]) - (1 - z[k] ** 2)[:, None] * A.T
        scores = z[k] @ D + beta
        p = np.exp(scores - scores.max())
        p /= p.sum()
        fz = D @ (p - np.eye(10)[y[k]])
        np.testing.assert_allclose(v[k], -np.linalg.solve(jacobian.T, fz), atol=1e-11)


def test_projection_clips_the_spectrum(equilibrium, generator):
    outside = equilibrium.initial_outer()
    A = equilibrium.parts(outside)[0]
    A[:] = 0.2 * generator.standard_normal(A.shape)
    projected = equilibrium.project(torch.from_numpy(outside.copy())).numpy()
    assert svdvals(equilibrium.parts(projected)[0])[0] <= RADIUS * (1 + 1e-12)
    U, s, Vt = np.linalg.svd(A)
    nearest = (U * s.clip(max=RADIUS)) @ Vt
    np.testing.assert_allclose(equilibrium.parts(projected)[0], nearest, atol=1e-12)
    inside = equilibrium.initial_outer()
    assert equilibrium.project(torch.from_numpy(inside)).numpy() is not None
    np.testing.assert_array_equal(
        equilibrium.project(torch.from_numpy(inside.copy())).numpy(), inside
    )


# --- the runtime ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, own",
    [("amigo", {"n_inner": 4, "n_linear": 4}), ("soba", {}), ("alset_dagger", {})],
)
def test_methods_that_keep_z_and_v_reach_the_minimum(ridge, name, own):
    run = runtime(ridge, name, 0.5, 0.5, **own)
    run.advance(3000)
    np.testing.assert_allclose(run.variables()[1], ridge.minimiser(), atol=1e-10)


def truncated(problem, n_terms, step, cold):
    """Where Σ_k ∇x f_k + J_k v_k = 0 with a truncated series, in closed form.

    v_k = −η Σ_{j<N} (I − ηH_k)^j ∇f_k(z_k), J_k = −λ I; z_k = z_k*(x), or N steps from 0.
    """
    A, y = problem.inner_samples
    B, t = problem.outer_samples
    n, m, d = A.shape[1], B.shape[1], problem.dim_x
    matrix, vector = np.zeros((d, d)), np.zeros(d)
    for k in range(len(A)):
        H = A[k].T @ A[k] / n + problem.ridge * np.eye(d)
        left = np.linalg.matrix_power(np.eye(d) - step * H, n_terms)
        series = np.linalg.solve(H, np.eye(d) - left)
        slope = problem.ridge * (series if cold else np.linalg.inv(H))
        offset = (series if cold else np.linalg.inv(H)) @ A[k].T @ y[k] / n
        outer = problem.ridge * series @ B[k].T / m
        matrix += outer @ B[k] @ slope
        vector += outer @ (t[k] - B[k] @ offset)
    return np.linalg.solve(matrix, vector)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("name", ["bsgm", "stocbio"])
def test_truncated_methods_rest_where_they_should(ridge, name, kept):
    own = {"bsgm": {"n_steps": 5}, "stocbio": {"n_inner": 5, "n_neumann": 4}}[name]
    if name == "stocbio":
        own["linear_step"] = 0.4
    run = runtime(ridge, name, 0.4, 1.0, kept=kept, **own)
    run.advance(3000)
    cold = name == "bsgm" or not kept
    expected = truncated(ridge, 5, 0.4, cold)
    np.testing.assert_allclose(run.variables()[1], expected, atol=1e-10)
    assert np.linalg.norm(expected - ridge.minimiser()) > 1e-3


def test_small_blocks_leave_the_rest_point_of_independent_tasks(ridge):
    """Rows are those of their tasks: exact inner solutions make every block unbiased."""
    run = runtime(ridge, "amigo", 0.5, 1e-9, batch_size=2, n_inner=50, n_linear=50)
    run.advance(40)
    z, x = run.variables()
    np.testing.assert_allclose(z, ridge.inner_solution(x).ravel(), atol=1e-7)


def test_counts_are_rows_of_data(ridge):
    run = runtime(ridge, "soba", 0.1, 0.1, batch_size=2)
    run.advance(5)  # one epoch: blocks of 2, 2, 2, 2 and 1 tasks
    n, m = 9 * 8, 9 * 8
    assert run.counts.tolist() == [m, n, 0, n, n, 0]


def test_memory_of_the_rows(ridge):
    kept, fresh = (
        runtime(ridge, "soba", 0.1, 0.1, batch_size=2, kept=k) for k in (True, False)
    )
    for run in (kept, fresh):
        run.advance(5)
    assert kept.row_bytes == 9 * 3 * 8 * 2  # z and v of nine tasks
    assert fresh.row_bytes == 0
    assert fresh.variables()[0] is None


def test_a_method_without_memory_does_not_care_whether_rows_are_kept(equilibrium):
    ends = []
    for kept in (True, False):
        run = runtime(
            equilibrium, "bsgm", 1.0, 0.5, kept=kept, batch_size=60, n_steps=3
        )
        run.advance(7)
        ends.append(run.variables()[1])
    np.testing.assert_array_equal(*ends)


# --- few-shot learning ----------------------------------------------------------------


def few_shot(kind, normalisation="per-task"):
    if kind == "sinusoid":
        data = sinusoid_tasks(n_tasks=6, n_test_tasks=3, n_shots=5)
    else:
        generator = np.random.default_rng(5)
        images = generator.random((12, 4, 16, 16), dtype=np.float32)
        data = draw_tasks(images, 3, 2, 2, n_tasks=4, n_test_tasks=2, seed=0)
    return FewShot(data, normalisation=normalisation)


def test_heads_of_curves_are_ridge_regressions():
    problem = few_shot("sinusoid")
    x = problem.initial_outer()
    z = TaskExact(problem).evaluate(x).z.reshape(6, -1)
    inputs, targets = problem.inner_samples
    features, _ = problem.represent_inner(
        torch.from_numpy(x), torch.from_numpy(inputs), torch.from_numpy(targets)
    )
    for k, a in enumerate(features.numpy()):
        system = a.T @ a / len(a) + problem.ridge * np.eye(a.shape[1])
        right = a.T @ targets[k, :, 0] / len(a)
        np.testing.assert_allclose(z[k], np.linalg.solve(system, right), atol=1e-10)


def test_normalisation_is_a_tasks_own_unless_it_is_coupled():
    for normalisation, alone in (("per-task", True), ("coupled", False)):
        problem = few_shot("images", normalisation)
        x = torch.from_numpy(problem.initial_outer())
        indices = torch.from_numpy(problem.inner_samples[0])
        together = problem.network(x, indices)[:1]
        separate = problem.network(x, indices[:1])
        assert torch.allclose(together, separate) is alone


def test_tasks_of_a_test_are_of_other_classes():
    problem = few_shot("images")
    classes = [
        set(np.unique(problem.data[name] // 4)) for name in ("support", "test_support")
    ]
    assert classes[0].isdisjoint(classes[1])
    support, query = problem.data["support"], problem.data["query"]
    assert all(set(s).isdisjoint(q) for s, q in zip(support, query, strict=True))


def test_a_run_learns():
    problem = few_shot("sinusoid")
    run = runtime(problem, "bsgm", 0.2, 0.2, batch_size=2, kept=False, n_steps=10)
    before = problem.outer_metrics(run.variables()[1])["test_loss"]
    run.advance(60)
    assert problem.outer_metrics(run.variables()[1])["test_loss"] < before
