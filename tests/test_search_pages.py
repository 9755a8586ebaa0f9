"""The pages of searches: trials, choices, what they depend on."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import synthetic_results as synthetic
from benchopt.benchmark import Benchmark
from click.testing import CliRunner
from conftest import ROOT, copy_of_the_benchmark
from matplotlib.figure import Figure

from benchmark_bilevel.__main__ import main
from benchmark_bilevel.report.reading import read
from benchmark_bilevel.report.results import prepare
from benchmark_bilevel.report.search_panels import best_panel, plane_panels
from benchmark_bilevel.report.searches import read_search
from benchmark_bilevel.report.site import build
from benchmark_bilevel.report.site.searches import _score
from benchmark_bilevel.report.tables import summary
from benchmark_bilevel.report.tuned import tuned_tables
from benchmark_bilevel.search.store import Store

ENDS = {"SOBA": [4.0, 1.0, 1.9, np.nan], "SABA": [0.1, np.nan, 0.3, 5.0]}


def row(solver, trial, end, stage="tuning", seed=0):
    """A run with the steps of `trial`."""
    parameters = {"step_size": 0.1 * (trial + 2), "outer_ratio": 2.0}
    return {
        "solver": solver,
        "trial": trial,
        "stage": stage,
        "seed": seed,
        "budget": 1e6,
        "parameters": json.dumps(parameters),
        "shares": json.dumps({"step_size": 0.1 * (trial + 1), "outer_step": 0.5}),
        "score": end,
        "suboptimality": end,
        "diverged": float(np.isnan(end)),
        "oracle_calls": 1e6,
        "seconds": 1.0,
        "fingerprint": "0",
        "source": "0",
    }


@pytest.fixture
def path(tmp_path):
    """Two solvers with four trials each; the finalists of SOBA have three seeds."""
    rows = [
        row(solver, k, end)
        for solver, ends in ENDS.items()
        for k, end in enumerate(ends)
    ]
    further = {0: (4.0, 4.0), 1: (3.0, 3.0), 2: (2.0, 2.1)}
    rows += [
        row("SOBA", k, end, seed=1 + s)
        for k, ends in further.items()
        for s, end in enumerate(ends)
    ]
    rows += [row("SOBA", -1, 7.0 + s, "defaults", s) for s in range(3)]
    rows += [row("SOBA", -1, np.nan, "transfer from covtype", s) for s in range(3)]
    path = tmp_path / "ijcnn1.parquet"
    Store(path).append(rows)
    return path


def test_trials_and_choices(path):
    """By hand: trial 2 has the lowest median over three seeds, 2.0."""
    search = read_search(path)
    assert [one.solver for one in search.solvers] == ["SABA", "SOBA"]
    soba = search.solvers[1]
    assert (soba.chosen, soba.final) == (2, 2.0)
    assert soba.free == ["step_size", "outer_step"]
    np.testing.assert_allclose(soba.steps, [0.2, 0.3, 0.4, 0.5])
    np.testing.assert_allclose(soba.outer_steps, soba.steps / 2)
    np.testing.assert_array_equal(soba.ends, ENDS["SOBA"])
    assert (soba.within, soba.diverged) == (0.5, 0.25)
    assert (soba.defaults.median, soba.transfers["covtype"].n_diverged) == (8.0, 3)
    np.testing.assert_array_equal(soba.best.median[-1], 1.0)
    assert search.has_reference and search.n_trials == (4, 4)


def test_the_plane_has_every_trial_and_the_choice(path):
    search = read_search(path)
    _, panel = plane_panels(search)
    ax = Figure().subplots()
    panel.draw(ax)
    crosses, near, far, others, ring = (line.get_xdata() for line in ax.lines)
    np.testing.assert_allclose(crosses, [0.5])
    np.testing.assert_allclose(near, [0.3, 0.4])
    np.testing.assert_allclose(far, [0.2])
    assert others.size == 0
    np.testing.assert_allclose(ring, 0.4)


@pytest.mark.parametrize("shift", [0.0, -2.0])
def test_classes_of_scores_do_not_depend_on_their_level(tmp_path, shift):
    """Accuracies, all within a factor of 2: the median is 0.7."""
    path = tmp_path / "poisoning.parquet"
    ends = (0.5, 0.505, 0.59, 0.7, 0.8, 0.9, 0.9)
    rows = [row("SOBA", k, end + shift) for k, end in enumerate(ends)]
    Store(path).append([{**one, "suboptimality": np.nan} for one in rows])
    search = read_search(path)
    assert not search.has_reference
    (panel,) = plane_panels(search)
    ax = Figure().subplots()
    panel.draw(ax)
    near, far, others = (line.get_xdata() for line in ax.lines[1:4])
    assert [len(near), len(far), len(others)] == [2, 1, 4]


def test_scores_that_fall_to_nothing_are_compared_by_factors(tmp_path):
    path = tmp_path / "equilibrium.parquet"
    ends = (2e-7, 3e-7, 1e-6, 1.0, 2.3, 1e3)
    rows = [row("SOBA", k, end) for k, end in enumerate(ends)]
    Store(path).append([{**one, "suboptimality": np.nan} for one in rows])
    search = read_search(path)
    (panel,) = plane_panels(search)
    ax = Figure().subplots()
    panel.draw(ax)
    near, far, others = (line.get_xdata() for line in ax.lines[1:4])
    assert [len(near), len(far), len(others)] == [2, 1, 3]
    ax = Figure().subplots()
    best_panel(search).draw(ax)
    assert ax.get_yscale() == "log"


def test_the_best_of_more_trials_is_lower(path):
    ax = Figure().subplots()
    names = best_panel(read_search(path)).draw(ax)
    assert [name.text for name in names] == ["SABA", "SOBA"]
    for name in names:
        assert (np.diff(name.artist.get_ydata()) <= 0).all()


def test_rounding_keeps_the_axis_logarithmic(tmp_path):
    """The lowest ends may be negative, by an error of h or of h*."""
    path = tmp_path / "quadratic.parquet"
    Store(path).append([row("SABA", k, end) for k, end in enumerate((1.0, -5e-17))])
    ax = Figure().subplots()
    best_panel(read_search(path)).draw(ax)
    assert ax.get_yscale() == "log"
    (curve,) = ax.lines
    assert curve.get_ydata()[-1] == 1e-16


def test_costs_of_tuned_default_and_transferred_parameters(tmp_path):
    """Each row says what its parameters are; the winner, how near an edge it is."""
    path = tmp_path / "ijcnn1.parquet"
    moved = row("SOBA", -1, 0.2, "transfer from covtype")
    ends = enumerate((1.0, 3.0))
    Store(path).append([*(row("SOBA", k, end) for k, end in ends), moved])
    # Of `row`: trial 0 has step 0.2, trial -1 0.1; 0.7 is in no row of the search.
    runs = synthetic.cells(("SOBA",), (0.2, 0.1, 0.7), n_repetitions=1)
    runs["p_solver_outer_ratio"] = 2.0
    text = tuned_tables(runs.assign(file="ijcnn1"), tmp_path)
    found = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    cells = {line[2]: line for line in found if len(line) > 2 and line[1] == "SOBA"}
    assert set(cells) == {"tuned", "defaults", "transfer from covtype"}
    table = summary(runs.assign(file="ijcnn1"), prepare(runs)["problem"].iloc[0])
    for role, step in (("tuned", 0.2), ("defaults", 0.7)):
        costs = table[table["label"].str.endswith(f"{step}")].iloc[0]
        assert cells[role][5] == f"{costs['oracle calls', 0.1]:.2g}"
        assert cells[role][12] == f"{costs['seconds', 1e-4]:.2g}".replace("nan", "–")
    assert cells["tuned"][4] == "0 of 1"
    assert cells["tuned"][13] == "10% (step_size)" and cells["defaults"][13] == ""
    gaps = table.set_index(table["label"].str[-3:])["gap"]
    tuned, defaults, transfer = gaps["0.2"], gaps["0.7"], gaps["0.1"]
    assert len({tuned, defaults, transfer}) == 3
    assert found[-1][1:-1] == [
        "`ijcnn1`",
        f"{int(tuned < defaults)} of 1",
        "1: SOBA" if tuned > defaults else "0",
        f"{defaults / tuned:.2g}",
        f"`covtype`: {int(transfer < defaults)}, {int(transfer > defaults)} of 1",
        f"{int(tuned < transfer)} of 1",
        "0 %",
        "0, 1 of 1",
    ]
    assert tuned_tables(runs.assign(file="other"), tmp_path) == ""
    file = synthetic.write(runs, tmp_path / "other.parquet")
    done = CliRunner().invoke(main, ["tuned", str(file)])
    assert done.exit_code == 1 and "none of these files" in done.output


def test_the_command_prints_the_table_of_a_published_file():
    file = ROOT / "results" / "quadratic.parquet"
    done = CliRunner().invoke(main, ["tuned", str(file), "--benchmark", str(ROOT)])
    expected = tuned_tables(read([file]), ROOT / "results" / "search")
    assert done.exit_code == 0 and done.output == expected + "\n"
    assert expected.count("| SOBA") >= 1


def test_a_result_file_leads_to_its_search(path, tmp_path):
    folder = copy_of_the_benchmark(tmp_path, compiled=False)
    (folder / "results" / "search").mkdir(parents=True)
    path.rename(folder / "results" / "search" / path.name)
    runs = synthetic.cells(("SOBA",), n_repetitions=1)
    file = synthetic.write(runs, tmp_path / "ijcnn1.parquet")
    site = tmp_path / "site"
    build([file], site, Benchmark(folder), log=lambda text: None)
    page = (site / "search-ijcnn1.html").read_text()
    assert "3 of 3 diverged" in page and "from covtype" in page and "2.0·10⁰" in page
    assert (site / "data" / "search" / "ijcnn1.parquet").is_file()
    for name in ("problem-hyperparameter-selection.html", "file-ijcnn1.html"):
        assert 'href="search-ijcnn1.html"' in (site / name).read_text()


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("score: retrained_test_accuracy", "retrained: test accuracy"),
        ("score: own_metric", "own_metric"),
        ("trials: 16", "value function h(x)"),
        ("- no mapping", "value function h(x)"),
        ("{", "value function h(x)"),
    ],
)
def test_a_search_without_reference_names_what_decides(tmp_path, text, score):
    (tmp_path / "config" / "search").mkdir(parents=True)
    (tmp_path / "config" / "search" / "own.yml").write_text(text)
    runs = prepare(synthetic.cells(("SOBA",), n_repetitions=1))
    file = SimpleNamespace(name="own", results=runs)
    benchmark = SimpleNamespace(benchmark_dir=tmp_path)
    assert _score(file, benchmark, SimpleNamespace(has_reference=False)) == score


def test_the_page_of_a_search_without_reference(tmp_path):
    folder = copy_of_the_benchmark(tmp_path, compiled=False)
    (folder / "results" / "search").mkdir(parents=True)
    rows = [{**row("SOBA", k, 1.0 + k), "suboptimality": np.nan} for k in range(4)]
    Store(folder / "results" / "search" / "own.parquet").append(rows)
    runs = synthetic.cells(("SOBA",), n_repetitions=1)
    file = synthetic.write(runs, tmp_path / "own.parquet")
    site = tmp_path / "site"
    build([file], site, Benchmark(folder), log=lambda text: None)
    page = (site / "search-own.html").read_text()
    assert "The lowest\nvalue function h(x) at the end" in page
    assert "within ×2" not in page
