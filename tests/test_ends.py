"""Why runs end, what their last rows have, and what benchopt's limits mean for them."""

import math
import re

import numpy as np
import pytest
from benchopt.callback import _Callback
from benchopt.config import DEFAULT_GLOBAL_CONFIG
from command_line import run, status_lines
from conftest import ROOT, load_solver, make_problem

from benchmark_bilevel.ends import PATIENCE, AnyEnds
from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.notices import Fault
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.points import evaluation_points, expected_points
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.solver import CHUNK_SECONDS

# --- BilevelSolver, with a clock and a runtime of the tests ----------------------------


class Runtime:
    """Does nothing, for `pace` iterations a second of the clock that it moves."""

    def __init__(self, clock, pace, diverges_at=math.inf, slow_from=math.inf):
        self.clock, self.pace, self.diverges_at = clock, pace, diverges_at
        self.slow_from = slow_from
        self.t, self.chunks = 0, []

    def advance(self, stop, max_oracle_calls):
        stop = min(stop, self.t + max(1, max_oracle_calls - self.t))
        pace = self.pace / (1000 if stop > self.slow_from else 1)
        self.chunks.append((stop - self.t) / pace)
        self.clock.now += self.chunks[-1]
        self.t = stop

    oracle_calls = property(lambda self: self.t)
    diverged = property(lambda self: self.t >= self.diverges_at)
    counts = property(lambda self: np.full(len(COUNTS), self.t))

    row_bytes = None

    def variables(self):
        return np.zeros(6), np.zeros(4)


class Clock:
    now = 1.0

    def perf_counter(self):
        return self.now


class Objective:
    """Keeps what it is given; an evaluation takes an hour."""

    def __init__(self, clock):
        self.clock = clock

    def __call__(self, result):
        self.clock.now += 3600.0
        return [{"objective_end": result["ended"], "t": result["iterations"]}]


@pytest.fixture
def a_run(monkeypatch):
    """Function from a pace, limits and parameters to a curve, its status and runtime."""

    def made(pace=1e4, max_runs=100, timeout=None, fake=None, **parameters):
        clock = Clock()
        solver = load_solver("soba").get_instance(**parameters)
        monkeypatch.setattr("benchmark_bilevel.solver.time", clock)
        solver.problem = make_problem("quadratic")
        solver._runtime = runtime = Runtime(clock, pace, **(fake or {}))
        criterion = solver.stopping_criterion.get_runner_instance(
            solver=solver, max_runs=max_runs, timeout=timeout
        )
        callback = _Callback(Objective(clock), solver, {}, criterion)
        callback.start()
        solver.run(callback)
        curve, status, _ = callback.get_results()
        return [(row["t"], row["objective_end"]) for row in curve], status, runtime

    return made


def points(curve):
    return [t for t, _ in curve[:-1]]


def test_only_the_last_row_says_how_a_run_ended(a_run):
    curve, status, _ = a_run(max_iterations=1000)
    assert [t for t, _ in curve] == [0, *evaluation_points(1000)]
    assert {end for _, end in curve[:-1]} == {None}
    assert curve[-1] == (1000, "budget") and status == "done"


@pytest.mark.parametrize(
    "parameters, fake, timeout, end",
    [
        ({"max_seconds": 3.0}, {}, None, "budget"),
        ({"max_oracle_calls": 30_000}, {}, None, "budget"),
        ({"max_seconds": 3.0}, {"diverges_at": 20_000}, None, "diverged"),
        ({"max_seconds": 30.0}, {}, 3.0, "deadline"),
        ({"max_seconds": 3.0}, {}, 30.0, "budget"),
    ],
)
def test_ends(a_run, parameters, fake, timeout, end):
    """Evaluations take an hour each: neither budgets nor the timeout count them."""
    curve, status, runtime = a_run(fake=fake, timeout=timeout, **parameters)
    assert curve[-1][1] == end
    assert status == ("timeout" if end == "deadline" else "done")
    assert points(curve) == [0, *evaluation_points(10**9)][: len(curve) - 1]
    if end != "diverged":  # the chunk that exceeds it is short
        assert 30_000 <= runtime.t <= 30_000 * (1 + CHUNK_SECONDS / 3) + 1


