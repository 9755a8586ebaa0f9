"""The search for steps: ranges, the table of trials, the choice."""

import json

import click
import numpy as np
import pytest
import yaml
from benchopt.benchmark import Benchmark
from conftest import ROOT

from benchmark_bilevel.exact.solve import Exact
from benchmark_bilevel.parameters import Number
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.problems.quadratic.problem import random_quadratic
from benchmark_bilevel.search import protocol
from benchmark_bilevel.search.protocol import choice, next_runs
from benchmark_bilevel.search.ranges import SCALED_STEP, ranges_of
from benchmark_bilevel.search.spaces import (
    Units,
    parameters_at,
    shares_of,
    trials,
    units_of,
)
from benchmark_bilevel.search.store import Store
from benchmark_bilevel.solver import BilevelSolver

UNITS = Units(inner=2.0, outer=30.0, epoch=10.0)


def a_solver(space, **attributes):
    """A solver that declares `space`."""
    own = {
        "name": "some solver",
        "parameters": {"n_inner": [10], "share": [0.5], "length": [2]},
        "ranges": {"share": Number(above=0, below=1)},
        "search_space": space,
    }
    return type("Solver", (BilevelSolver,), own | attributes)


SOLVER = a_solver(["step_size", "linear_step", "outer_step", "n_inner"])


@pytest.mark.parametrize(
    "solver",
    [s for s in Benchmark(ROOT).get_solvers() if issubclass(s, BilevelSolver)],
    ids=lambda solver: solver.name,
)
def test_all_solvers_have_a_space_of_legal_parameters(solver):
    assert "search_space" in vars(solver)
    for units in (UNITS, Units(inner=900.0, outer=7e3, epoch=2.0)):
        for trial in trials(solver, units, 16):
            solver.get_instance(**trial)


@pytest.mark.parametrize(
    "space, message",
    [
        (["n_iner"], "'n_iner' is no parameter of this solver"),
        (["length"], "'length' needs its edges: ('length', low, high)"),
        ([("share", 0.1, 1.0)], "share=1.0 is not valid; expected a number > 0 and < 1"),
        ([("share", 0.5, 0.1)], "'share' from 0.5 to 0.1 is no positive range"),
        ([("share", 0.5)], "'share' needs its edges"),
        (["sampling"], "'sampling' is no number"),
        (["device"], "'device' is no number"),
        (None, "not iterable"),
        ("step_size", "'step_size' is no list"),
        (["length", "length"], "'length' needs its edges"),
        (["step_size", "step_size"], "'step_size' is there twice"),
        (["outer_step", ("outer_ratio", 1, 2)], "are one step of x"),
        ([("length", "1", "9")], "'length' needs numbers as edges"),
        ([("step_size", 1e-300, 1e300)], "is no positive range"),
        (["step_size", "linear_step", "outer_step", "n_inner", ("share", 0.1, 0.9),
          ("length", 1, 9)], "6 parameters, of 5 at most"),
    ],
)  # fmt: skip
def test_a_wrong_space_is_refused_in_one_line(space, message):
    with pytest.raises(click.UsageError) as refusal:
        ranges_of(a_solver(space))
    assert refusal.value.message.startswith("some solver: search_space: ")
    assert message in refusal.value.message and "\n" not in refusal.value.message


def test_own_ranges_are_of_the_kind_of_the_parameter():
    ranges = ranges_of(a_solver([("share", 0.1, 0.9), ("length", 1, 9)]))
    assert [bounds.integer for bounds in ranges.values()] == [False, True]
    own = ranges_of(a_solver([("outer_step", 0.1, 2.0)]))["outer_step"]
    assert (own.low, own.high, own.unit) == (0.1, 2.0, "")
    scaled = a_solver(["outer_step"], scales_steps=True)
    assert ranges_of(scaled) == {"outer_step": SCALED_STEP}
    assert trials(a_solver([]), UNITS, 32) == [{}]


