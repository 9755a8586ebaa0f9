"""Every problem on every bundled data set, as `benchopt run` meets them."""

import numpy as np
import pytest
from benchopt.results import read_results
from command_line import run, status_lines
from conftest import copy_of_the_benchmark

TASKS = ("multi_task_ridge[n_tasks=6]", "sinusoid[n_tasks=9,n_test_tasks=3]")
DATA_SETS = ("digits", "diabetes", "shallow_representation", *TASKS)
# What runs; every other pair is skipped with its reason.
PAIRS = {
    ("digits", "hyperparameter-selection"),
    ("digits", "deep-hypercleaning"),
    ("digits", "dataset-distillation"),
    ("diabetes", "hyperparameter-selection"),
    ("shallow_representation", "hyper-representation"),
}
TASK_PAIRS = {
    ("digits", "equilibrium"),
    ("multi_task_ridge[n_tasks=6]", "multi-task-ridge"),
    ("sinusoid[n_tasks=9,n_test_tasks=3]", "few-shot"),
}
PROBLEMS = sorted({problem for _, problem in PAIRS | TASK_PAIRS})


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Lines, and rows with what is kept of each run."""
    benchmark = copy_of_the_benchmark(tmp_path_factory.mktemp("pairs"), compiled=False)
    lines, _ = run(
        benchmark,
        "pairs",
        *(part for name in DATA_SETS for part in ("-d", name)),
        *("-o", f"Bilevel[problem=[{','.join(PROBLEMS)}]]"),
        *("-s", "SOBA[max_iterations=3,step_size=0.001,runtime=torch]"),
        *("-s", "stocBiO[max_iterations=2,step_size=0.001,task_state=fresh]"),
    )
    return lines, read_results(benchmark / "outputs" / "pairs.parquet")


def rows(results, problem):
    return results[results["p_obj_problem"] == problem]


def test_pairs(outcome):
    lines, results = outcome
    pairs = PAIRS | TASK_PAIRS
    assert set(results.groupby(["dataset_name", "p_obj_problem"]).groups) == pairs
    n_done = len(PAIRS) + 2 * len(TASK_PAIRS)  # rows are fresh on tasks only
    assert sum(": done" in line for line in status_lines(lines)) == n_done
    n_skipped = len(DATA_SETS) * len(PROBLEMS) - len(pairs) + len(PAIRS)
    assert sum(line.rstrip().endswith(" skip") for line in lines) == n_skipped, (
        "\n".join(lines)
    )
    for reason in (
        "needs a representation to learn",
        "needs classification data",
        "needs regression tasks",
        "needs tasks with a support and a query",
        "is not made of tasks: task_state=kept",
    ):
        assert any(reason in line for line in lines), reason


def test_rows_of_tasks(outcome):
    _, results = outcome
    for _, name in TASK_PAIRS:
        ends = rows(results, name).groupby("p_solver_task_state").last()
        assert np.isfinite(ends["objective_value"]).all()
        assert np.isfinite(ends["objective_hypergradient_norm"]).all()
        assert ends.loc["kept", "objective_row_bytes"] > 0
        assert ends.loc["fresh", "objective_row_bytes"] == 0
        assert np.isfinite(ends.loc["kept", "objective_inner_distance"])
        assert np.isnan(ends.loc["fresh", "objective_inner_distance"])
    ridge = rows(results, "multi-task-ridge")
    assert (ridge["objective_suboptimality"] > 0).all()
    others = results[~results["p_obj_problem"].isin([name for _, name in TASK_PAIRS])]
    assert others["objective_row_bytes"].isna().all()


def test_columns_that_do_not_apply_are_empty(outcome):
    _, results = outcome
    distilled, deep, learnt = (
        rows(results, name)
        for name in (
            "dataset-distillation",
            "deep-hypercleaning",
            "hyper-representation",
        )
    )
    regression = results[results["dataset_name"] == "diabetes"]
    for with_h in (distilled, learnt, regression):
        assert np.isfinite(with_h["objective_value"]).all()
    for name in ("value", "suboptimality", "hypergradient_norm", "inner_distance"):
        assert deep[f"objective_{name}"].isna().all(), name
    for name in ("test_accuracy", "clean_f1"):
        assert np.isfinite(deep[f"objective_{name}"]).all(), name
    for numbers in (learnt, regression):
        assert np.isfinite(numbers["objective_test_r2_at_solution"]).all()
        assert numbers["objective_test_accuracy"].isna().all()
    assert distilled["objective_test_r2"].isna().all()
    assert (regression["objective_suboptimality"] > 0).all()


def test_learnt_images_are_kept(outcome):
    _, results = outcome
    kept = rows(results, "dataset-distillation")["final_results"].dropna().iloc[0]
    assert kept["images"].shape == (10, 64)
    assert np.isfinite(kept["images"]).all()