def test_without_limits_a_run_takes_the_seconds_of_its_problem(a_run):
    curve, _, runtime = a_run()
    assert curve[-1][1] == "budget"
    assert 100_000 <= runtime.t <= 100_000 * (1 + CHUNK_SECONDS / 10) + 1


def test_the_clock_is_that_of_the_solver(monkeypatch):
    """Looks at a diverging run, and at large tables, are not among its work."""
    clock = Clock()
    monkeypatch.setattr("benchmark_bilevel.solver.time", clock)
    monkeypatch.setattr("benchopt.callback.time", clock)

    class Slow(Runtime):
        @property
        def diverged(self):
            clock.now += 7.0
            return False

    solver = load_solver("soba").get_instance(max_iterations=1000)
    solver.problem, solver._runtime = make_problem("quadratic"), Slow(clock, 200)
    criterion = solver.stopping_criterion.get_runner_instance(
        solver=solver, max_runs=100, timeout=None
    )
    callback = _Callback(Objective(clock), solver, {}, criterion)
    callback.start()
    solver.run(callback)
    rows = callback.get_results()[0]
    assert rows[-1]["t"] == 1000
    for row in rows:
        assert math.isclose(row["time"], row["t"] / 200, abs_tol=1e-9)


class Terminal:
    """Keeps the progress that benchopt would show."""

    def __init__(self):
        self.shown = []

    def progress(self, progress, key):
        self.shown.append(progress)


@pytest.mark.parametrize("runtime, first", [("auto", ["compiling"]), ("torch", [])])
def test_progress_starts_with_the_compilation(runtime, first):
    solver, terminal = load_solver("soba").get_instance(runtime=runtime), Terminal()
    solver.problem = make_problem("quadratic")
    arguments = {"solver": solver, "terminal": terminal, "run_key": ("", "", "SOBA")}
    solver.stopping_criterion.get_runner_instance(**arguments)
    assert terminal.shown == first
    solver._runtime = object()  # warm already
    solver.stopping_criterion.get_runner_instance(**arguments)
    assert terminal.shown == first


def test_a_number_of_evaluations_is_a_budget(a_run):
    curve, status, _ = a_run(max_runs=12, max_seconds=1000.0)
    assert len(curve) == 13  # benchopt does not count the first
    assert curve[-1] == ([0, *evaluation_points(10**6)][12], "budget")
    assert status == "max_runs"


def test_no_clock_decides_where_a_point_lies(a_run):
    curves = [
        a_run(pace, max_iterations=50_000, max_seconds=1e6)[0]
        for pace in (1e3, 3e4, 1e7)
    ]
    assert curves[0] == curves[1] == curves[2]
    diverging = {"diverges_at": 12_345}
    ends = {a_run(pace, fake=diverging)[0][-1] for pace in (1e4, 1e5, 1e6)}
    assert len(ends) == 1


@pytest.mark.parametrize("pace", [1e3, 1e6])
def test_chunks_are_short_in_time(a_run, pace):
    """So that Ctrl-C and budgets work, also where an iteration gets slower."""
    slow_from = 4 * pace
    _, _, runtime = a_run(pace, fake={"slow_from": slow_from}, max_seconds=10.0)
    chunks = np.array(runtime.chunks)
    # The one in which it becomes slow is as long as it was thought to be.
    assert (np.sort(chunks)[:-1] <= CHUNK_SECONDS * 1.01).all()
    fast = chunks[: int(np.argmax(chunks))]
    assert fast[-10:].mean() > CHUNK_SECONDS / 4, "chunks that are too short cost time"


def test_a_callback_that_says_stop_gets_an_exact_point(monkeypatch):
    """As it does under another criterion, or without benchopt."""
    clock, rows = Clock(), []
    monkeypatch.setattr("benchmark_bilevel.solver.time", clock)
    solver = load_solver("soba").get_instance()
    solver.problem, solver._runtime = make_problem("quadratic"), Runtime(clock, 1e4)

    def callback():
        rows.append(solver.get_result())
        return len(rows) < 8

    solver.run(callback)
    assert [row["ended"] for row in rows] == [None] * 8 + ["deadline"]
    assert rows[-1]["iterations"] == rows[-2]["iterations"]