def test_trials_fill_the_ranges_in_units_of_the_problem():
    found = trials(SOLVER, UNITS, 64)
    step = np.array([trial["step_size"] for trial in found])
    outer = step / np.array([trial["outer_ratio"] for trial in found])
    inner = np.array([trial["n_inner"] for trial in found])
    assert step.min() >= 2**-6 * 2 * 0.99 and step.max() <= 2 * 2 * 1.01
    assert outer.min() >= 1e-4 * 30 * 0.98 and outer.max() <= 1e3 * 30 * 1.02
    assert inner.min() >= 1 and inner.max() <= 100
    assert all(isinstance(trial["n_inner"], int) for trial in found)
    # Sobol points: each eighth of the range has an eighth of the trials.
    counts, _ = np.histogram(np.log(step), np.log(2 * 2.0 ** np.linspace(-6, 1, 9)))
    assert counts.min() >= 7 and counts.max() <= 9


def test_trials_are_the_same_again_and_when_there_are_more():
    assert trials(SOLVER, UNITS, 20) == trials(SOLVER, UNITS, 64)[:20]
    other = a_solver(SOLVER.search_space, name="other")
    assert trials(other, UNITS, 4) != trials(SOLVER, UNITS, 4)


@pytest.mark.parametrize("scale", [UNITS, Units(inner=0.8, outer=7e3, epoch=300.0)])
def test_shares_invert_the_ranges(scale):
    """Winners are carried to another problem by them."""
    for trial in trials(SOLVER, UNITS, 16):
        shares = shares_of(SOLVER, trial, UNITS)
        assert list(shares) == SOLVER.search_space
        assert all(-0.01 <= share <= 1.01 for share in shares.values())
        there = parameters_at(SOLVER, shares, scale)
        assert there["n_inner"] == trial["n_inner"]
        assert there["step_size"] == pytest.approx(
            trial["step_size"] * scale.inner / UNITS.inner, rel=0.01
        )
        assert there["step_size"] / there["outer_ratio"] == pytest.approx(
            trial["step_size"] / trial["outer_ratio"] * scale.outer / UNITS.outer,
            rel=0.02,
        )


def test_units_are_those_of_a_quadratic_in_closed_form():
    """H is constant, and ∇h(x0) is what autograd says."""
    data = random_quadratic(n_samples=64, n_outer_samples=48, dim_inner=6, dim_outer=4)
    problem = PROBLEMS["quadratic"](data)
    found = units_of(problem, batch_size=16)
    exact = Exact(problem)
    z, x = problem.initial_point()
    hessian = np.array([exact.losses.hvp(z, x, v) for v in np.eye(6)])
    assert found.inner == pytest.approx(1 / np.linalg.eigvalsh(hessian)[-1], rel=2e-3)
    assert found.outer == pytest.approx(
        1 / np.abs(exact.evaluate(x).hypergradient).max(), rel=2e-3
    )
    assert found.epoch == 4.0


def test_units_where_z_is_one_number():
    problem = PROBLEMS["quadratic"](random_quadratic(dim_inner=1, dim_outer=2))
    z, x = problem.initial_point()
    curvature = Exact(problem).losses.hvp(z, x, np.ones(1))[0]
    assert units_of(problem, 16).inner == pytest.approx(1 / curvature, rel=1e-2)


# --- the protocol, on scores that a function makes up ---


def rows_of(run, score):
    """What a run gives, `score(trial, stage, seed)` NaN for a divergence."""
    return [
        {
            "solver": run.solver,
            "trial": run.trial,
            "stage": run.stage,
            "seed": seed,
            "budget": run.budget,
            "parameters": json.dumps({"step_size": 0.1}),
            "shares": json.dumps({"step_size": 0.5}),
            "score": score(run.trial, run.stage, seed),
            "suboptimality": np.nan,
            "diverged": float(np.isnan(score(run.trial, run.stage, seed))),
            "oracle_calls": run.budget,
            "seconds": 1.0,
            "fingerprint": "abc",
            "source": "def",
        }
        for seed in run.seeds
    ]


def search(store, score, n_trials=8, limit=10**6, further=()):
    """Run what the protocol asks for, at most `limit` runs; how many it were."""
    n_runs = 0
    while n_runs < limit:
        runs = next_runs(store, "S", n_trials, 1e6, further)
        if not runs:
            break
        store.append(rows_of(runs[0], score))
        n_runs += 1
    return n_runs


