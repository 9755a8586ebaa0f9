"""From result files to curves, targets, labels and figures."""

import json
import math
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
import yaml
from benchopt.benchmark import Benchmark, _list_parametrized_classes
from benchopt.plotting import _check_view
from conftest import ROOT

from benchmark_bilevel.report import curves, figures, results, styles, targets
from benchmark_bilevel.report.site.result_pages import NEED_REFERENCE

PROBLEM = "ijcnn1, hyperparameter-selection"


@pytest.fixture(scope="module")
def suite():
    return Benchmark(ROOT)


@pytest.fixture(scope="module")
def two_problems():
    """Six solvers on a problem with a reference and on one without, one step each."""
    return results.prepare(
        pd.concat(
            [
                synthetic.cells(),
                synthetic.cells(
                    dataset="mnist", problem="data-poisoning", has_reference=False
                ),
            ],
            ignore_index=True,
        )
    )


@pytest.fixture(scope="module")
def diverging():
    """SOBA never diverges, SABA once in five runs, AmIGO always."""
    return results.prepare(
        pd.concat(
            [
                synthetic.cell(
                    solver,
                    0.1,
                    k,
                    diverged=solver == "AmIGO" or (solver, k) == ("SABA", 2),
                )
                for solver in ("SOBA", "SABA", "AmIGO")
                for k in range(5)
            ],
            ignore_index=True,
        )
    )


# --- names ----------------------------------------------------------------------------


def test_labels_have_only_the_parameters_that_vary():
    runs = pd.concat(
        [
            synthetic.cells(("SOBA",), (0.1, 0.5), 1),
            synthetic.cells(("SABA",), (0.1,), 1),
            synthetic.cells(("SOBA",), (2.0,), 1, dataset="covtype"),
        ]
    )
    labels = results.prepare(runs).groupby("problem")["label"].unique()
    assert list(labels[PROBLEM]) == ["SOBA step_size=0.1", "SOBA step_size=0.5", "SABA"]
    assert list(labels["covtype, hyperparameter-selection"]) == ["SOBA"]


def test_a_problem_in_two_files_is_two_problems(tmp_path):
    runs = synthetic.cells(("SOBA",), (0.1,), 1)
    paths = [synthetic.write(runs, tmp_path / f"{name}.parquet") for name in ("a", "b")]
    assert results.problems(results.read(paths)) == [f"{PROBLEM} (a)", f"{PROBLEM} (b)"]
    assert results.problems(results.read(paths[:1])) == [PROBLEM]


def test_a_command_repeats_the_runs(suite):
    """benchopt reads the names in it, all but infinities."""
    command = results.repeat_command(synthetic.cells(("SOBA",), (0.1, 0.5), 3))
    assert command[:5] == ["benchopt", "run", ".", "-d", "ijcnn1"]
    assert command[-4:] == ["-r", "3", "--seed", "0"]
    solvers = [value for flag, value in pairwise(command) if flag == "-s"]
    assert solvers == [
        f"SOBA[batch_size=64,linear_step=None,step_size={step}]" for step in (0.1, 0.5)
    ]
    found = _list_parametrized_classes(*suite.check_solver_patterns(solvers))
    assert [solver.step_size for solver, _ in found] == [0.1, 0.5]


def test_provenance(tmp_path):
    path = synthetic.write(
        synthetic.cells(("SOBA",), n_repetitions=2), tmp_path / "a.parquet"
    )
    assert results.provenance_of(results.read([path])) == [synthetic.PROVENANCE]


def test_styles_are_distinct_and_do_not_depend_on_what_is_drawn():
    looks = [styles.style(name) for name in (*styles.SOLVERS, "Mine", "Yours")]
    assert len({(look.color, look.marker) for look in looks}) == len(looks)
    variants = [styles.style("SOBA", k, 4) for k in range(4)]
    assert variants[0] == styles.style("SOBA")
    assert len({look.marker for look in variants}) == 1
    assert len({(look.color, look.dash) for look in variants}) == 4


# --- curves ---------------------------------------------------------------------------


