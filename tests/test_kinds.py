"""Each kind of `Estimate` predicts what a method of that kind does."""

from functools import cache
from pathlib import Path

import kinds
import numpy as np
import pytest
from conftest import load_plugin
from kinds import (
    KINDS,
    Adam,
    CentralPenalty,
    ConjugateGradients,
    GradientStart,
    Normalised,
    Penalty,
    Perturbed,
    RandomTruncation,
    Trajectory,
)

from benchmark_bilevel.methods import Calls, Implicit, Penalised, Unrolled
from benchmark_bilevel.verification import Failed, NotDeclared
from benchmark_bilevel.verification.cases import Subject, model_of, small_quadratic
from benchmark_bilevel.verification.conduct import runtimes
from benchmark_bilevel.verification.counting import counts
from benchmark_bilevel.verification.iterations import bias, directions
from benchmark_bilevel.verification.limits import limit
from benchmark_bilevel.verification.predictions import fixed_point, iteration, settled
from benchmark_bilevel.verification.sampling import samples
from benchmark_bilevel.verification.settled import settled_hypergradient


def iterations(subject):
    """On the quadratic; other problems are for the checks of the solvers."""
    return directions(subject, [small_quadratic()])


CHECKS = (settled_hypergradient, iterations, limit)


@cache
def subject_of(solver):
    return Subject(solver)


@pytest.mark.parametrize("solver", KINDS, ids=lambda solver: solver.name)
def test_kind_is_predicted(solver, monkeypatch):
    """A method does what it declares, and not what a slip of the pen would say."""
    subject = subject_of(solver)
    for check in CHECKS:
        check(subject)
    monkeypatch.setattr(solver, "estimate", staticmethod(KINDS[solver]))
    with pytest.raises(Failed):
        for check in CHECKS:
            check(subject)


def test_cold_trajectory_is_the_gradient_of_its_end(monkeypatch):
    """From z0 the direction is the slope of f(z_T(x), x), and z rests at z_T(x)."""
    subject = subject_of(Trajectory)
    monkeypatch.setitem(Trajectory.parameters, "warm", [False])
    for check in CHECKS:
        check(subject)
    model = model_of(small_quadratic())
    estimate = Unrolled(3, warm_z=False, decrease=0.5)
    _, x = small_quadratic().initial_point()

    def end(x):
        z = model.inner_descent(model.z0, x, 0.3, 3, decrease=0.5)
        return model.at(z, x).f

    _, direction = settled(estimate, model, x, 0.3)
    slopes = [(end(x + e) - end(x - e)) / 2e-4 for e in 1e-4 * np.eye(x.size)]
    np.testing.assert_allclose(direction, slopes, rtol=1e-6)


# --- what a kind predicts, against formulas -------------------------------------------


def predicted(estimate, step=0.3):
    return fixed_point(estimate, model_of(small_quadratic()), step)


def test_exact_kinds_rest_at_the_minimum():
    minimum = small_quadratic().minimiser()
    for estimate in (
        Implicit(step=0.4, warm_v=True, simultaneous=True),
        Implicit(3, 2, 0.4, warm_v=True),
        Implicit(None, None),
        Implicit(0, None, simultaneous=True, tracks_x=True),
        Implicit(1, 5, conjugate=True),
    ):
        np.testing.assert_allclose(predicted(estimate), minimum, atol=1e-9)


def test_truncated_kinds_rest_where_the_series_says():
    """R_N: ∇x f − J η Σ_{k<N} (I − ηH)^k ∇z f = 0 at z*(x), N = T for trajectories."""
    problem, step, n_terms = small_quadratic(), 0.3, 4
    model = model_of(problem)

    def direction(x):
        now = model.at(problem.inner_solution(x), x)
        factor = np.eye(problem.dim_z) - step * now.H
        powers = (np.linalg.matrix_power(factor, k) for k in range(n_terms))
        return now.fx - now.J @ (step * sum(powers)) @ now.fz

    origin = direction(np.zeros(problem.dim_x))
    slopes = [direction(unit) - origin for unit in np.eye(problem.dim_x)]
    rest = -np.linalg.solve(np.transpose(slopes), origin)
    for estimate in (
        Implicit(2, n_terms, step),
        Implicit(1, n_terms, step, truncations=n_terms, use="scaled"),
        Unrolled(n_terms),
        Unrolled(n_terms, noisy=True),
    ):
        np.testing.assert_allclose(predicted(estimate, step), rest, atol=1e-9)
    # Penalties with a reference a few steps away come near it as they grow.
    distances = [
        np.linalg.norm(predicted(Penalised(p, reference_steps=n_terms), step) - rest)
        for p in (1e2, 1e4)
    ]
    assert distances[1] < distances[0] / 50


@pytest.mark.parametrize(
    ("nodes", "order"),
    [
        ({1: 1, 0: -1}, 1),
        ({1: 1 / 2, -1: -1 / 2}, 2),
        ({1: 1, 2: -1 / 6, 0: -1 / 2, -1: -1 / 3}, 3),
    ],
)
def test_order_of_penalties(nodes, order):
    """Halving 1/λ divides the distance from the minimum by 2^order."""
    minimum = small_quadratic().minimiser()
    outer_node = 1 if order == 1 else 0
    distances = [
        np.linalg.norm(predicted(Penalised(p, nodes, outer_node)) - minimum)
        for p in (40.0, 80.0)
    ]
    assert np.log2(distances[0] / distances[1]) == pytest.approx(order, abs=0.15)


