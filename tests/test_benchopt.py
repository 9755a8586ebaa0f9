"""The suite as a user meets it: ``benchopt run`` and its exit codes, caches, results."""

import re
import shlex
import shutil
import subprocess
import sys

import click
import numpy as np
import pandas as pd
import pytest
from benchopt.benchmark import Benchmark
from benchopt.results import read_results
from command_line import benchopt, run, status_lines
from conftest import ROOT, dataset, load_solver

METRICS = [
    "value",
    "value_error",
    "suboptimality",
    "hypergradient_norm",
    "inner_distance",
    "inner_loss",
    "outer_loss",
    "train_accuracy",
    "validation_accuracy",
    "test_accuracy",
    "test_loss",
    "train_accuracy_at_solution",
    "validation_accuracy_at_solution",
    "test_accuracy_at_solution",
    "test_loss_at_solution",
    "outer_gradients",
    "inner_gradients",
    "inner_gradients_x",
    "hessian_vector_products",
    "jacobian_vector_products",
    "loss_values",
    "oracle_calls",
    "iterations",
    "diverged",
]
FAST_SOLVERS = ("-s", "SOBA[max_iterations=30]", "-s", "SABA[max_iterations=30]")
PROBLEMS = ("-o", "Bilevel[problem=[hyperparameter-selection,quadratic]]")
TWO_DATA_SETS = ("-d", "breast_cancer", "-d", "quadratic", "-r", "2", *PROBLEMS)


def without_times(results):
    keys = ["dataset_name", "solver_name", "idx_rep", "stop_val"]
    columns = keys + [name for name in results if name.startswith("objective_")]
    return results[columns].sort_values(keys).reset_index(drop=True)


@pytest.fixture(scope="module")
def results(benchmark):
    return run(benchmark, "first", *TWO_DATA_SETS, *FAST_SOLVERS)[1]


def test_every_metric_is_there(results):
    for name in METRICS:
        assert pd.api.types.is_numeric_dtype(results[f"objective_{name}"]), name
    classification = results[results["dataset_name"] == "breast_cancer"]
    assert len(classification)
    missing = classification[[f"objective_{name}" for name in METRICS]].isna()
    assert not missing.to_numpy().any()
    assert (results["objective_suboptimality"] >= -1e-10).all()


def test_repetitions_differ(results):
    last = results[results["objective_iterations"] == 30].groupby(
        ["dataset_name", "solver_name"]
    )
    assert len(last) == 2 * 2
    for _, runs in last:
        assert len(runs) == 2
        assert runs["objective_value"].nunique() == 2


@pytest.fixture(scope="module")
def ends(benchmark):
    """Lines, and results by solver, of runs that end by their budget and by divergence."""
    lines, results = run(
        benchmark,
        "ends",
        *("-d", "quadratic", "-s", "SOBA[max_oracle_calls=100000]"),
        *("-s", "SOBA[max_oracle_calls=100000,batch_size=full]"),
        *("-s", "SOBA[step_size=1e30,max_iterations=1000]"),
    )
    return lines, results.sort_values("stop_val").groupby("solver_name")


def test_runs_end_exactly_at_their_budget(ends):
    ended = [curve for name, curve in ends[1] if "max_oracle_calls" in name]
    assert len(ended) == 2
    for curve in ended:
        calls = curve["objective_oracle_calls"].to_numpy()
        # The last point is the run's end: one iteration past the budget at most.
        assert calls[-2] < 100_000 <= calls[-1] < 100_000 + 3 * 1000 + 64


HELD = """
import gc, sys, weakref
gc.disable()  # it may come late: it counts objects, not bytes
from benchopt.cli import benchopt
from benchmark_bilevel.exact.solve import Exact
from benchmark_bilevel.runtimes import Runtime
from benchmark_bilevel.solver import BilevelSolver

made = weakref.WeakSet()
for kind in (Exact, Runtime):
    def init(self, *arguments, _init=kind.__init__, **options):
        made.add(self)
        _init(self, *arguments, **options)
    kind.__init__ = init

def warm_up(self, _warm_up=BilevelSolver.warm_up):
    print("held:", len(made))
    _warm_up(self)

BilevelSolver.warm_up = warm_up
benchopt(sys.argv[1:])
"""


