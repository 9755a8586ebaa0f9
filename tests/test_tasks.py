"""Problems made of tasks: the exact layer, equilibrium models, few-shot learning."""

import numpy as np
import pytest
import torch
from conftest import task_run
from scipy.linalg import svdvals
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn.functional import pad

from benchmark_bilevel.data.glyphs import draw_tasks
from benchmark_bilevel.data.sinusoid import sinusoid_tasks
from benchmark_bilevel.exact.tasks import TaskExact
from benchmark_bilevel.problems.tasks.equilibrium import RADIUS, Equilibrium
from benchmark_bilevel.problems.tasks.few_shot import FewShot
from benchmark_bilevel.problems.tasks.ridge import MultiTaskRidge
from benchmark_bilevel.search.spaces import units_of


@pytest.fixture(scope="module")
def ridge():
    return MultiTaskRidge(MultiTaskRidge.example_data())


@pytest.fixture(scope="module")
def equilibrium():
    X, y = load_digits(return_X_y=True)
    return Equilibrium(
        Equilibrium.admit(
            {"X_train": X[:450], "y_train": y[:450], "X_test": None, "y_test": None}
        )
    )


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


def test_units_of_tasks(ridge, equilibrium):
    """The largest curvature of a task, that of each being one number for Picard steps."""
    z, x = ridge.initial_point()
    exact = TaskExact(ridge)
    hessian = np.array([exact.hvp(z, x, v) for v in np.eye(ridge.dim_z)])
    rows = torch.from_numpy(z).view(ridge.n_tasks, -1)
    first = [torch.as_tensor(array[:1]) for array in ridge.inner_samples]
    own = torch.autograd.functional.hessian(
        lambda row: ridge.inner_loss(row[None], torch.from_numpy(x), *first).sum(),
        rows[0],
    )
    dim = ridge.dim_task
    np.testing.assert_allclose(hessian[:dim, :dim], own, rtol=1e-12, atol=1e-14)
    assert not hessian[:dim, dim:].any()
    largest = np.linalg.eigvalsh(hessian)[-1]
    assert units_of(ridge, 2).inner == pytest.approx(1 / largest, rel=2e-3)
    assert units_of(equilibrium, 2).inner == 1.0


@pytest.mark.parametrize("kind", ["equilibrium", "images", "coupled"])
def test_hypergradient_is_the_derivative_of_h(kind, equilibrium, generator):
    if kind == "equilibrium":
        problem = equilibrium
        x = feasible(problem, generator)
    else:
        normalisation = "coupled" if kind == "coupled" else "per-task"
        problem = few_shot("images", normalisation)
        x = problem.initial_outer()
    exact = TaskExact(problem)
    direction = generator.standard_normal(x.size)
    direction /= np.linalg.norm(direction)
    step = 1e-5
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
    np.testing.assert_array_equal(
        equilibrium.project(torch.from_numpy(inside.copy())).numpy(), inside
    )


def test_tests_of_an_equilibrium_are_of_states_after_twenty_picard_steps(
    equilibrium, generator
):
    x = feasible(equilibrium, generator, 0.3)
    A, B, c, D, beta = equilibrium.parts(x)
    data = equilibrium.data
    _, X, _, y = train_test_split(
        *(data["X_train"], data["y_train"]),
        test_size=1 / 3,
        stratify=data["y_train"],
        random_state=equilibrium.split_seed,
    )
    z = np.zeros((len(X), len(c)))
    for _ in range(20):
        z = np.tanh(z @ A + X / 16 @ B + c)  # digits have 16 levels of grey
    p = softmax(z @ D + beta, axis=1)
    found = equilibrium.outer_metrics(x)
    assert found["test_accuracy"] == np.mean(p.argmax(1) == y)
    loss = -np.mean(np.log(p[np.arange(len(y)), y]))
    np.testing.assert_allclose(found["test_loss"], loss, rtol=1e-10)


# --- few-shot learning ----------------------------------------------------------------


def few_shot(kind, normalisation="per-task", n_tasks=None):
    if kind == "sinusoid":
        data = sinusoid_tasks(n_tasks=n_tasks or 6, n_test_tasks=13, n_shots=5)
    else:
        generator = np.random.default_rng(5)
        images = generator.random((12, 4, 16, 16), dtype=np.float32)
        n_tasks = n_tasks or 4
        data = draw_tasks(images, 3, 2, 2, n_tasks=n_tasks, n_test_tasks=2, seed=0)
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