def by_trial(trial, stage, seed):
    """Trial 3 is the best on seed 0 alone, trial 5 on the median of three."""
    if stage == "safety":
        return 0.0
    if trial == 3:
        return [0.0, 9.0, 9.0][seed % 3]
    return 1.0 + abs(trial - 5) + 0.01 * seed


def test_the_median_of_three_seeds_decides(tmp_path):
    store = Store(tmp_path / "table.parquet")
    search(store, by_trial)
    assert choice(store, "S")[:2] == ("S", 5)
    tuning = store.of("S", "tuning")
    assert (tuning.groupby("trial")["seed"].count() == 3).sum() == protocol.N_FINALISTS
    safety = store.of("S", "safety")
    assert set(safety["trial"]) == {5} and len(safety) == protocol.N_SAFETY
    assert (safety["budget"] == 1e5).all()


def test_rounding_decides_nothing(tmp_path):
    """All but trials 0 and 1 end at the minimum, but for what differs by machine."""

    def score(trial, stage, seed):
        return 0.2 + (1e-3 if trial < 2 else -1e-16 * trial)

    store = Store(tmp_path / "table.parquet")
    search(store, score)
    assert choice(store, "S").trial == 2
    tuning = store.of("S", "tuning")
    counts = tuning.groupby("trial")["seed"].count()
    assert list(counts.index[counts == protocol.N_SEEDS]) == [2, 3, 4, 5]


@pytest.mark.parametrize("stage, seed", [("tuning", 2), ("safety", 19)])
def test_a_trial_that_diverges_on_any_seed_does_not_win(tmp_path, stage, seed):
    def score(trial, at, k):
        failed = trial == 5 and at == stage and k == seed
        return np.nan if failed else by_trial(trial, at, k)

    store = Store(tmp_path / "table.parquet")
    search(store, score)
    assert choice(store, "S").trial in (4, 6)


def test_without_a_trial_that_survives_there_is_no_choice(tmp_path):
    store = Store(tmp_path / "table.parquet")
    search(store, lambda *_: np.nan)
    assert choice(store, "S") is None
    assert len(store.of("S")) == 8  # nothing but the trials themselves


def test_a_divergence_in_the_report_makes_the_next_trial_win(tmp_path):
    store = Store(tmp_path / "table.parquet")
    search(store, by_trial)
    run = protocol.Run("S", 5, "report", range(1), 1e6, 0)
    store.append(rows_of(run, lambda *_: np.nan))
    search(store, by_trial)
    assert choice(store, "S").trial in (4, 6)


def test_other_parameters_are_run_once_a_choice_is_made(tmp_path):
    store = Store(tmp_path / "table.parquet")
    stages = ("defaults", "transfer from elsewhere")
    assert search(store, by_trial, further=stages) == 8 + 4 + 1 + 2
    assert choice(store, "S").trial == 5  # though a score of theirs may be lower
    for stage in stages:
        assert set(store.of("S", stage)["trial"]) == {-1}
        assert len(store.of("S", stage)) == protocol.N_SEEDS


@pytest.mark.parametrize("killed_after", [1, 5, 9, 12])
def test_a_search_goes_on_from_its_file(tmp_path, killed_after):
    whole = Store(tmp_path / "whole.parquet")
    n_runs = search(whole, by_trial)
    path = tmp_path / "cut.parquet"
    search(Store(path), by_trial, limit=killed_after)
    assert search(Store(path), by_trial) == n_runs - killed_after
    again = Store(path)
    assert choice(again, "S") == choice(whole, "S")
    assert again.rows.equals(whole.rows)
    with pytest.raises(click.ClickException, match="some of the seeds"):
        again.append(again.rows.iloc[:1].to_dict("records"))
    assert list(tmp_path.glob(".*")) == []


def test_steps_carried_over_are_those_that_won():
    def steps(name):
        file = yaml.safe_load((ROOT / "config" / name).read_text())
        return [(*entry, *entry.values()) for entry in file["solver"]]

    carried = steps("reproductions/hypercleaning_corruption.yml")
    searched = steps("hypercleaning.yml")
    assert len(carried) == 5 and all(entry in searched for entry in carried)