@pytest.mark.parametrize("name", PROBLEMS)
def test_default_budgets_are_as_said_and_fit_the_default_timeout(name, monkeypatch):
    """Of docs/measures.md, for small data and for large ones."""
    budgets = {
        **dict.fromkeys(("hyper-representation", "multi-task-ridge"), (10, 10)),
        **dict.fromkeys(("equilibrium", "few-shot"), (60, 60)),
        "quadratic": (10, 10),
        "data-poisoning": (10, 90),
    }
    kind = PROBLEMS[name]
    small, large = budgets.get(name, (10, 30))
    for is_large, budget in ((False, small), (True, large)):
        if small != large:
            monkeypatch.setattr(kind, "_is_large", is_large)
        assert kind.__new__(kind).solver_seconds == budget
        assert budget < DEFAULT_GLOBAL_CONFIG["default_timeout"]


# --- the metrics of a result ----------------------------------------------------------


@pytest.fixture
def evaluator():
    return Evaluator(make_problem("quadratic"))


def test_a_result_of_z_and_x_is_enough(evaluator):
    z, x = evaluator.problem.initial_point()
    x = x + 1.0
    metrics = evaluator.metrics(z.tolist(), x)
    assert metrics["value"] == pytest.approx(evaluator.problem.value_function(x))
    assert metrics["diverged"] == 0.0 and metrics["end"] is None
    assert all(np.isnan(metrics[name]) for name in (*COUNTS, "oracle_calls"))
    assert np.isnan(metrics["iterations"])
    assert evaluator.metrics(z * np.nan, x)["diverged"] == 1.0


def test_without_the_rows_of_tasks_h_is_known_all_the_same(evaluator, monkeypatch):
    """z is None there; a problem that is not made of tasks has to have one."""
    z, x = evaluator.problem.initial_point()
    with pytest.raises(Fault, match="the result's z has shape"):
        evaluator.metrics(None, x)
    whole = evaluator.metrics(z, x)
    # No task is needed to evaluate h, which the evaluator has made already.
    monkeypatch.setattr(type(evaluator.problem), "made_of_tasks", True)
    monkeypatch.setattr(
        type(evaluator.problem), "outer_metrics", lambda self, x: {"of_x": 1.0}
    )
    metrics = evaluator.metrics(None, x)
    assert metrics["of_x"] == 1.0 and metrics["diverged"] == 0.0
    for name in ("inner_loss", "outer_loss", "inner_distance", "train_accuracy"):
        assert np.isnan(metrics[name])
    for name in ("value", "suboptimality", "hypergradient_norm"):
        assert metrics[name] == whole[name]
    assert evaluator.metrics(None, x * np.nan)["diverged"] == 1.0
    with pytest.raises(Fault, match="the result's z has shape"):
        evaluator.metrics(z[1:], x)


def test_what_is_told_is_recorded(evaluator):
    counts = dict.fromkeys(COUNTS, 2)
    point = evaluator.problem.initial_point()
    metrics = evaluator.metrics(*point, 7, counts, True, "deadline")
    assert metrics["iterations"] == 7.0 and metrics["diverged"] == 1.0
    assert metrics["oracle_calls"] == 2.0 * len(COUNTS)
    assert metrics["end"] == "deadline"
    some = evaluator.metrics(*point, counts={COUNTS[1]: 5, "of another kind": 3})
    assert some[COUNTS[0]] == 0.0 and some["oracle_calls"] == 5.0


