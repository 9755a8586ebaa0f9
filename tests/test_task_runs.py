"""Runs on tasks: where methods rest, what they count and keep, and what is skipped."""

import re

import numpy as np
import pytest
import torch
from conftest import ROOT, load_plugin, load_solver, task_run

from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.methods.variance_reduction import empty_memory
from benchmark_bilevel.notices import Fault
from benchmark_bilevel.oracles import (
    COUNTS,
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    JACOBIAN_VECTOR,
    OUTER_GRADIENTS,
)
from benchmark_bilevel.problems import fault_of
from benchmark_bilevel.problems.tasks.equilibrium import Equilibrium
from benchmark_bilevel.problems.tasks.few_shot import FewShot
from benchmark_bilevel.problems.tasks.ridge import MultiTaskRidge
from benchmark_bilevel.verification import Failed, run_checks
from benchmark_bilevel.verification.cases import small_quadratic, small_task_problems
from benchmark_bilevel.verification.plugin import checks_of
from benchmark_bilevel.verification.tasks import TASK_CHECKS, batches, inner_problems

N_TASKS, N_ROWS, DIM = 9, 8, 3


@pytest.fixture(scope="module")
def ridge():
    return MultiTaskRidge(MultiTaskRidge.example_data())


@pytest.fixture(scope="module")
def equilibrium():
    (found,) = (p for p in small_task_problems() if isinstance(p, Equilibrium))
    return found


# --- rest points ----------------------------------------------------------------------


def rest(problem, step, z_terms, v_terms):
    """Where Σ_k ∇x f_k + J_k v_k = 0, in closed form.

    z_k is what `z_terms` steps from 0 on g_k give, and v_k what `v_terms` steps from 0 on
    its linear system do; None is an exact solution. J_k = −λ I, and n steps from 0 with
    a matrix H multiply by S = step Σ_{j<n} (I − step H)^j, which tends to H⁻¹.
    """
    A, y = problem.inner_samples
    B, t = problem.outer_samples
    n, m, d = A.shape[1], B.shape[1], problem.dim_x
    matrix, vector = np.zeros((d, d)), np.zeros(d)
    for k in range(len(A)):
        H = A[k].T @ A[k] / n + problem.ridge * np.eye(d)
        S_z, S_v = (
            np.linalg.inv(H)
            if terms is None
            else np.linalg.solve(
                H, np.eye(d) - np.linalg.matrix_power(np.eye(d) - step * H, terms)
            )
            for terms in (z_terms, v_terms)
        )
        left = problem.ridge * S_v @ B[k].T / m
        matrix += left @ B[k] @ (problem.ridge * S_z)
        vector += left @ (t[k] - B[k] @ S_z @ A[k].T @ y[k] / n)
    return np.linalg.solve(matrix, vector)


STEP = 0.4
# Own parameters; steps on z and on v that the rest point stands for, rows kept and fresh.
RESTS = {
    "bsgm": ({"n_steps": 5}, (5, 5), (5, 5)),
    "bsgm_ws": (
        {"n_inner": 5, "n_linear": 4, "n_means": 2, "warm_linear": False},
        (None, 4),
        (5, 4),
    ),
    "stocbio": (
        {"n_inner": 5, "n_neumann": 3, "linear_step": STEP},
        (None, 4),
        (5, 4),
    ),
    "amigo": ({"n_inner": 5, "n_linear": 4}, (None, None), (5, 4)),
    "aid_fp": ({"n_inner": 5, "n_linear": 4}, (None, 4), (5, 4)),
    "aid_cg": ({"n_inner": 5, "n_linear": 20}, (None, None), (5, None)),
    "itd": ({"n_inner": 5}, (None, 5), (5, 5)),
    "alset": ({"n_inner": 5, "n_terms": 1, "linear_step": STEP}, (None, 1), (5, 1)),
    "alset_ls": ({"n_inner": 5, "n_linear": 4}, (None, 4), (5, 4)),
    "alset_dagger": ({}, (None, None), (1, 1)),
    "t1_t2": ({"n_inner": 5}, (None, 1), (5, 1)),
}


