"""What single methods promise beyond the checks that all solvers pass."""

import itertools
import math

import numpy as np
import pytest
import torch
from conftest import dataset, load_plugin
from test_solvers import TEXTS, solver

from benchmark_bilevel.exact import Exact
from benchmark_bilevel.methods import Unrolled, draw_subset
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.runtimes import arrays
from benchmark_bilevel.verification.cases import (
    CONSTANT,
    FULL,
    RAGGED,
    model_of,
    small_problems,
    small_quadratic,
)
from benchmark_bilevel.verification.predictions import iteration


def torch_runtime(name, problem=None, **parameters):
    subject = solver(name, runtime="torch")
    return subject.runtime(problem or small_quadratic(), **CONSTANT, **parameters)


# Settings by which no estimate forgets, and by file.
REMEMBERING = {
    "fsla": {"weight": 1e-12},
    "mrbo": {"inner_momentum": 0.0, "outer_momentum": 0.0},
    "spaba": {"probability": 1e-12},
    "srba": {"period": 100},
    "stable": {"weight": 1e-12},
    "sustain": {"inner_weight": 1e-12, "outer_weight": 1e-12},
    "svrb": {"weight": 1e-12},
    "vr_biadam": {"weight": 1e-12, "memory": 1 - 1e-12},
    "vrbo": {"period": 100, "large_fraction": 0.3},
}


def remembers(subject, **settings):
    """Whether at a frozen point all estimates stay what their first samples said.

    They do if the samples of each are the same at the old and at the new point.
    """
    runtime = subject.runtime(small_quadratic(), **settings, **RAGGED)
    runtime.schedule = runtime.schedule._replace(inner=0.0, linear=0.0, outer=0.0)
    runtime.advance(1)
    before = [runtime._to_numpy(y) for y in arrays(runtime.state)]
    for t in range(1, 8):
        runtime.advance(t + 1)
        after = [runtime._to_numpy(y) for y in arrays(runtime.state)]
        if not all(map(np.allclose, after, before)):
            return False
    return True


def mrbo_weights_are_right(subject):
    """At a frozen point, with full batches, errors of u and d shrink by 1 − weight.

    The weights are β t^(−2/3) and α t^(−2/3).
    """
    weights = {"inner_momentum": 0.8, "outer_momentum": 0.3}
    runtime = subject.runtime(small_quadratic(), **weights, **FULL)
    runtime.schedule = runtime.schedule._replace(inner=0.0, outer=0.0)
    runtime.advance(1)
    estimates = runtime.state[2:4]
    right = [runtime._to_numpy(y) for y in estimates]
    for y in estimates:
        y += 1
    expected = np.ones(2)
    for t in range(1, 9):
        runtime.advance(t + 1)
        expected *= 1 - np.array([*weights.values()]) * t ** (-2 / 3)
        for y, end, error in zip(estimates, right, expected, strict=True):
            if not np.allclose(runtime._to_numpy(y) - end, error, atol=1e-12):
                return False
    return True


def first_calls(subject, **settings):
    """Oracle calls of iteration 0, on 60 samples of g and 40 of f."""
    batches = {"batch_size": 10, "outer_batch_size": 8}
    runtime = subject.runtime(small_quadratic(), **settings, **batches)
    runtime.advance(1)
    return runtime.counts.tolist()


# Of the methods with lengths that scale with others: settings and their first calls.
LENGTHS = {
    "bsgm": ({"n_steps": 4, "mean_ratio": 0.5}, [16, 40, 0, 40, 20, 0]),
    "vrbo": (
        {"n_inner": 3, "n_neumann": 3, "large_fraction": 0.5},
        [88, 110, 0, 330, 110, 0],
    ),
}
# Steps fall as (t + 1)^−exponent: of z and v, and of x. All others are constant.
EXPONENTS = {
    **dict.fromkeys(
        (
            *("ALSET", "ALSET-dagger", "BiAdam", "FSLA", "Nyström", "SLIP", "SOBA"),
            *("SOBA-Adam", "T1-T2"),
        ),
        (1 / 2, 1 / 2),
    ),
    **dict.fromkeys(("MRBO", "RSVRB", "SUSTAIN", "SVRB", "VR-BiAdam"), (1 / 3, 1 / 3)),
    "BSA": (0, 1 / 2),
    "F2SA": (4 / 7, 5 / 7),
    "F3SA": (2 / 5, 3 / 5),
    "TTSA": (2 / 5, 3 / 5),
}


def default_exponents(*solvers):
    """By the names of solver classes, what `EXPONENTS` has."""
    instances = [solver.get_instance() for solver in solvers]
    return {s.name: (s.step_exponent, s.outer_exponent) for s in instances}