@pytest.mark.parametrize("end", ["budget", "diverged", "deadline"])
def test_the_last_row_is_exact_however_a_run_ends(monkeypatch, end):
    problem = make_problem("quadratic")
    monkeypatch.setattr(type(problem), "max_exact_evaluations", 1)
    final = {"retrained": 1.0}
    monkeypatch.setattr(type(problem), "final_metrics", lambda self, x: final)
    evaluator, point = Evaluator(problem), problem.initial_point()
    before = evaluator.metrics(*point, 1234, {}, False)
    last = evaluator.metrics(*point, 1234, {}, False, end)
    assert np.isnan(before["value"]) and "retrained" not in before
    assert np.isfinite(last["value"]) and last["retrained"] == 1.0


@pytest.mark.parametrize("when", ["final", "never"])
def test_a_run_can_do_without_h(monkeypatch, when):
    problem = make_problem("quadratic")
    final = {"retrained": 1.0}
    monkeypatch.setattr(type(problem), "final_metrics", lambda self, x: final)
    row = Evaluator(problem, when).metrics(*problem.initial_point(), ended="budget")
    assert np.isnan(row["value"]) and np.isfinite(row["outer_loss"])
    assert ("retrained" in row) == (when == "final")


def test_how_often_h_is_evaluated_can_be_asked_for():
    problem = make_problem("quadratic")
    point = problem.initial_point()
    late = Evaluator(problem, 0)
    assert np.isnan(late.metrics(*point, 0, {}, False)["value"])
    assert np.isfinite(late.metrics(*point, 0, {}, False, "budget")["value"])
    seldom = Evaluator(problem, 7)
    points = [0, *evaluation_points(10**8)]
    exact = [k for k in points if seldom._is_exact_point(k, None)]
    assert sum(k <= 10**6 for k in exact) == 7 and exact[-1] > 10**7


@pytest.mark.parametrize("n_points", [1, 5, 8, 9, 17, 33, 60])
@pytest.mark.parametrize("limit", [1, 3, 8])
def test_exact_points_are_spread_over_those_that_a_run_will_have(n_points, limit):
    evaluator = Evaluator(make_problem("quadratic"), limit)
    points = [0, *evaluation_points(10**9)][:n_points]
    due = [evaluator._is_exact_point(k, None, n_points) for k in points]
    chosen = np.flatnonzero(due)
    assert len(chosen) == min(limit, n_points) and due[0]
    gaps = np.diff([*chosen, n_points])
    assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize(
    "limits, expected",
    [
        ({"max_iterations": 100}, 100),
        ({"max_oracle_calls": 40_000}, 100),
        ({"max_oracle_calls": 40_001}, 101),
        ({"max_oracle_calls": 40_000, "max_iterations": 10}, 10),
        ({"max_seconds": 3.0}, None),
    ],
)
def test_how_many_points_a_run_will_have(limits, expected):
    """At iteration 20, of 400 calls each."""
    solver = load_solver("soba").get_instance(**limits)
    n_points = expected and 1 + len([*evaluation_points(expected)])
    assert expected_points(solver, 20, 20 * 400) == n_points


@pytest.mark.parametrize(
    "result, line",
    [
        ({"z": np.zeros(3)}, "the result's z has shape (3,), the problem's (6,)"),
        (
            {"x": np.zeros((4, 1))},
            "the result's x has shape (4, 1), the problem's (4,)",
        ),
        ({"z": "abc"}, "the result's z is no array of numbers"),
        ({"ended": "yes"}, "ended='yes' is none of budget, diverged, deadline"),
    ],
)
def test_a_wrong_result_is_a_line(evaluator, result, line):
    z, x = evaluator.problem.initial_point()
    with pytest.raises(Fault) as fault:
        evaluator.metrics(**{"z": z, "x": x, **result})
    assert fault.value.message.startswith(line)


# --- plain solvers --------------------------------------------------------------------


class Plain:
    def __init__(self, strategy):
        self.sampling_strategy = strategy


def criterion(strategy, **limits):
    return AnyEnds().get_runner_instance(solver=Plain(strategy), **limits)


def rows(*values):
    return [{"objective_value": value, "objective_end": None} for value in values]


def test_solvers_of_different_strategies_share_the_criterion():
    shared = AnyEnds()
    for strategy in ("run_once", "iteration", "tolerance", "callback"):
        given = shared.get_runner_instance(solver=Plain(strategy))
        assert given.strategy == strategy and shared.strategy is None


