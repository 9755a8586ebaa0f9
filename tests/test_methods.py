"""What single methods promise beyond the checks that all solvers pass."""

import math

import numpy as np
import pytest
import torch
from test_solvers import solver

from benchmark_bilevel.methods import draw_subset
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


def fsla_remembers(subject):
    """With weight 0 in effect, d at a frozen point stays what its first samples said."""
    runtime = subject.runtime(small_quadratic(), weight=1e-12, **RAGGED)
    runtime.schedule = runtime.schedule._replace(inner=0.0, linear=0.0, outer=0.0)
    runtime.advance(1)
    d = runtime.state[3].clone()
    for t in range(1, 8):
        runtime.advance(t + 1)
        if not torch.allclose(runtime.state[3], d):
            return False
    return True


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