def biadam_averages(subject):
    """Whether w ← (w + h) / 2, h being ∇x f + J u at (z, x), with full batches."""
    settings = {"n_terms": 1, "linear_step": 0.4, "weight": 0.5}
    problem = small_quadratic()
    runtime = subject.runtime(problem, **settings, **CONSTANT, **FULL)
    runtime.advance(1)
    _, w, _, _ = runtime.state[2]
    for t in range(1, 5):
        expected = w.numpy() / 2
        runtime.advance(t + 1)
        now = model_of(problem).at(*runtime.variables())
        expected = expected + (now.fx - 0.4 * now.J @ now.fz) / 2
        if not np.allclose(w, expected, atol=1e-12):
            return False
    return True


def averages_start_along_fx(subject, **settings):
    """Whether the first average of x's directions is along ∇x f, as v starts at 0."""
    runtime = subject.runtime(small_quadratic(), **settings, **CONSTANT, **FULL)
    fx = model_of(small_quadratic()).at(*runtime.variables()).fx
    runtime.advance(1)
    d = runtime.state[3].numpy()
    return np.allclose(d / np.linalg.norm(d), fx / np.linalg.norm(fx))


def stable_projects(subject):
    """Whether Ĥ has eigenvalues ≥ μ and Ĵ singular values ≤ C, where that matters."""
    problem = small_quadratic()
    now = model_of(problem).at(*problem.initial_point())
    values, vectors = np.linalg.eigh(now.H)
    floor = np.median(values)
    left, sizes, right = np.linalg.svd(now.J, full_matrices=False)
    bound = np.median(sizes)
    settings = {"convexity": floor, "cross_bound": bound, "step_size": 0.1}
    runtime = subject.runtime(problem, outer_ratio=1.0, **settings, **FULL)
    _, x = runtime.variables()
    runtime.advance(1)
    H = (vectors * values.clip(floor)) @ vectors.T
    J = (left * sizes.clip(max=bound)) @ right
    right = now.fx - J @ np.linalg.solve(H, now.fz)
    return np.allclose((x - runtime.variables()[1]) / 0.1, right)


def keeps_v_in_a_ball(subject, radius=0.01):
    """Whether the first v is along −∇z f, and as long as `radius`."""
    problem = small_quadratic()
    runtime = subject.runtime(problem, radius=radius, **FULL)
    fz = model_of(problem).at(*runtime.variables()).fz
    runtime.advance(1)
    return np.allclose(runtime.state[2], -radius * fz / np.linalg.norm(fz))


def bome_descends_both(subject):
    """Whether its first step is that of the formulas, ∇x f included."""
    problem, step = small_quadratic(), 0.2
    settings = {"n_inner": 2, "barrier": 0.5, "linear_step": 0.1, "outer_ratio": 2.0}
    runtime = subject.runtime(problem, step_size=step, **settings, **FULL)
    z, x = runtime.variables()
    model = model_of(problem)
    now, end = model.at(z, x), model.at(model.inner_descent(z, x, 0.1, 2), x)
    qz, qx = now.gz, now.gx - end.gx
    multiplier = 0.5 - (now.fz @ qz + now.fx @ qx) / (qz @ qz + qx @ qx)
    multiplier = max(multiplier, 0.0)
    runtime.advance(1)
    z_end, x_end = runtime.variables()
    return np.allclose(z_end, z - step * (now.fz + multiplier * qz)) and np.allclose(
        x_end, x - step / 2 * (now.fx + multiplier * qx)
    )


def pzobo_is_itd(subject, smoothing):
    """Whether along √q times orthogonal directions it makes ITD's step, on a quadratic."""
    problem, step = small_quadratic(), 0.2
    settings = {"step_size": step, "outer_ratio": 1.0, "n_inner": 3}
    settings |= {"n_perturbations": problem.dim_x, "smoothing": smoothing}
    runtime = subject.runtime(problem, **settings, **CONSTANT, **FULL)
    generator = np.random.default_rng(0)
    rows, _ = np.linalg.qr(generator.standard_normal((problem.dim_x, problem.dim_x)))
    rows = iter(torch.tensor(np.sqrt(problem.dim_x) * rows))
    runtime.inner.normal = lambda x: next(rows)
    z, x = runtime.variables()
    expected, _, _ = iteration(
        Unrolled(3), model_of(problem), z, np.zeros_like(z), x, x, step
    )
    runtime.advance(1)
    return np.allclose((x - runtime.variables()[1]) / step, expected, atol=1e-9)


def pzobo_shares_samples(subject):
    """Whether differences of runs on z are as small as the perturbation of x."""
    runtime = subject.runtime(small_quadratic(), smoothing=1e-6, **RAGGED)
    _, x = runtime.variables()
    runtime.advance(1)
    return np.abs(runtime.variables()[1] - x).max() < 100