def test_a_solver_that_runs_once_runs_once():
    once = criterion("run_once", max_runs=100)
    first = once.init_stop_val()
    assert first == 1 and first()  # it may be a text for callbacks
    assert once.should_stop(first, rows(1.0))[:2] == (True, "done")


@pytest.mark.parametrize("strategy, patience", PATIENCE.items())
def test_an_iterated_solver_ends_when_h_falls_no_more(strategy, patience):
    given = criterion(strategy, max_runs=100)
    falling = [2.0**-k for k in range(20)]
    flat = [2.0**-19] * patience
    risen = [1.0, *[2.0] * 20]
    for values in (
        *(falling, [*falling, np.nan], [np.nan] * 20, [1.0] * 20, flat[1:], risen),
    ):
        assert given.should_stop(3, rows(*values))[:2] == (False, "running")
    assert given.should_stop(3, rows(*falling, *flat))[:2] == (True, "done")


def test_the_timeout_of_a_plain_solver_starts_after_its_warm_up(monkeypatch):
    clock = Clock()
    clock.time = clock.perf_counter
    monkeypatch.setattr("benchmark_bilevel.ends.time", clock)
    monkeypatch.setattr("benchopt.stopping_criterion.time", clock)
    given = criterion("callback", max_runs=100, timeout=10)
    clock.now += 60  # of compilation
    stop_val, curve = given.init_stop_val(), rows(1.0, 0.5)
    clock.now += 9
    assert given.should_stop(stop_val, curve)[1] == "running"
    clock.now += 2
    assert given.should_stop(stop_val, curve)[1] == "timeout"
    assert [row["objective_end"] for row in curve] == [None, "deadline"]


PLAIN = """\
from benchopt import BaseSolver
from scipy.optimize import minimize

from benchmark_bilevel.exact import Exact


class Solver(BaseSolver):
    name = "plain {strategy}"
    sampling_strategy = "{strategy}"

    def set_objective(self, problem):
        self.problem, self.exact = problem, Exact(problem)

    def run(self, stop):
        def h(x):
            evaluation = self.exact.evaluate(x)
            return evaluation.value, evaluation.hypergradient

        self.z, self.x = self.problem.initial_point()
        options = {{"{option}": stop}} if "{option}" else {{}}
        if options != {{"maxiter": 0}}:
            self.x = minimize(h, self.x, jac=True, method="BFGS", options=options).x

    def get_result(self):
        return {{"z": self.z, "x": self.x}}
"""


def test_plain_solvers_of_every_strategy_run(benchmark, tmp_path):
    """The one with a callback is that of the guide."""
    guide = (ROOT / "docs" / "add-a-solver.md").read_text()
    blocks = re.findall("```python\n(.*?)```", guide, re.S)
    texts = [block for block in blocks if "L-BFGS-B on h" in block]
    options = {"run_once": "", "iteration": "maxiter", "tolerance": "gtol"}
    for strategy, option in options.items():
        texts.append(PLAIN.format(strategy=strategy, option=option))
    arguments = []
    for k, text in enumerate(texts):
        (tmp_path / f"plain_{k}.py").write_text(text)
        arguments += ["-s", str(tmp_path / f"plain_{k}.py")]
    lines, results = run(benchmark, "plain", "-d", "quadratic", *arguments)
    assert len([line for line in status_lines(lines) if "done" in line]) == 4
    for name, curve in results.groupby("solver_name"):
        assert curve["objective_suboptimality"].min() <= 1e-8, name
        assert (len(curve) == 1) == (name == "plain run_once")
        for column in (*COUNTS, "oracle_calls", "iterations", "end"):
            assert curve[f"objective_{column}"].isna().all()
        assert (curve["objective_diverged"] == 0).all()


def test_benchopts_own_criteria_still_work():
    """``benchopt test`` runs solvers under another criterion."""
    solver = load_solver("soba").get_instance()
    solver.seed = 0
    solver.problem = make_problem("quadratic")
    solver.run_once(stop_val=2)
    assert solver.get_result()["iterations"] == 2