def test_quantiles_of_step_functions_on_a_common_grid():
    """By hand: the value at x is that of the last evaluation at or before x."""
    runs = [
        (np.array([0.0, 1.0, 10.0, 100.0]), np.array([8.0, 4.0, 2.0, 1.0]), False),
        (np.array([0.0, 2.0, 20.0, 90.0]), np.array([8.0, 5.0, 3.0, 2.0]), False),
        (np.array([0.0, 3.0, 30.0, 200.0]), np.array([8.0, 6.0, 4.0, 0.0]), False),
    ]
    x, median, low, high = curves.aggregate(runs)
    assert x[0] == 0.0 and x[1] == 1.0
    assert x[-1] == 90.0, "where the first run ends"
    expected = np.array([[y[xs <= t][-1] for xs, y, _ in runs] for t in x])
    np.testing.assert_allclose(median, np.median(expected, axis=1))
    np.testing.assert_allclose(low, np.quantile(expected, 0.2, axis=1))
    np.testing.assert_allclose(high, np.quantile(expected, 0.8, axis=1))
    assert median[-1] == 2.0, "the best end of one run moves nothing"


def test_ends_of_budgets_that_are_exceeded_differently_all_count():
    """The last values of all runs are those of the table, whichever ended first."""
    runs = [
        (np.array([0.0, 75.0, 102.0]), np.array([8.0, 3.0, 1.0]), False),
        (np.array([0.0, 80.0, 115.0]), np.array([8.0, 4.0, 2.0]), False),
        (np.array([0.0, 70.0, 108.0]), np.array([8.0, 5.0, 3.0]), False),
    ]
    x, median, low, high = curves.aggregate(runs)
    assert x[-1] == 115.0
    assert median[-1] == 2.0 and low[-1] == 1.4 and high[-1] == 2.6


def test_quantiles_allow_infinities():
    values = np.array([[1.0], [2.0], [3.0], [4.0], [math.inf]])
    assert curves.quantile(values, 0.5) == 3.0
    assert curves.quantile(values, 0.8) == math.inf
    assert curves.quantile(values, 0.75) == 4.0
    assert curves.quantile(-values, 0.2) == -math.inf


def test_no_curve_has_an_artificial_final_drop(two_problems):
    """Medians lie among the runs' values; nothing is below the accuracy of h*."""
    runs = two_problems[two_problems["problem"] == PROBLEM].copy()
    late = runs["objective_iterations"] > 1e3
    runs.loc[late, "objective_suboptimality"] = -1e-16
    for curve in curves.curves(runs, PROBLEM, "suboptimality", "seconds"):
        accuracy = results.accuracy_of_reference(runs)
        assert curve.y[-1] == curve.low[-1] == curve.high[-1] == accuracy == 1e-10
    for curve in curves.curves(two_problems, PROBLEM, "suboptimality", "oracle calls"):
        own = two_problems[two_problems["solver_name"] == curve.name]
        assert curve.y[-1] >= own["objective_suboptimality"].min()
        last = (
            own[own["objective_oracle_calls"] <= curve.x[-1]].groupby("idx_rep").last()
        )
        np.testing.assert_allclose(
            curve.y[-1], last["objective_suboptimality"].median()
        )


def test_costly_metrics_may_be_thinned():
    runs = synthetic.cells(("SOBA",), (0.1,), 3)
    full = curves.curves(runs, PROBLEM, "inner_distance", "seconds")[0]
    runs = runs.copy()
    between = (runs["stop_val"] % 2 == 1) & (runs["objective_iterations"] < 1e5)
    runs.loc[between, "objective_inner_distance"] = np.nan
    thinned = curves.curves(runs, PROBLEM, "inner_distance", "seconds")[0]
    assert thinned.n_diverged == 0
    assert np.isfinite(thinned.y).all() and thinned.x[-1] == full.x[-1]
    assert full.y[-1] <= thinned.y[-1] <= 1.5 * full.y[-1]


def test_a_diverged_run_shows_as_diverged(diverging):
    soba, saba, amigo = curves.curves(diverging, PROBLEM, "suboptimality", "seconds")
    assert soba.title == "SOBA" and not soba.diverged
    assert saba.title == "SABA (1 of 5 diverged)" and not saba.diverged
    assert amigo.title == "AmIGO (diverged)" and amigo.diverged
    # The median of SABA goes on without the run that diverged, its band is wide.
    assert saba.x[-1] > 0.5 and np.isfinite(saba.y).all()
    assert saba.high[-1] > 100 * saba.y[-1]
    # AmIGO's curve ends where the runs do, inside the picture of the others.
    assert amigo.x[-1] < saba.x[-1]
    assert amigo.y.max() <= 10 * soba.y.max()
    accuracies = curves.curves(diverging, PROBLEM, "test_accuracy", "seconds")[1]
    assert accuracies.low[-1] < accuracies.y[-1] <= 1.0


