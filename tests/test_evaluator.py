"""Metrics from point to point of a run: what starts where, and what is remembered."""

import warnings

import numpy as np
import pytest
from conftest import make_problem

from benchmark_bilevel.exact import metrics as metrics_module
from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.exact.solve import Exact


@pytest.fixture(scope="module")
def quadratic():
    return make_problem("quadratic")


def test_metrics_of_a_diverged_point_are_nan(quadratic):
    evaluator = Evaluator(quadratic)
    z, x = quadratic.initial_point()
    metrics = evaluator.metrics(z + np.nan, x, 3, {"inner_gradients": 7}, True)
    assert np.isnan(metrics["value"]) and np.isnan(metrics["inner_loss"])
    assert metrics["diverged"] == 1.0 and metrics["oracle_calls"] == 7.0
    with pytest.warns(RuntimeWarning, match="inner problem not solved"):
        metrics = evaluator.metrics(z, x + 1e100, 4, {}, False)
    assert np.isnan(metrics["value"]) and metrics["diverged"] == 0.0
    with warnings.catch_warnings(action="error"):
        metrics = evaluator.metrics(z + 1e160, x, 5, {}, False)
    assert np.isnan(metrics["value"]) and metrics["diverged"] == 1.0, "‖z‖² is none"


def test_metrics_of_a_run_do_not_depend_on_earlier_runs(problem, monkeypatch):
    z, x = problem.initial_point()
    used, fresh = Evaluator(problem), Evaluator(problem)
    used.metrics(z, x + 1, 0, {}, False)
    used.metrics(z, x - 1, 1, {}, False)
    for iterations, shift in ((0, 0.0), (1, 0.3)):
        first = used.metrics(z, x + shift, iterations, {}, False)
        if iterations == 0:  # what starts cold is kept for all runs
            monkeypatch.setattr(metrics_module, "_last_cold_start", {})
        second = fresh.metrics(z, x + shift, iterations, {}, False)
        np.testing.assert_equal(first, second)


def test_points_of_a_thousand_numbers_are_kept(problem):
    assert set(problem.final_results(np.zeros(1000), np.zeros(1001))) == {"z"}
    assert set(problem.final_results(np.zeros(1001), np.zeros(1000))) == {"x"}


def test_first_points_are_evaluated_once_and_others_from_the_last(
    quadratic, monkeypatch
):
    evaluate, calls = Exact.evaluate, []

    def spy(self, x, z=None, v=None):
        calls.append((z, v, evaluate(self, x, z, v)))
        return calls[-1][-1]

    monkeypatch.setattr(metrics_module, "_last_cold_start", {})
    monkeypatch.setattr(Exact, "evaluate", spy)
    evaluator, (z, x) = Evaluator(quadratic), quadratic.initial_point()
    for _ in range(2):  # runs
        values = [evaluator.metrics(z, x + k, k)["value"] for k in range(3)]
        first, *others = calls
        assert first[:2] == (None, None) and len(others) == 2
        for (*start, _), (*_, before) in zip(others, calls, strict=False):
            np.testing.assert_array_equal(start, (before.z, before.v))
        np.testing.assert_array_equal(values, [found.value for *_, found in calls])
        del calls[1:]
    evaluator.metrics(z, x + 3, 0)
    assert calls[1][:2] == (None, None), "of another point nothing is remembered"


def test_a_reason_is_told_once_a_run(quadratic):
    evaluator, (z, x) = Evaluator(quadratic), quadratic.initial_point()
    for _ in range(2):  # runs
        evaluator.metrics(z, x, 0)
        with pytest.warns(RuntimeWarning, match="later reasons are not told"):
            evaluator.metrics(z, x + 1e100, 1)
        evaluator.metrics(z, x + 1e100, 2)  # a second warning would be an error