@pytest.mark.parametrize("smoothing", [0.01, 1.0, 100.0])
def test_pzobo_is_itd_in_the_mean(smoothing):
    """z_T is affine in x: for any μ, and directions whose mean of u uᵀ is the identity."""
    assert pzobo_is_itd(solver("PZOBO", runtime="torch"), smoothing)


def test_slip_ends_in_a_ball_as_large_as_its_step():
    """Its steps of x do not become shorter on their own."""
    distances = []
    for size in (0.02, 0.005):
        runtime = torch_runtime("SLIP", step_size=0.2, outer_ratio=0.2 / size, **FULL)
        runtime.advance(round(40 / size))
        _, x = runtime.variables()
        distances.append(np.linalg.norm(x - small_quadratic().minimiser()))
        assert 0.1 * size < distances[-1] < 10 * size
    assert 2 < distances[0] / distances[1] < 8, "a step of a quarter"


def test_f3sa_descends_where_z_is_slow():
    """By its defaults, though its y and z are far from their ends for long."""
    problem = PROBLEMS["hyperparameter-selection"](dataset("digits"))
    _, start = problem.initial_point()
    instance = solver("F3SA").solver.get_instance(runtime="torch")
    runtime = instance.make_runtime(problem)
    runtime.advance(100)
    exact = Exact(problem)
    assert exact.evaluate(runtime.variables()[1]).value < exact.evaluate(start).value


def test_hoag_solves_to_its_tolerances():
    """After iteration t both residuals are within ε r^t, and not far within."""
    problem = small_quadratic()
    runtime = torch_runtime("HOAG", problem, tolerance=0.1, reduction=0.5, **FULL)
    for t in range(6):
        _, x = runtime.variables()
        runtime.advance(t + 1)
        z, v = (runtime.state[k].numpy() for k in (0, 2))
        now, goal = model_of(problem).at(z, x), 0.1 * 0.5**t
        assert 0.1 * goal < np.linalg.norm(now.gz) <= goal
        assert np.linalg.norm(now.H @ v + now.fz) <= goal


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_nystrom_of_some_columns(rank):
    """v = −(ε I + Cᵀ W⁻¹ C)⁻¹ ∇z f with C the drawn rows of H, against its definition."""
    problem, step = small_quadratic(), 0.2
    settings = {"step_size": step, "outer_ratio": 1.0, "n_inner": 1, "ridge": 0.5}
    runtime = torch_runtime("nystrom", problem, rank=rank, **settings, **FULL)
    _, x = runtime.variables()
    runtime.advance(1)
    z, x_end = runtime.variables()
    now = model_of(problem).at(z, x)
    found = (x - x_end) / step - now.fx
    for columns in itertools.combinations(range(problem.dim_z), rank):
        C, W = now.H[list(columns)], now.H[np.ix_(columns, columns)]
        approximation = 0.5 * np.eye(problem.dim_z) + C.T @ np.linalg.solve(W, C)
        right = -now.J @ np.linalg.solve(approximation, now.fz)
        if np.allclose(found, right, rtol=1e-9):
            return
    pytest.fail("no choice of columns makes that step")


@pytest.mark.parametrize("name", REMEMBERING)
def test_estimates_remember(name):
    assert remembers(solver(name, runtime="torch"), **REMEMBERING[name])


def test_mrbo_weights():
    assert mrbo_weights_are_right(solver("MRBO", runtime="torch"))


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_follow_others(name):
    settings, calls = LENGTHS[name]
    assert first_calls(solver(name, runtime="torch"), **settings) == calls


def test_default_exponents_are_those_of_the_papers():
    found = default_exponents(*(load_plugin(path).Solver for path in TEXTS))
    constant = {name: steps for name, steps in found.items() if not any(steps)}
    assert found == constant | EXPONENTS


@pytest.mark.parametrize("outer_ratio", [1e12, 4.0, 0.4])
def test_stable_has_an_inner_error_of_its_own(outer_ratio):
    """z − z*(x) is multiplied by I − ρH whatever x does, on a quadratic."""
    problem, step = small_quadratic(), 0.2
    runtime = torch_runtime("STABLE", step_size=step, outer_ratio=outer_ratio, **FULL)
    model = model_of(problem)
    H = model.at(*runtime.variables()).H
    z, x = runtime.variables()
    error = z - problem.inner_solution(x)
    for t in range(6):
        runtime.advance(t + 1)
        z, x = runtime.variables()
        error = error - step * H @ error
        np.testing.assert_allclose(z - problem.inner_solution(x), error, atol=1e-12)


