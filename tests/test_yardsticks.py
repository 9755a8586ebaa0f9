"""L-BFGS-B, random search and TPE on exact values: results, counts, budgets, bounds."""

import numpy as np
import pytest
from benchopt.utils.run_context import RunContext
from conftest import load_solver, make_problem
from scipy.sparse import csr_array

from benchmark_bilevel.exact.feasible import box_of, projected
from benchmark_bilevel.exact.losses import CompiledLosses
from benchmark_bilevel.exact.solve import Exact, InnerSolveError
from benchmark_bilevel.oracles import COUNTS, HESSIAN_VECTOR
from benchmark_bilevel.problems.hypercleaning.deep import DeepHypercleaning
from benchmark_bilevel.problems.poisoning.problem import DataPoisoning
from benchmark_bilevel.problems.selection.problem import HyperparameterSelection
from benchmark_bilevel.problems.template_problem import RidgeSelection
from benchmark_bilevel.verification.cases import (
    BoxedQuadratic,
    quadratic_data,
    small_classification,
    small_instance,
    small_quadratic,
)

NAMES = ("l_bfgs_b", "random_search", "tpe")


def solver_of(name, problem, repetition=0, **parameters):
    """The solver, ready to run on `problem`."""
    if name == "tpe":
        pytest.importorskip("optuna", reason="needs optuna: pip install '.[tpe]'")
    parameters = {"max_seconds": 1e9, **parameters}  # no clock decides here
    solver = load_solver(name).get_instance(**parameters)
    RunContext().set_run_context(
        "objective", "dataset", solver, repetition, base_seed=0
    )
    solver.set_objective(problem)
    return solver


def near(name):
    """Parameters with which random points are better than x0."""
    return {} if name == "l_bfgs_b" else {"low": -0.2, "high": 0.2}


def run(name, problem, repetition=0, **parameters):
    """Results at the evaluation points of a run."""
    solver, results = solver_of(name, problem, repetition, **parameters), []

    def callback():
        results.append(solver.get_result())
        return results[-1]["ended"] is None

    solver.pre_run_hook(callback)
    solver.run(callback)
    return results


def values(problem, results):
    return [problem.value_function(result["x"]) for result in results]


def test_l_bfgs_b_finds_the_minimum_and_ends():
    problem = small_quadratic()
    results = run("l_bfgs_b", problem)
    np.testing.assert_allclose(results[-1]["x"], problem.minimiser(), atol=1e-6)
    assert results[-1]["iterations"] < 500
    assert [r["ended"] for r in results] == [None] * (len(results) - 1) + ["budget"]