@pytest.mark.parametrize("task_state", ["kept", "fresh"])
@pytest.mark.parametrize("name", RESTS)
def test_rest_points(ridge, name, task_state):
    own, kept, fresh = RESTS[name]
    run = task_run(ridge, name, STEP, 8.0, task_state=task_state, **own)
    run.advance(600 if name == "alset_dagger" else 150)
    expected = rest(ridge, STEP, *(kept if task_state == "kept" else fresh))
    np.testing.assert_allclose(run.variables()[1], expected, atol=1e-10)


def test_predictions_differ(ridge):
    """Else the test above could not tell one from another."""
    pairs = {terms for _, kept, fresh in RESTS.values() for terms in (kept, fresh)}
    points = [rest(ridge, STEP, *terms) for terms in pairs]
    for k, point in enumerate(points):
        for other in points[:k]:
            assert np.linalg.norm(point - other) > 1e-3
    np.testing.assert_allclose(rest(ridge, STEP, None, None), ridge.minimiser())


def test_rsvrb_in_numpy(ridge):
    """Once more, from the paper's updates: iterates and counts on the same tasks."""
    own = {"batch_size": 4, "step_size": 0.3, "outer_ratio": 0.2, "convexity": 1.2}
    run = load_solver("rsvrb").get_instance(**own).make_runtime(ridge)
    run.start(3)
    (A, y), (B, t) = ridge.inner_samples, ridge.outer_samples
    z, x, means = np.zeros((N_TASKS, DIM)), np.zeros(DIM), np.zeros((3, DIM))
    counts, drawn, n_clipped = np.zeros(len(COUNTS), int), set(), 0
    for i in range(12):
        run.advance(i + 1)
        drawn.add(block := run.inner.block)
        tasks = range(4 * block, min(4 * block + 4, N_TASKS))
        means[block] = 0
        decrease, gradients = (i + 1) ** (-1 / 3), {}
        for k in tasks:
            H = A[k].T @ A[k] / N_ROWS + ridge.ridge * np.eye(DIM)
            gradients[k] = H @ z[k] - A[k].T @ y[k] / N_ROWS - ridge.ridge * x
            values, vectors = np.linalg.eigh(H)
            n_clipped += np.sum(values < 1.2)
            H = (vectors * values.clip(min=1.2)) @ vectors.T
            fz = B[k].T @ (B[k] @ z[k] - t[k]) / N_ROWS
            # ∇²xz g_k = −λ I and ∇x f_k = 0; three blocks hold nine tasks.
            means[block] += 3 / N_TASKS * ridge.ridge * np.linalg.solve(H, fz)
        x = x - 0.3 / 0.2 * decrease * means.mean(0)
        for k in tasks:
            z[k] -= 0.3 * decrease * gradients[k]
        for kind, times in (
            *((OUTER_GRADIENTS, 1), (INNER_GRADIENTS, 1), (JACOBIAN_VECTOR, 1)),
            (HESSIAN_VECTOR, DIM),
        ):
            counts[kind] += times * N_ROWS * len(tasks)
        found_z, found_x = run.variables()
        np.testing.assert_allclose(found_z, z.ravel(), atol=1e-12)
        np.testing.assert_allclose(found_x, x, atol=1e-12)
        np.testing.assert_array_equal(run.counts, counts)
    assert drawn == {0, 1, 2} and n_clipped > 0


