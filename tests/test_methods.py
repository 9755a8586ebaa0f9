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
from benchmark_bilevel.verification.cases import (
    CONSTANT,
    FULL,
    model_of,
    small_problems,
    small_quadratic,
)
from benchmark_bilevel.verification.predictions import iteration


def torch_runtime(name, problem=None, **parameters):
    subject = solver(name, runtime="torch")
    return subject.runtime(problem or small_quadratic(), **CONSTANT, **parameters)


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


@pytest.mark.parametrize("smoothing", [0.01, 1.0, 100.0])
def test_pzobo_is_itd_in_the_mean(smoothing):
    """Along √q times orthogonal directions, whose mean of u uᵀ is the identity.

    z_T is affine in x: for any μ.
    """
    problem, step = small_quadratic(), 0.2
    settings = {"step_size": step, "outer_ratio": 1.0, "n_inner": 3}
    settings |= {"n_perturbations": problem.dim_x, "smoothing": smoothing}
    runtime = torch_runtime("PZOBO", **settings, **FULL)
    generator = np.random.default_rng(0)
    rows, _ = np.linalg.qr(generator.standard_normal((problem.dim_x, problem.dim_x)))
    rows = iter(torch.tensor(np.sqrt(problem.dim_x) * rows))
    runtime.inner.normal = lambda x: next(rows)
    z, x = runtime.variables()
    expected, _, _ = iteration(
        Unrolled(3), model_of(problem), z, np.zeros_like(z), x, x, step
    )
    runtime.advance(1)
    found = (x - runtime.variables()[1]) / step
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_slip_ends_in_a_ball_as_large_as_its_step():
    """Its steps of x do not become shorter on their own."""
    distances = []
    for size in (0.02, 0.005):
        steps = {"step_size": 0.2, "outer_ratio": 0.2 / size}
        runtime = solver("SLIP").runtime(small_quadratic(), **CONSTANT, **FULL, **steps)
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