@pytest.mark.parametrize("name", NAMES)
def test_the_lowest_point_so_far_is_told(name):
    """From x0, at the points of all solvers, with z*(x) beside x."""
    problem = small_quadratic()
    results = run(name, problem, max_iterations=40, **near(name))
    z, x = problem.initial_point()
    assert (results[0]["x"] == x).all() and (results[0]["z"] == z).all()
    assert [r["iterations"] for r in results[:8]] == [0, 1, 2, 3, 4, 6, 7, 10]
    assert results[-1]["iterations"] <= 40
    found = values(problem, results)
    assert found == sorted(found, reverse=True) and found[-1] < found[1]
    solution = problem.inner_solution(results[-1]["x"])
    np.testing.assert_allclose(results[-1]["z"], solution, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_is_a_run(name):
    ends = [
        run(name, small_quadratic(), k, max_iterations=15, **near(name))[-1]["x"]
        for k in (0, 0, 1)
    ]
    assert (ends[0] == ends[1]).all()
    assert (ends[0] == ends[2]).all() == (name == "l_bfgs_b")


def test_both_kinds_of_losses_count_the_same():
    """On quadratics they take the same Newton steps; a Hessian is dim z products."""
    problem, unkernelled = small_quadratic(), small_instance(type(small_quadratic()))
    unkernelled.kernels = None
    _, x = problem.initial_point()
    counts = []
    for instance in (problem, unkernelled):
        exact = Exact(instance)
        exact.evaluate(x)
        exact.evaluate(x + 1)
        counts.append(exact.counts.tolist())
    assert counts[0] == counts[1]
    by_kind = dict(zip(COUNTS, counts[0], strict=True))
    n, m = problem.n_inner, problem.n_outer
    assert by_kind["inner_gradients_x"] == 0
    assert by_kind["jacobian_vector_products"] % n == 0 < by_kind["inner_gradients"]
    assert by_kind["hessian_vector_products"] >= 2 * n * problem.dim_z
    assert by_kind["outer_gradients"] == by_kind["jacobian_vector_products"] * m / n


def test_a_run_counts_from_zero():
    """The warm-up and the run before are not in it."""
    solver, ends = solver_of("random_search", small_quadratic(), max_iterations=3), []
    for _ in range(2):
        solver.pre_run_hook(None)
        solver.run(lambda: True)
        ends.append(solver.get_result()["counts"])
    assert ends[0] == ends[1] and sum(ends[0].values()) > 0


def test_products_at_one_point_are_counted():
    problem = HyperparameterSelection(
        HyperparameterSelection.admit(small_classification(3)),
        parametrisation="default",
    )
    losses = CompiledLosses(problem, dtype="float32")
    z, x = (y.astype(np.float32) for y in problem.initial_point())
    product = losses.hvp_at(z, x)
    before = losses.counts[HESSIAN_VECTOR]
    product(z), product(z)
    assert losses.counts[HESSIAN_VECTOR] - before == 2 * problem.n_inner


def test_systems_in_the_space_of_the_samples_are_counted():
    data = small_classification(2)
    data = {**data, "X_train": csr_array(data["X_train"])}
    problem = HyperparameterSelection(
        HyperparameterSelection.admit(data), parametrisation="default"
    )
    exact = Exact(problem)
    exact.evaluate(problem.initial_point()[1])
    products = exact.counts[HESSIAN_VECTOR] / problem.n_inner
    assert products > 3 and products == int(products)


def test_fine_losses_are_counted():
    problem = small_instance(HyperparameterSelection)
    _, x = problem.initial_point()
    exact = Exact(problem)
    fine = exact._fine_solver
    before = exact.counts.copy()
    fine.evaluate(x, problem.initial_point()[0])
    assert (exact.counts > before).sum() == 5  # all kinds but ∇x g


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_of_calls_is_exceeded_by_one_evaluation_at_most(name):
    full = run(name, small_quadratic(), max_iterations=12)
    calls = [sum(result["counts"].values()) for result in full]
    budget = (calls[3] + calls[4]) // 2
    end = run(name, small_quadratic(), max_oracle_calls=budget)[-1]
    assert sum(end["counts"].values()) == calls[4] and end["ended"] == "budget"


@pytest.mark.parametrize("name", NAMES)
def test_x_stays_in_its_box(name, monkeypatch):
    problem, tried = BoxedQuadratic(quadratic_data()), []
    evaluate = Exact.evaluate
    monkeypatch.setattr(
        Exact,
        "evaluate",
        lambda self, x, **start: tried.append(x) or evaluate(self, x, **start),
    )
    run(name, problem, max_iterations=30)
    assert len(tried) > 3 and np.abs(tried).max() <= problem.radius
    if name != "l_bfgs_b":  # all of it is searched
        assert len(tried) > 30 and np.std(tried[5:]) > 0.4 * problem.radius


def test_the_box_is_read_off_the_projection():
    lower, upper = box_of(small_quadratic())
    assert np.isinf([lower, upper]).all() and (lower < upper).all()
    lower, upper = box_of(BoxedQuadratic(quadratic_data()))
    assert (lower == -BoxedQuadratic.radius).all()
    assert (upper == BoxedQuadratic.radius).all()
    lower, upper = box_of(small_instance(RidgeSelection))
    assert (lower == -10).all() and (upper == 3).all()
    assert box_of(small_instance(DataPoisoning)) is None


def test_sets_that_are_no_box_are_projected_on():
    problem, tried = small_instance(DataPoisoning), []
    problem.kernels = None  # compiling takes longer
    solver = solver_of("random_search", problem)
    assert solver.skip(problem) == (False, None)

    def evaluate(x):
        tried.append(x)
        if len(tried) == 5:
            raise StopIteration

    with pytest.raises(StopIteration):
        solver.minimise(evaluate, problem.initial_point()[1])
    for x in tried:
        np.testing.assert_allclose(projected(problem, x), x, atol=1e-9)
    _, reason = load_solver("l_bfgs_b").get_instance().skip(problem)
    assert reason == "L-BFGS-B needs x free or in a box, which data-poisoning has not"


@pytest.mark.parametrize("name", NAMES)
def test_skipped_where_h_is_unknown(name):
    problem = small_instance(DeepHypercleaning)
    skipped, reason = solver_of(name, problem).skip(problem)
    assert skipped and reason.endswith(problem.h_unknown)


def test_tpe_without_optuna_is_skipped(monkeypatch):
    solver = load_solver("tpe")
    monkeypatch.setitem(solver.lack.__globals__, "find_spec", lambda name: None)
    _, reason = solver.get_instance().skip(small_quadratic())
    assert reason == "TPE needs Optuna: pip install optuna"


def test_points_without_a_value_are_no_ends(monkeypatch):
    """The runs go on, and stay where they were."""
    evaluate, failures = Exact.evaluate, []

    def now_and_then(self, x, **start):
        if np.abs(x).max() > 2:
            failures.append(x)
            raise InnerSolveError("too far")
        return evaluate(self, x, **start)

    monkeypatch.setattr(Exact, "evaluate", now_and_then)
    problem = make_problem("quadratic")
    for name in ("random_search", "tpe"):
        results = run(name, problem, max_iterations=12)
        assert results[-1]["iterations"] == 12
        assert np.abs(results[-1]["x"]).max() <= 2
    assert failures


def test_an_inverted_range_is_refused():
    with pytest.raises(Exception, match="Random: low=2 is not below high=1"):
        load_solver("random_search").get_instance(low=2, high=1)