def test_a_run_without_a_value_at_its_end_has_failed_and_none_hides_the_others():
    """Too far away for h to be computed, though its iterates are numbers still."""
    runs = synthetic.cells(("SOBA", "SABA", "AmIGO"), n_repetitions=3)
    lost = (runs["dataset_name"] == "ijcnn1") & runs["solver_name"].str.startswith(
        "SABA"
    )
    runs.loc[lost, "objective_suboptimality"] = 1e30 ** runs.loc[lost, "time"]
    runs.loc[lost & (runs["objective_iterations"] > 5e4), "objective_value"] = np.nan
    found = {
        c.solver: c for c in curves.curves(runs, PROBLEM, "suboptimality", "seconds")
    }
    assert found["SABA"].title == "SABA (diverged)"
    assert found["SABA"].y.max() < 11 * found["SOBA"].y.max()
    assert found["SOBA"].title == "SOBA"


# --- targets --------------------------------------------------------------------------


def test_costs_of_targets():
    run = synthetic.cell("SOBA", 0.1, 0)
    table = targets.reached(run, (0.1, 1e-9)).set_index("target")
    first = run[run["objective_suboptimality"] <= 0.1].iloc[0]
    assert table.loc[0.1, "seconds"] == first["time"]
    assert table.loc[0.1, "oracle calls"] == first["objective_oracle_calls"]
    assert table.loc[1e-9, "seconds"] == math.inf


def test_performance_profile_and_distribution(two_problems):
    """By hand: the fastest solver has the value of its runs at or below its median."""
    profile = targets.performance_profile(two_problems, 0.1, "oracle calls")
    assert list(profile) == list(synthetic.SOLVERS)
    costs = {
        solver: [
            run[run["objective_suboptimality"] <= 0.1]["objective_oracle_calls"].iloc[0]
            for _, run in runs.groupby("idx_rep")
        ]
        for solver, runs in two_problems[two_problems["problem"] == PROBLEM].groupby(
            "solver"
        )
    }
    fastest = min(np.median(cost) for cost in costs.values())
    for solver, (factors, shares) in profile.items():
        expected = [np.mean(np.array(costs[solver]) / fastest <= f) for f in factors]
        np.testing.assert_allclose(shares, expected)
    for grid, shares in targets.empirical_distribution(
        two_problems, "seconds"
    ).values():
        assert (np.diff(shares) >= 0).all() and (np.diff(grid) > 0).all()
        assert shares[0] >= 0 and shares[-1] <= 1


def test_only_the_best_parameters_compare_over_problems():
    runs = synthetic.cells(("SOBA",), (0.1, 1.0), 3)
    best = targets.best_variants(targets.reached(runs))
    assert set(best["label"]) == {"SOBA step_size=1"}


def test_summary(two_problems, diverging):
    table = targets.summary(two_problems, PROBLEM)
    assert table["median"].is_monotonic_increasing
    row = table.set_index("solver").loc["SOBA"]
    runs = two_problems[
        (two_problems["problem"] == PROBLEM) & (two_problems["solver"] == "SOBA")
    ]
    ends = runs.groupby("idx_rep")["objective_suboptimality"].last()
    np.testing.assert_allclose(row["median"], ends.median())
    np.testing.assert_allclose(row["best"], runs["objective_suboptimality"].min())
    without = targets.summary(two_problems, "mnist, data-poisoning")
    assert "median" not in without and without["value"].is_monotonic_increasing
    retrained = without["retrained_test_accuracy"]
    np.testing.assert_allclose(retrained, without["test_accuracy"])
    assert "retrained_test_accuracy" not in table and "corrupted_auc" not in without
    lost = targets.summary(diverging, PROBLEM).set_index("solver").loc["AmIGO"]
    assert (lost["n_diverged"], lost["median"], lost["value"]) == (
        5,
        math.inf,
        math.inf,
    )


def test_sensitivity():
    runs = synthetic.cells(("SOBA", "SABA"), (0.01, 0.1, 1.0), 3)
    found = targets.sensitivity(runs, PROBLEM)
    assert list(found) == ["SOBA", "SABA"]
    steps, median, low, high = found["SOBA"]
    assert list(steps) == [0.01, 0.1, 1.0]
    assert (
        (np.diff(median) < 0).all() and (low <= median).all() and (median <= high).all()
    )


# --- figures and benchopt's plots -----------------------------------------------------