def test_what_a_run_has_built_goes_with_it(benchmark):
    """benchopt keeps solvers and objectives; data of a gigabyte each were kept, too."""
    problems = "[hyperparameter-selection,quadratic,multi-task-ridge]"
    options = ("run", ".", "-n", "2", "-o", f"Bilevel[problem={problems}]")
    for name in ("breast_cancer", "quadratic", "multi_task_ridge"):
        options += ("-d", name)
    options += (
        "--no-plot",
        "--no-cache",
        "-s",
        "Random[max_iterations=2]",
        "-s",
        "SOBA[step_size=[0.1,0.2]]",
    )
    said = subprocess.run(
        [sys.executable, "-c", HELD, *options],
        cwd=benchmark,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.findall(r"held: (\d+)", said) == ["0"] * 6


def test_provenance_is_in_the_result_file(benchmark, results):
    read = read_results(benchmark / "outputs" / "first.parquet")
    final = read["final_results"].dropna().iloc[0]
    assert set(final) == {"z", "x", "provenance"}
    assert {"fingerprint", "commit", "benchopt", "torch", "numba"} <= set(
        final["provenance"]
    )


def test_a_reference_that_is_not_known_is_said_once(benchmark):
    """By the process that sends the runs, not by each worker."""
    lines, results = run(
        benchmark,
        "unknown",
        *(
            "-d",
            "simulated[n_samples=200]",
            "-s",
            "SOBA[max_iterations=[3,4],runtime=torch]",
        ),
        *("-o", "Bilevel[problem=hyperparameter-selection]", "-r", "2"),
        *("-j", "2", "--no-cache"),
    )
    assert results["objective_suboptimality"].isna().all()
    said = [line for line in lines if "no reference minimum" in line]
    assert said == [
        "hyperparameter-selection on simulated: no reference minimum, so that "
        "suboptimality is empty; none is published for these samples and settings "
        "(`python -m benchmark_bilevel reference -d 'simulated[n_samples=200]' "
        "-o 'Bilevel[problem=hyperparameter-selection]'`)."
    ]


MINE = """
from benchopt import BaseDataset
from sklearn.datasets import load_breast_cancer


class Dataset(BaseDataset):
    name = "mine"

    def get_data(self):
        X, y = load_breast_cancer(return_X_y=True)
        return {"X_train": X, "y_train": y}
"""


def test_what_computes_a_reference_finds_data_of_the_user_s_own(benchmark, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    lines, _ = run(
        benchmark,
        "mine",
        *("-d", str(path), "-s", "SOBA[max_iterations=[3,4],runtime=torch]", "-r", "2"),
        *("-o", "Bilevel[problem=hyperparameter-selection,split_seed=3]"),
    )
    [line] = [line for line in lines if "no reference minimum" in line]
    command = re.search(r"`(.*)`", line)[1]
    *_, dataset, _, objective = shlex.split(command)
    found = Benchmark(ROOT)
    assert found.check_dataset_patterns([dataset])
    [(_, parameters)] = found.check_objective_filters([objective])
    assert parameters["split_seed"] == 3


def test_divergence_is_recorded(ends):
    assert [
        line for line in status_lines(ends[0]) if "1e+30" in line and "done" in line
    ]
    [curve] = [curve for name, curve in ends[1] if "step_size" in name]
    assert curve["objective_diverged"].iloc[-1] == 1.0
    assert np.isnan(curve["objective_value"].iloc[-1])
    assert np.isfinite(curve["objective_value"].iloc[0]), "the curve is kept"


def test_workers_give_the_same_results(benchmark, results):
    arguments = (*TWO_DATA_SETS, *FAST_SOLVERS)
    backend = ("--parallel-config", ROOT / "config" / "parallel" / "loky.yml")
    _, parallel = run(benchmark, "parallel", *backend, "--no-cache", *arguments)
    pd.testing.assert_frame_equal(without_times(parallel), without_times(results))


def test_edited_code_is_not_answered_from_the_cache(benchmark, tmp_path):
    """The package is copied, so that an edit can be made in it."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "benchmark_bilevel", source / "benchmark_bilevel")
    arguments = ("-d", "quadratic", "-s", "SOBA[max_iterations=7]")
    environment = {"PYTHONPATH": str(source)}
    lines, first = run(benchmark, "edited", *arguments, **environment)
    assert "cached" not in status_lines(lines)[0]

    # An edit in a helper that both the compiled loop and the cache depend on.
    schedules = source / "benchmark_bilevel" / "methods" / "schedules.py"
    text = schedules.read_text()
    assert "schedule.inner * factor" in text
    schedules.write_text(
        text.replace("schedule.inner * factor", "schedule.inner * 2.0")
    )
    lines, second = run(benchmark, "edited_2", *arguments, **environment)
    assert "cached" not in status_lines(lines)[0]
    values = [r["objective_inner_loss"].iloc[-1] for r in (first, second)]
    assert values[0] != values[1], "numba's cache must not answer with the old code"


@pytest.mark.parametrize(
    "parameters, line",
    [
        ({"runtime": "jax"}, "SOBA: runtime='jax' is not valid; expected one of"),
        ({"dtype": "int8"}, "SOBA: dtype='int8' is not valid; expected one of"),
        ({"batch_size": 0}, "SOBA: batch_size=0 is not valid; expected a positive"),
        ({"outer_batch_size": "all"}, "SOBA: outer_batch_size='all' is not valid"),
        ({"sampling": "sorted"}, "SOBA: sampling='sorted' is not valid"),
        ({"step_size": -1}, "SOBA: step_size=-1 is not valid; expected a positive"),
        ({"step_exponent": "no"}, "SOBA: step_exponent='no' is not valid"),
        ({"linear_step": 0}, "SOBA: linear_step=0 is not valid"),
        ({"max_iterations": 0}, "SOBA: max_iterations=0 is not valid"),
        ({"max_seconds": 0}, "SOBA: max_seconds=0 is not valid"),
        ({"device": "cuda", "runtime": "numba"}, "SOBA: device='cuda' needs runtime="),
        ({"device": "gpu"}, "SOBA: device='gpu' is none that torch has here ("),
        ({"device": "meta"}, "SOBA: device='meta' is none that torch has here ("),
    ],
)
def test_bad_parameters_are_refused(parameters, line):
    with pytest.raises(click.UsageError) as error:
        load_solver("soba").get_instance(**parameters)
    assert error.value.message.startswith(line)
    assert "\n" not in error.value.message


def test_missing_data_are_one_line_and_the_rest_runs(benchmark, tmp_path):
    """Offline: a proxy that refuses stands for the missing network."""
    environment = {
        "BENCHOPT_DATA_HOME": str(tmp_path),
        **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),
    }
    solver = ("-s", "SOBA[max_iterations=5]", "--no-plot")
    _, lines = benchopt(
        benchmark, "-d", "ijcnn1", "-d", "quadratic", *solver, **environment
    )
    reasons = [line for line in lines if line.strip().startswith("Reason: ijcnn1")]
    assert reasons and str(tmp_path) in reasons[0] and "benchopt prepare" in reasons[0]
    assert any("done" in line for line in status_lines(lines))
    code, lines = benchopt(
        benchmark, "-d", "ijcnn1", *solver, check=False, **environment
    )
    assert code == 1
    assert not [line for line in lines if "Traceback" in line]


def test_unused_objective_parameter_is_skipped_with_a_reason():
    Objective = Benchmark(ROOT).get_benchmark_objective()
    objective = Objective.get_instance(problem="quadratic", corruption=0.7)
    reason = "quadratic does not use corruption=0.7"
    assert objective.skip(**dataset("quadratic")) == (True, reason)
