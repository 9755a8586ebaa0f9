"""Every solver of ``solvers/`` passes every check, and the seven differ."""

import operator
from functools import cache

import numpy as np
import pytest
import torch
from conftest import ROOT, load_plugin
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark_bilevel import verification
from benchmark_bilevel.problems.quadratic.problem import Quadratic, random_quadratic
from benchmark_bilevel.solver import BilevelSolver
from benchmark_bilevel.verification import NotDeclared
from benchmark_bilevel.verification.cases import (
    CONSTANT,
    FULL,
    RAGGED,
    SmallQuadratic,
    Subject,
    model_of,
    quadratic_data,
    small_quadratic,
)
from benchmark_bilevel.verification.iterations import bias
from benchmark_bilevel.verification.predictions import iteration
from benchmark_bilevel.verification.rates import distances, line, slope
from benchmark_bilevel.verification.solvers import SOLVER_CHECKS

FILES = sorted((ROOT / "solvers").glob("[!_]*.py"))
STEM = operator.attrgetter("stem")
TEXTS = [p for p in FILES if issubclass(load_plugin(p).Solver, BilevelSolver)]
SEVEN = ("SOBA", "SABA", "AmIGO", "stocBiO", "BSGM", "MRBO", "VRBO")


@cache
def subject_of(path, runtime="auto"):
    return Subject(load_plugin(path).Solver, runtime)


def solver(name, **kwargs):
    return subject_of(ROOT / "solvers" / f"{name.lower()}.py", **kwargs)


# What is not asked of some: biased or adaptive methods, and counts that data decide.
BIASED = ["aid_cg", "bome", "hoag", "itd", "nystrom", "rsvrb", "stable", "svrb"]
ADAPTIVE = ["biadam", "slip", "soba_adam", "vr_biadam"]
UNDECLARED = {(stem, "bias") for stem in BIASED + ADAPTIVE} | {("hoag", "counts")}