@pytest.mark.parametrize("name, n_iterations", [("soba", 1200), ("rsvrb", 200)])
def test_one_step_an_iteration_needs_rows_that_are_kept(ridge, name, n_iterations):
    kept, fresh = (
        task_run(ridge, name, 0.5, 2.0, task_state=state) for state in ("kept", "fresh")
    )
    kept.advance(n_iterations)
    np.testing.assert_allclose(kept.variables()[1], ridge.minimiser(), atol=1e-10)
    fresh.advance(2)
    one = fresh.variables()[1]
    fresh.advance(3)
    if name == "rsvrb":  # its direction is that at z0 for ever
        np.testing.assert_allclose(fresh.variables()[1], 1.5 * one, rtol=1e-12)
    else:  # v starts at 0, and so does x's direction
        np.testing.assert_array_equal(fresh.variables()[1], ridge.initial_outer())


@pytest.mark.parametrize(
    "name, own, n_iterations",
    [("saba", {"full_memory": False}, 1200), ("rsvrb", {}, 600)],
    ids=["saba", "rsvrb"],
)
def test_memories_of_x_take_away_the_noise_of_blocks(ridge, name, own, n_iterations):
    """Blocks of 2 of 9 tasks, constant steps."""
    run = task_run(ridge, name, 0.5, 0.3, batch_size=2, **own)
    run.advance(n_iterations)
    np.testing.assert_allclose(run.variables()[1], ridge.minimiser(), atol=1e-9)


def test_memories_are_made_once_a_run(ridge, monkeypatch):
    """Not at the first visit of each block, inside the clock; the next run has others."""
    made = []
    monkeypatch.setattr(
        "benchmark_bilevel.oracles.tasks.empty_memory",
        lambda *args: made.append(empty_memory(*args)) or made[-1],
    )
    run = task_run(ridge, "saba", 0.5, 0.3, batch_size=2, task_state="fresh")
    ends = []
    for _ in range(2):
        made.clear()
        run.start(0)
        n_made = len(made)
        run.advance(20)
        assert 0 < len(made) == n_made
        ends.append(run.variables()[1])
    np.testing.assert_array_equal(*ends)


def test_small_blocks_keep_each_task_its_row(ridge):
    run = task_run(ridge, "amigo", 0.5, 1e-9, batch_size=2, n_inner=50, n_linear=50)
    run.advance(40)
    z, x = run.variables()
    np.testing.assert_allclose(z, ridge.inner_solution(x).ravel(), atol=1e-7)


# --- counts, memory, metrics ----------------------------------------------------------