def test_conjugate_gradients_minimise_over_the_krylov_space():
    """Against the textbook recursion."""
    problem = small_quadratic()
    model, (z, x) = model_of(problem), problem.initial_point()
    now, v = model.at(z, x), np.ones(problem.dim_z)
    r = -now.fz - now.H @ v
    p = r
    for n_steps in range(1, 4):
        a = r @ r / (p @ now.H @ p)
        v, r_old, r = v + a * p, r, r - a * now.H @ p
        p = r + (r @ r) / (r_old @ r_old) * p
        estimate = Implicit(0, n_steps, conjugate=True, warm_v=True)
        _, _, found = iteration(
            estimate, model, z, np.ones(problem.dim_z), x, x, step=0.1
        )
        np.testing.assert_allclose(found, v, rtol=1e-9)


def test_a_use_that_there_is_not():
    with pytest.raises(ValueError, match="use='adam' is none of plain, averaged, "):
        Implicit(use="adam")


# --- methods that declare nothing -----------------------------------------------------


def undeclared(solver, **attributes):
    """The same method without its estimate."""
    return Subject(type(solver.__name__, (solver,), {"estimate": None, **attributes}))


def test_undeclared_adam_is_judged_by_where_it_rests(monkeypatch):
    """On the compiled quadratic: its cycle is long, and the bent one has no kernels."""
    bent = "benchmark_bilevel.verification.settled.bent_quadratic"
    monkeypatch.setattr(bent, small_quadratic)
    subject = undeclared(Adam)
    assert "in each coordinate a positive" in settled_hypergradient(subject)
    assert "the minimum" in limit(subject)
    with pytest.raises(NotDeclared, match="not linear in the estimates"):
        bias(subject)


def test_undeclared_normalised_steps():
    subject = undeclared(Normalised)
    assert settled_hypergradient(subject).endswith("times as long, as a step may be")
    assert "the minimum" in limit(subject)
    with pytest.raises(NotDeclared, match="not linear in the estimates"):
        bias(subject)


@pytest.mark.parametrize("solver", [GradientStart, RandomTruncation])
def test_undeclared_truncation_fails(solver):
    with pytest.raises(Failed, match="truncated, or its warm start forgotten"):
        settled_hypergradient(undeclared(solver))


def test_undeclared_truncation_rests_beside_the_minimum():
    """Even where h falls to the last percents."""
    with pytest.raises(Failed, match="from the minimum"):
        limit(undeclared(GradientStart))


@pytest.mark.parametrize("solver", [Trajectory, Perturbed, Penalty])
def test_admitted_bias_asks_for_a_declaration(solver):
    subject = undeclared(solver)
    with pytest.raises(NotDeclared, match="as unbiased = False admits"):
        settled_hypergradient(subject)
    with pytest.raises(NotDeclared, match="where it has to end"):
        limit(subject)


def test_undeclared_wrong_sign_of_adam(tmp_path):
    """The sign of each coordinate tells a scaled direction from a wrong one."""
    text, right = Path(kinds.__file__).read_text(), "descend(d, -1.0, jv, fx)"
    assert text.count(right) == 1
    path = tmp_path / "wrong_kinds.py"
    path.write_text(
        text.replace(right, "descend(d, 1.0, jv)\n        descend(d, -1.0, fx)")
    )
    with pytest.raises(Failed, match="cross-derivative term J v has the wrong sign"):
        settled_hypergradient(undeclared(load_plugin(path).Adam))


def test_full_batches_are_taken_as_they_are(monkeypatch):
    """Conjugate gradients on a few samples are another method, which nobody runs."""
    monkeypatch.setitem(ConjugateGradients.parameters, "n_linear", [5])
    subject = undeclared(ConjugateGradients)
    found = settled_hypergradient(subject)
    assert set(found.split("; ")) == {"the exact hypergradient"}
    assert bias(subject) == samples(subject) == "its batches are full"
    runtimes(subject)


def test_random_numbers_of_calls_are_right_in_the_mean(monkeypatch):
    def calls(t, b, c, n, m, n_terms):
        return Calls(
            outer_gradients=c,
            inner_gradients=b,
            hessian_vector_products=(n_terms - 1) / 2 * b,
            jacobian_vector_products=b,
        )

    subject = subject_of(RandomTruncation)
    monkeypatch.setattr(
        RandomTruncation, "oracle_calls", staticmethod(calls), raising=False
    )
    counts(subject)
    monkeypatch.setattr(
        RandomTruncation,
        "oracle_calls",
        staticmethod(lambda t, b, c, n, m, n_terms: calls(t, b, c, n, m, n_terms + 1)),
    )
    with pytest.raises(Failed, match=r"declared .* 15 hessian_vector_products"):
        counts(subject)


def test_random_truncation_is_unbiased():
    """Its mean over batches and truncations is the mean over truncations."""
    bias(subject_of(RandomTruncation))


def test_central_penalty_declares_its_model():
    """z may rest at any of the minimisers that the method keeps."""
    zs, _ = settled(
        CentralPenalty.estimate(0, 5.0),
        model_of(small_quadratic()),
        np.zeros(6),
        0.1,
    )
    assert len(zs) == 3