@pytest.mark.parametrize("check", SOLVER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("path", TEXTS, ids=STEM)
def test_solver_passes(path, check):
    subject = subject_of(path)
    if (path.stem, check.__name__) in UNDECLARED:
        with pytest.raises(NotDeclared):
            check(subject)
    else:
        assert "refused" not in (check(subject) or "")


@cache
def quadratic():
    return Quadratic(random_quadratic())


@pytest.mark.parametrize("path", TEXTS, ids=STEM)
def test_defaults_descend(path):
    """A run with nothing but defaults, on the data set of that name."""
    problem, solver = quadratic(), subject_of(path).solver.get_instance()
    is_skipped, reason = solver.skip(problem)
    if is_skipped:
        assert path.stem == "rsvrb"
        pytest.skip(reason)
    runtime = solver.make_runtime(problem)
    runtime.start(0)
    runtime.advance(200)
    _, x = runtime.variables()
    _, start = problem.initial_point()
    assert problem.value_function(x) < problem.value_function(start)


@pytest.mark.parametrize("path", FILES, ids=STEM)
def test_solver_file_is_short(path):
    assert len(path.read_text().splitlines()) <= 120


def test_all_seven_are_there():
    assert set(SEVEN) <= {subject_of(path).name for path in TEXTS}


def test_no_two_solvers_make_the_same_iterates():
    """One public code runs one method under several names."""
    ends = {}
    for name in SEVEN:
        runtime = solver(name).runtime(small_quadratic(), **CONSTANT, **FULL)
        runtime.advance(6)
        ends[name] = runtime.variables()[1]
    for name in SEVEN:
        for other in SEVEN:
            same = np.allclose(ends[name], ends[other], rtol=1e-9)
            # With full batches a table holds the value itself.
            assert same == (name == other or {name, other} == {"SOBA", "SABA"})
    small = []
    for name in ("SOBA", "SABA"):
        runtime = solver(name).runtime(small_quadratic(), **CONSTANT, **RAGGED)
        runtime.advance(6)
        small.append(runtime.variables()[1])
    assert not np.allclose(*small, rtol=1e-9)


def test_bsgm_is_unbiased_with_its_default_sampling():
    """Its four groups of samples are independent, which no reshuffled epoch is."""
    subject = solver("BSGM")
    bias(subject, sampling=subject.instance().sampling)
    with pytest.raises(verification.Failed, match="samples"):
        bias(subject, sampling="reshuffled")


def test_growing_and_decreasing_bsgm():
    """T = K = J = ⌈c (s + 1)⌉ and steps β / (γ + i), against the dense iteration."""
    settings = {"n_steps": 1, "growth": 1.5, "decrease": 0.25, "step_size": 0.3}
    subject, problem = solver("BSGM"), small_quadratic()
    runtime = subject.runtime(problem, **settings, **CONSTANT, **FULL)
    z, x = runtime.variables()
    for t in range(5):
        estimate = subject.estimate(t, **settings)
        assert estimate.inner_steps == estimate.linear_steps == np.ceil(1.5 * (t + 1))
        v = np.zeros_like(z)
        direction, z, _ = iteration(estimate, model_of(problem), z, v, x, x, 0.3)
        x = x - 0.3 * direction
        runtime.advance(t + 1)
        np.testing.assert_allclose(runtime.variables()[0], z, rtol=1e-10)
        np.testing.assert_allclose(runtime.variables()[1], x, rtol=1e-10)


REDUCED = [p for p in TEXTS if subject_of(p).solver.variance_reduced]


def test_these_reduce_the_variance():
    assert {p.stem for p in REDUCED} == {"mseba", "saba", "sffba", "spaba", "srba"}


@pytest.mark.parametrize("path", REDUCED, ids=STEM)
def test_variance_reduction_makes_a_straight_line(path):
    """With small batches and constant steps h − h* falls by a factor, to 1e-12."""
    steps = {"step_size": 0.2, "linear_step": 0.2, "outer_ratio": 4.0}
    found = line(subject_of(path), **steps)
    assert found.end <= 1e-12 and found.deviation <= 1.0


@pytest.mark.parametrize(
    ("name", "bound"),
    [("SOBA", -1 / 2), ("MA_SOBA", -1 / 2), ("FSLA", -1 / 2), ("SUSTAIN", -2 / 3)],
)
def test_slopes(name, bound):
    """Squared distances fall at least as the bounds of E ‖∇h‖² in the papers."""
    exponents = {}
    if name == "MA_SOBA":  # whose steps are constant, of the order of that
        exponents = {"step_exponent": 0.5, "outer_exponent": 0.5}
    found = slope(solver(name), last=10_000, n_repetitions=10, **exponents)
    assert found <= bound + 0.1


@pytest.mark.parametrize("n_inner", [1, 5, 20])
def test_bome_and_v_pbgd_end_where_t_steps_lead(n_inner):
    """At R_T up to O(1 / γ), which is predicted, and up to O(ρ), which is halved."""
    steps = {"step_size": 0.2, "linear_step": 0.2}
    given = {"n_inner": n_inner, "penalty": 20.0, "ramp": 1, "outer_ratio": 80.0}
    ends = distances(solver("V_PBGD"), 40_000, **steps, **given)
    assert ends.apart < 1e-6 * ends.predicted
    apart = []
    for step in (0.02, 0.01):
        given = {"n_inner": n_inner, "step_size": step, "linear_step": 0.2}
        ends = distances(solver("BOME"), 100_000, outer_ratio=4.0, **given)
        apart.append(ends.apart)
    assert apart[1] < 0.6 * apart[0] and apart[1] < ends.predicted


class Elements(TorchDispatchMode):
    """Counts the numbers that torch's operations write."""

    total = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        results = operation(*args, **(kwargs or {}))
        for result in results if isinstance(results, tuple | list) else (results,):
            if isinstance(result, torch.Tensor):
                self.total += result.numel()
        return results


def elements_of_iterations(subject, n_samples):
    """Numbers written in 20 iterations of SABA with a memory of `n_samples` rows."""
    problem = SmallQuadratic(quadratic_data(n_samples, n_samples))
    batches = {"batch_size": 1, "outer_batch_size": 1, "step_size": 1e-3}
    runtime = subject.runtime(problem, full_memory=False, runtime="torch", **batches)
    with Elements() as elements:
        runtime.advance(20)
    return elements.total


def test_saba_writes_no_more_with_more_data():
    subject = solver("SABA")
    assert elements_of_iterations(subject, 300) == elements_of_iterations(subject, 3000)