@pytest.mark.parametrize(
    "name, own, calls",
    [
        ("soba", {}, (1, 1, 0, 1, 1, 0)),
        ("bsgm", {"n_steps": 4}, (1, 4, 0, 4, 1, 0)),
        ("aid_cg", {"n_inner": 4, "n_linear": 2}, (1, 4, 0, 3, 1, 0)),
        ("itd", {"n_inner": 4}, (1, 4, 0, 4, 4, 0)),
        ("f2sa", {"n_inner": 4}, (5, 8, 2, 0, 0, 0)),
        ("rsvrb", {}, (1, 1, 0, DIM, 1, 0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_counts_are_rows_of_data(ridge, name, own, calls):
    """An epoch has blocks of 2, 2, 2, 2 and 1 tasks."""
    run = task_run(ridge, name, 0.1, 0.1, batch_size=2, sampling="reshuffled", **own)
    run.advance(5)
    assert run.counts.tolist() == [N_TASKS * N_ROWS * number for number in calls]


@pytest.mark.parametrize(
    "name, own, n_rows",
    [
        ("soba", {}, 2),  # z and v
        ("stocbio", {}, 1),
        ("aid_fp", {}, 3),  # z, z0 and v
        ("itd", {"n_inner": 4}, 2 + 5),  # z, z0 and the trajectory
        ("rsvrb", {}, 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_memory_of_the_rows(ridge, name, own, n_rows):
    for state, expected in (("kept", N_TASKS * DIM * 8 * n_rows), ("fresh", 0)):
        run = task_run(ridge, name, 0.1, 0.1, batch_size=2, task_state=state, **own)
        for _ in range(2):  # the second run starts without those of the first
            run.start(seed=1)
            assert run.row_bytes == 0
            run.advance(5)
            assert run.row_bytes == expected


def test_rows_that_are_fresh_start_afresh(ridge):
    """BSGM never goes on from anything: the same iterates, and no z to be told."""
    ends = []
    for state in ("kept", "fresh"):
        run = task_run(ridge, "bsgm", 0.4, 0.5, 2, task_state=state, n_steps=3)
        run.advance(11)
        ends.append(run.variables())
    np.testing.assert_array_equal(ends[0][1], ends[1][1])
    assert ends[1][0] is None


def test_metrics_of_a_row(ridge):
    run = task_run(ridge, "amigo", 0.4, 0.5, batch_size=2)
    run.advance(7)
    z, x = run.variables()
    evaluator = Evaluator(ridge)
    found = evaluator.metrics(z, x, 7, row_bytes=run.row_bytes)
    rows = z.reshape(N_TASKS, DIM)
    A, y = ridge.inner_samples
    B, t = ridge.outer_samples
    inner = np.mean((np.einsum("knd,kd->kn", A, rows) - y) ** 2) / 2
    inner += ridge.ridge / 2 * np.mean(((rows - x) ** 2).sum(1))
    outer = np.mean((np.einsum("knd,kd->kn", B, rows) - t) ** 2) / 2
    distance = np.linalg.norm(rows - ridge.inner_solution(x))
    for name, right in {
        "inner_loss": inner,
        "outer_loss": outer,
        "inner_distance": distance,
        "value": ridge.value_function(x),
        "suboptimality": ridge.value_function(x)
        - ridge.value_function(ridge.minimiser()),
        "row_bytes": 2 * N_TASKS * DIM * 8,
    }.items():
        np.testing.assert_allclose(found[name], right, rtol=1e-9, err_msg=name)
    without = evaluator.metrics(None, x, 7, row_bytes=0)
    unknown = {name for name in found if without[name] != found[name]}
    unknown -= {name for name in found if np.isnan(found[name] or 0)}
    unknown -= {"value_error"}  # of a solution that started elsewhere
    assert unknown == {"inner_loss", "outer_loss", "inner_distance", "row_bytes"}


# --- the oracles ----------------------------------------------------------------------


def test_oracles_of_a_block(ridge, generator):
    """Values, gradients, products and matrices against the formulas, a short block too."""
    run = task_run(ridge, "soba", 0.1, 0.1, batch_size=2)
    inner, outer, weight = run.inner, run.outer, 5 / 9  # five blocks
    for i, tasks in ((1, slice(2, 4)), (4, slice(8, 9))):
        run._select(i)
        A, y = (torch.from_numpy(part[tasks]) for part in ridge.inner_samples)
        B, t = (torch.from_numpy(part[tasks]) for part in ridge.outer_samples)
        z, v = (
            torch.from_numpy(generator.standard_normal((len(A), DIM))) for _ in "zv"
        )
        x = torch.from_numpy(generator.standard_normal(DIM))
        H = A.mT @ A / N_ROWS + ridge.ridge * torch.eye(DIM)
        residual = (A @ z[..., None])[..., 0] - y
        gz = (A.mT @ residual[..., None])[..., 0] / N_ROWS + ridge.ridge * (z - x)
        g = 0.5 * (residual**2).mean(1) + ridge.ridge / 2 * ((z - x) ** 2).sum(1)
        flat, flat_v = z.flatten(), v.flatten()
        Hv = (H @ v[..., None]).flatten()
        right = {
            # A value needs no derivative of what is represented; others do.
            "value": (inner.value(flat, x, i), weight * g.sum()),
            "grad": (inner.grad(flat, x, i), gz.flatten()),
            "grad_x": (
                inner.grad_x(flat, x, i),
                -weight * ridge.ridge * (z - x).sum(0),
            ),
            "hvp": (inner.hvp(flat, x, flat_v, i), Hv),
            "hessian": (inner.hessian(flat, x, i) @ flat_v, Hv),
            "cross": (
                inner.cross(flat, x, flat_v, i),
                -weight * ridge.ridge * v.sum(0),
            ),
            "cross_matrix": (
                inner.cross_matrix(flat, x, i) @ flat_v,
                -weight * ridge.ridge * v.sum(0),
            ),
        }
        fz, fx = outer.grad(flat, x, i)
        rest_f = (B @ z[..., None])[..., 0] - t
        right["fz"] = fz, (B.mT @ rest_f[..., None]).flatten() / N_ROWS
        assert fx is None
        for name, (found, expected) in right.items():
            torch.testing.assert_close(
                torch.as_tensor(found, dtype=torch.float64), expected, msg=name
            )


def test_a_value_first_leaves_derivatives_right():
    """What is computed once for an x has to carry its graph."""
    (problem,) = (p for p in small_task_problems() if isinstance(p, FewShot))
    run = task_run(problem, "soba", 0.1, 0.1, batch_size=2)
    z, x = run.state[:2]
    v, x = torch.ones_like(z), x.clone()
    right = run.inner.cross(z, x, v, 0)
    again = x.clone()
    run.inner.value(z, again, 0)
    torch.testing.assert_close(run.inner.cross(z, again, v, 0), right)
    assert torch.linalg.norm(right) > 0


def test_a_problem_may_project_in_scaled_norms():
    class Boxed(MultiTaskRidge):
        def project(self, x):
            return x.clamp(-0.1, 0.1)

        def project_scaled(self, x, weights):
            return self.project(x)

    run = task_run(Boxed(MultiTaskRidge.example_data()), "soba_adam", 0.4, 0.5, 2)
    run.advance(20)
    assert np.abs(run.variables()[1]).max() == 0.1


def test_a_divergence_is_one_under_a_projection_that_needs_an_svd(equilibrium):
    run = task_run(equilibrium, "bsgm", 3.0, 1e3, 8, linear_step=1e3, n_steps=100)
    run.advance(20)
    assert run.diverged


def test_fixed_points_have_no_losses(equilibrium):
    run = task_run(equilibrium, "soba", 1.0, 0.5, batch_size=8)
    z, x = run.state[:2]
    for kind in ("value", "grad_x", "grads"):
        with pytest.raises(Fault, match=r"equilibrium has fixed points .* and no g"):
            getattr(run.inner, kind)(z, x, 0)


# --- what is skipped ------------------------------------------------------------------


def test_one_task_is_too_few():
    """Which variables belong to a task shows in how they grow."""
    data = MultiTaskRidge.example_data()
    one = {name: array[:1] for name, array in data.items()}
    skipped, reason = load_solver("soba").get_instance().skip(MultiTaskRidge(one))
    assert skipped and reason.endswith("is made of tasks, and here is one only")


def test_a_regulariser_beside_the_losses_of_tasks_is_refused():
    class Mine(MultiTaskRidge):
        def inner_regulariser(self, z, x):
            return (z**2).sum()

    assert "which problems made of tasks add to inner_loss" in fault_of(Mine)


OTHERS = {"sffba", "mseba", "srba", "spaba", "mrbo", "vrbo", "sustain", "fsla"}
OTHERS |= {"biadam", "vr_biadam", "f3sa", "svrb", "stable", "pzobo", "bome", "slip"}
NEED_G = {"aid_cg", "f2ba", "f2sa", "f2sa_p", "v_pbgd", "rsvrb", "hoag", "nystrom"}
YARDSTICKS = {"l_bfgs_b", "random_search", "tpe"}
SCALED = {"soba_adam"}  # the equilibrium's set has no scaled projection
FILES = sorted((ROOT / "solvers").glob("[!_]*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_makes_no_sense_is_skipped(path, ridge, equilibrium):
    name, solver = path.stem, load_plugin(path).Solver.get_instance()
    reasons = [solver.skip(problem)[1] for problem in (ridge, equilibrium)]
    if name in OTHERS:
        assert all("needs all of z at a time" in reason for reason in reasons)
    elif name in YARDSTICKS:
        words = "counts what exact inner solves cost|needs Optuna|takes up to 1,000"
        assert all(re.search(words, reason) for reason in reasons)
    elif name == "saba":
        assert all("full_memory=False" in reason for reason in reasons)
        solver = load_solver(name).get_instance(full_memory=False)
        assert not any(solver.skip(problem)[0] for problem in (ridge, equilibrium))
    elif name in NEED_G:
        assert reasons[0] is None
        assert "the inner problem of equilibrium is a fixed point" in reasons[1]
    elif name in SCALED:
        assert reasons[0] is None
        assert "project_scaled" in reasons[1]
    elif name == "fo_itd":
        assert "which is 0 in multi-task-ridge" in reasons[0]
        assert reasons[1] is None
    else:
        assert reasons == [None, None]


def test_sizes_that_are_skipped(ridge):
    rsvrb = load_solver("rsvrb")
    large = MultiTaskRidge({**ridge.data, "task_A": np.zeros((9, 8, 300))})
    assert rsvrb.get_instance(batch_size=1).skip(large) == (False, None)
    skipped, reason = rsvrb.get_instance(batch_size=2).skip(large)
    assert skipped and "here it is 600" in reason
    large.largest_batch = 4
    skipped, reason = load_solver("itd").get_instance().skip(large)
    assert (
        skipped and "on 9 tasks may not fit into memory: batch_size at most" in reason
    )


def test_rows_are_fresh_on_tasks_only():
    problem = small_quadratic()
    skipped, reason = load_solver("soba").get_instance(task_state="fresh").skip(problem)
    assert (skipped, reason) == (
        True,
        "quadratic is not made of tasks: task_state=kept",
    )


# --- verification ---------------------------------------------------------------------


@pytest.mark.parametrize("problem", small_task_problems(), ids=lambda p: p.name)
def test_problems_pass(problem):
    results = list(run_checks(TASK_CHECKS, problem))
    assert [result.status for result in results] == ["ok"] * len(TASK_CHECKS), results


class Steep(Equilibrium):
    contraction = 0.01


def test_a_wrong_contraction_is_found(equilibrium):
    with pytest.raises(Failed, match=r"above the declared 0\.01"):
        inner_problems(Steep(equilibrium.data))


class Mixed(MultiTaskRidge):
    """Each task is pulled to the mean of those drawn."""

    def inner_loss(self, z, x, A, y):
        return super().inner_loss(z, x, A, y) + (z.mean(0) ** 2).sum()


class Halved(MultiTaskRidge):
    """Its two projections differ."""

    def project(self, x):
        return x.clamp(-1.0, 1.0)

    def project_scaled(self, x, weights):
        return x.clamp(-0.5, 0.5)


def test_projections_that_differ_are_found(ridge):
    first, *_ = run_checks(TASK_CHECKS, Halved(ridge.data))
    assert first.status == "FAIL"
    assert "project_scaled with weights 1 is another point" in first.text


def test_tasks_that_are_not_separate_are_found(ridge):
    with pytest.raises(Failed, match="from blocks of tasks is off"):
        batches(Mixed(ridge.data))


def test_check_of_the_guide_s_task_problem(tmp_path):
    guide = (ROOT / "docs" / "add-a-problem.md").read_text()
    (text,) = re.findall("```python\n(.*?)```", guide, re.S)
    (tmp_path / "mine.py").write_text(text)
    ((name, results),) = checks_of(tmp_path / "mine.py")
    assert name == "problem pulled-together"
    assert [result.status for result in results] == ["ok"] * len(TASK_CHECKS)