def test_hypergradient_of_curves_is_autograd_through_the_closed_form():
    problem = few_shot("sinusoid")
    x = torch.from_numpy(problem.initial_outer()).requires_grad_()
    (a, y), (b, t) = (
        (pad(problem.network(x, inputs), (0, 1), value=1.0), targets)
        for inputs, targets in (
            map(torch.from_numpy, samples)
            for samples in (problem.inner_samples, problem.outer_samples)
        )
    )
    n, dim = a.shape[1:]
    penalty = problem.ridge * torch.eye(dim, dtype=a.dtype)
    heads = torch.linalg.solve(a.mT @ a / n + penalty, a.mT @ y / n)
    h = 0.5 * ((b @ heads - t) ** 2).mean()
    (slope,) = torch.autograd.grad(h, x)
    found = TaskExact(problem).evaluate(x.detach().numpy())
    np.testing.assert_allclose(found.value, h.item(), rtol=1e-12)
    error = np.linalg.norm(found.hypergradient - slope.numpy())
    assert error <= 1e-10 * torch.linalg.norm(slope)


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
    run = task_run(
        problem, "bsgm", 0.2, 0.2, batch_size=2, task_state="fresh", n_steps=10
    )
    exact = TaskExact(problem)
    before = exact.evaluate(run.variables()[1]).value
    run.advance(60)
    assert exact.evaluate(run.variables()[1]).value < before


def test_tests_of_curves_are_gradient_descent_on_heads():
    """In float32: ten steps of 0.2 from 0 on the ridge regression of each support."""
    problem = few_shot("sinusoid")
    x = problem.initial_outer()
    support, targets, query, query_targets = (
        problem.data[f"test_{name}"]
        for name in ("support", "support_targets", "query", "query_targets")
    )
    losses = []
    for k in range(len(support)):
        a, b = (
            problem.represent_inner(*(torch.from_numpy(y) for y in (x, part, part)))[0]
            for part in (support[k], query[k])
        )
        a, b, z = a.numpy(), b.numpy(), np.zeros(41)
        for _ in range(10):
            residual = a @ z - targets[k, :, 0]
            z = z - 0.2 * (a.T @ residual / len(a) + problem.ridge * z)
        losses.append(0.5 * np.mean((b @ z - query_targets[k, :, 0]) ** 2))
    found = problem.outer_metrics(x)
    np.testing.assert_allclose(found["test_loss"], np.mean(losses), rtol=1e-5)
    assert set(found) == {"test_loss"}


def test_tests_of_images_are_gradient_descent_on_heads():
    """In float32, on the query; features by the network, all else in NumPy."""
    problem = few_shot("images")
    x = torch.from_numpy(problem.initial_outer()).float()
    support, targets, query, query_targets = (
        problem.data[f"test_{name}"]
        for name in ("support", "support_targets", "query", "query_targets")
    )
    losses, accuracies = [], []
    for k in range(len(support)):
        a, b = (
            problem.represent_inner(x, torch.from_numpy(part[k : k + 1]), None)[0][0]
            for part in (support, query)
        )
        a, b, head = a.detach().numpy(), b.detach().numpy(), np.zeros((3, a.shape[1]))
        for _ in range(10):
            residual = (softmax(a @ head.T, axis=1) - np.eye(3)[targets[k]]) / len(a)
            head = head - 0.2 * (residual.T @ a + problem.ridge * head)
        p = softmax(b @ head.T, axis=1)
        losses.append(-np.mean(np.log(p[np.arange(len(b)), query_targets[k]])))
        accuracies.append(np.mean(p.argmax(1) == query_targets[k]))
    found = problem.outer_metrics(problem.initial_outer())
    assert found == pytest.approx(
        {
            "test_loss": np.mean(losses),
            "test_accuracy": np.mean(accuracies),
            "test_accuracy_deviation": np.std(accuracies, ddof=1),
        },
        rel=1e-4,
    )


@pytest.mark.parametrize(
    ("kind", "normalisation", "n_evaluated"),
    [
        ("sinusoid", "per-task", 100),
        ("images", "per-task", 25),
        ("images", "coupled", 10),
    ],
)
def test_exact_metrics_are_of_the_first_tasks(kind, normalisation, n_evaluated):
    problem = few_shot(kind, normalisation, n_tasks=120)
    assert problem.n_evaluated == n_evaluated
    z = TaskExact(problem).evaluate(problem.initial_outer()).z
    assert z.size == n_evaluated * problem.dim_task


def test_coupled_tasks_are_evaluated_together():
    problem = few_shot("images", "coupled")
    assert list(TaskExact(problem)._chunks()) == [slice(0, 4)]
    assert few_shot("sinusoid", "coupled").coupled is False


def test_other_images_are_another_problem():
    """The samples are indices: images with equal indices would share evaluations."""
    one, other = few_shot("images"), few_shot("images")
    other.data = {**other.data, "images": other.data["images"][::-1]}
    assert one.fingerprint != other.fingerprint


def test_colours_and_bytes():
    generator = np.random.default_rng(5)
    images = generator.integers(0, 256, (12, 4, 16, 16, 3), dtype=np.uint8)
    scores = []
    for given in (images, (images / np.float32(255))):
        data = draw_tasks(given, 3, 2, 2, n_tasks=4, n_test_tasks=2, seed=0)
        problem = FewShot(FewShot.admit(data), normalisation="per-task")
        x = torch.from_numpy(problem.initial_outer())
        scores.append(problem.network(x, torch.from_numpy(problem.inner_samples[0])))
    assert scores[0].shape == (4, 6, 32)
    torch.testing.assert_close(*scores, rtol=1e-6, atol=1e-6)