@pytest.fixture(scope="module")
def plots(suite, two_problems):
    kinds = suite.get_plot_config()["plots"]
    return suite.get_plot_data(two_problems.copy(), kinds)


def test_every_plot_of_the_configuration_has_data(plots, suite):
    data, options = plots
    assert list(options["suboptimality"]["x_axis"]) == ["seconds", "oracle calls"]
    assert set(data) == set(suite.get_plot_config()["plots"])
    json.dumps(data)
    traces = data["suboptimality"][f"suboptimality_{PROBLEM}_oracle calls"]["data"]
    found = curves.curves(synthetic.cells(), PROBLEM, "suboptimality", "oracle calls")
    for trace, curve in zip(traces, found, strict=True):
        assert trace["label"] == curve.title
        for name, values in (("x", curve.x), ("y", curve.y), ("y_low", curve.low)):
            np.testing.assert_allclose(trace[name], values, rtol=1e-4)
            assert np.isfinite(trace[name]).all()


def test_no_plot_has_a_value_that_is_not_a_number(suite, diverging):
    data, _ = suite.get_plot_data(diverging.copy(), kinds(suite))
    for figures_of_kind in data.values():
        for figure in figures_of_kind.values():
            for trace in figure["data"] if figure["type"] == "scatter" else []:
                for name in {"x", "y", "y_low", "y_high"} & set(trace):
                    assert np.isfinite(trace[name]).all(), trace["label"]


def test_plots_of_a_problem_without_reference(suite):
    """Alone in a file: what needs a suboptimality is empty, the others are there."""
    poisoning = {"dataset": "mnist", "problem": "data-poisoning"}
    runs = synthetic.cells(("SOBA", "SABA"), has_reference=False, **poisoning)
    data, _ = suite.get_plot_data(runs, kinds(suite))
    drawn = {
        kind
        for kind, figures_of_kind in data.items()
        if any(figure["data"] for figure in figures_of_kind.values())
    }
    assert drawn == set(data) - set(NEED_REFERENCE)


def kinds(suite):
    return suite.get_plot_config()["plots"]


@pytest.mark.filterwarnings("error")
def test_views_of_the_configuration_are_valid(suite, plots):
    """benchopt warns of an unknown kind or option; values are checked here."""
    _, options = plots
    for name, view in yaml.safe_load((ROOT / "config.yml").read_text())[
        "plot_configs"
    ].items():
        _check_view(name, view, suite.get_plots())
        kind = view["plot_kind"]
        for option, values in options[kind].items():
            assert view.get(f"{kind}_{option}", values[0]) in values
    # benchopt finds a figure's options by prefix: no kind may begin another's name.
    names = kinds(suite)
    assert not [(a, b) for a in names for b in names if a != b and b.startswith(a)]


def test_figures_are_vectors_and_the_same_each_time(tmp_path):
    runs = results.prepare(synthetic.cells(("SOBA", "SABA"), (0.1, 1.0), 3))
    drawn = dict(figures.all_figures(runs))
    name = "ijcnn1-hyperparameter-selection-suboptimality-oracle-calls"
    assert {
        name,
        "ijcnn1-hyperparameter-selection-step-size",
        "profile-1e-01-seconds",
    } < set(drawn)
    contents = []
    for k in range(2):
        with plt.rc_context(figures.LOOK):
            figures.save(drawn[name](), tmp_path / f"{k}.pdf")
        contents.append((tmp_path / f"{k}.pdf").read_bytes())
    assert contents[0] == contents[1]
    assert b"/Subtype /Image" not in contents[0], "vectors only"
    width = drawn[name]().get_size_inches()[0]
    assert width == figures.COLUMN


def test_forty_curves_have_legible_legends():
    runs = results.prepare(
        synthetic.cells(step_sizes=np.geomspace(0.01, 1, 7), n_repetitions=2)
    )
    found = curves.curves(runs, PROBLEM, "suboptimality", "seconds")
    assert len(found) == 42
    looks = {styles.style(curve.solver, *curve.rank) for curve in found}
    assert len(looks) == 42
    with plt.rc_context(figures.LOOK):
        figure = figures.curve_figure(found, "suboptimality", "seconds")
        figure.draw_without_rendering()
        axes_height = figure.axes[0].get_window_extent().height / figure.dpi
        legend = figure.legends[0].get_window_extent()
    assert axes_height > 1.2
    assert legend.x0 >= 0 and legend.x1 <= figure.get_size_inches()[0] * figure.dpi