def test_itd_from_z0_descends_a_function_of_x():
    """Its step is the gradient of f(z_T(x), x), by central differences."""
    problem, step = small_quadratic(), 0.3
    model = model_of(problem)
    runtime = torch_runtime(
        "ITD", step_size=step, outer_ratio=1.0, warm_start=False, n_inner=4, **FULL
    )

    def surrogate(x):
        return model.at(model.inner_descent(model.z0, x, step, 4), x).f

    values = []
    for t in range(5):
        _, x = runtime.variables()
        values.append(surrogate(x))
        runtime.advance(t + 1)
        found = (x - runtime.variables()[1]) / step
        shifts = 1e-5 * np.eye(len(x))
        right = [(surrogate(x + e) - surrogate(x - e)) / 2e-5 for e in shifts]
        np.testing.assert_allclose(found, right, rtol=1e-7, atol=1e-8)
    assert (np.diff(values) < 0).all()


def test_growing_bsa():
    """T = ⌈T_0 √(t + 1)⌉ and N = N_0 + ⌊c log(t + 1)⌋, by the declared iterations."""
    settings = {"n_inner": 2, "growth_exponent": 0.5, "n_terms": 2, "terms_growth": 2.0}
    subject, problem = solver("BSA", runtime="torch"), small_quadratic()
    runtime = subject.runtime(problem, **settings, **CONSTANT, **FULL)
    counts = runtime.counts.copy()
    for t in range(9):
        estimate = subject.estimate(t, **settings)
        assert estimate.inner_steps == math.ceil(2 * math.sqrt(t + 1))
        assert estimate.truncations == 2 + math.floor(2 * math.log(t + 1))
        _, x = runtime.variables()
        runtime.advance(t + 1)
        z, x_next = runtime.variables()
        _, expected, _ = iteration(estimate, model_of(problem), z, 0, x, x_next, 0.1)
        np.testing.assert_allclose(z, expected, rtol=1e-10)
        calls = runtime.counts - counts
        counts = runtime.counts.copy()
        assert calls[3] < estimate.truncations * problem.n_inner


def test_vr_biadam_telescopes():
    """With full batches and one term its estimates are the full ones at (z, x)."""
    runtime = torch_runtime("vr_biadam", n_terms=1, linear_step=0.4, **FULL)
    for t in range(6):
        runtime.advance(t + 1)
        v, w, _, _ = (y.numpy() for y in runtime.state[2])
        now = model_of(small_quadratic()).at(*runtime.variables())
        np.testing.assert_allclose(v, now.gz, atol=1e-12)
        np.testing.assert_allclose(w, now.fx - 0.4 * now.J @ now.fz, atol=1e-12)


def test_vr_biadam_forgets_as_the_square_of_the_step_that_it_made():
    """At a frozen point errors of v and w shrink by 1 − weight · η_t²."""
    subject = solver("vr_biadam", runtime="torch")
    runtime = subject.runtime(small_quadratic(), n_terms=1, weight=0.8, **FULL)
    runtime.schedule = runtime.schedule._replace(inner=0.0, outer=0.0)
    runtime.advance(1)
    averages = runtime.state[2][:2]
    right = [y.numpy().copy() for y in averages]
    for y in averages:
        y += 1
    expected = 1.0
    for t in range(1, 9):
        runtime.advance(t + 1)
        expected *= 1 - 0.8 * (t + 1) ** (-2 / 3)
        for y, end in zip(averages, right, strict=True):
            np.testing.assert_allclose(y.numpy() - end, expected, atol=1e-12)


def test_v_pbgd_keeps_its_step_while_its_penalty_grows():
    """z moves by ρ / γ (∇z f + γ_t ∇z g), however small the first γ_t are."""
    given = {"step_size": 0.1, "penalty": 5.0, "ramp": 1000}
    runtime = torch_runtime("v_pbgd", **given, **FULL)
    for t in range(3):
        z, x = runtime.variables()
        now = model_of(small_quadratic()).at(z, x)
        runtime.advance(t + 1)
        z_end, _ = runtime.variables()
        expected = 0.1 / 5 * (now.fz + 5 * (t + 1) / 1000 * now.gz)
        np.testing.assert_allclose(z - z_end, expected, atol=1e-12)


def test_a_subset_has_no_number_twice():
    runtime = torch_runtime("SOBA")
    subsets = [draw_subset(runtime.inner, 5, 3) for _ in range(400)]
    assert all(len(set(subset)) == 3 for subset in subsets)
    often = np.bincount(np.concatenate(subsets), minlength=5)
    assert often.min() > 180 and often.sum() == 1200  # 240 each in the mean


def test_fo_itd_is_skipped_where_x_would_not_move():
    instance = solver("fo_itd").instance()
    skipped = {p.name for p in small_problems() if instance.skip(p)[0]}
    assert "quadratic" not in skipped
    assert {"hyperparameter-selection", "data-hypercleaning"} <= skipped
    _, reason = instance.skip(
        next(p for p in small_problems() if p.name == "data-hypercleaning")
    )
    assert reason == "FO-ITD moves x along ∇x f, which is 0 in data-hypercleaning"
