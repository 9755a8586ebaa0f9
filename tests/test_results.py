"""From result files to curves, targets, labels and figures."""

import json
import math
import os
import pickle
import re
import subprocess
from itertools import pairwise
from types import SimpleNamespace

import click
import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
import yaml
from benchopt.benchmark import Benchmark, _list_parametrized_classes
from benchopt.plotting import _check_view
from click.testing import CliRunner
from conftest import ROOT

from benchmark_bilevel.__main__ import main
from benchmark_bilevel.report import (
    curves,
    distributions,
    names,
    origins,
    reading,
    results,
    styles,
    tables,
    targets,
)
from benchmark_bilevel.report.metrics import METRICS
from benchmark_bilevel.report.panels import all_panels
from benchmark_bilevel.report.tuned import changes
from benchmark_bilevel.search.store import Store

PROBLEM = "ijcnn1, hyperparameter-selection"
SOME = ("SOBA", "SABA")


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
    assert results.problems(reading.read(paths)) == [f"{PROBLEM} (a)", f"{PROBLEM} (b)"]
    assert results.problems(reading.read(paths[:1])) == [PROBLEM]


def test_a_parameter_that_a_file_is_too_old_for_names_no_problem(tmp_path):
    old = synthetic.cells(("SOBA",), (0.1,), 1)
    new = synthetic.cells(("SOBA",), (0.1,), 1, dataset="covtype")
    new["p_obj_protocol"] = "default"
    paths = [
        synthetic.write(runs, tmp_path / f"{name}.parquet")
        for name, runs in (("old", old), ("new", new))
    ]
    kind = "hyperparameter-selection"
    assert results.problems(reading.read(paths)) == [f"covtype, {kind}", PROBLEM]
    assert list(results.titles(reading.read(paths)).values()) == [
        "Hyper-parameter selection · Covertype",
        "Hyper-parameter selection · IJCNN1",
    ]
    both = pd.concat([new, new.assign(p_obj_protocol="bome")], ignore_index=True)
    assert results.problems(both) == [
        f"covtype, {kind} protocol={name}" for name in ("default", "bome")
    ]


def test_how_often_h_is_evaluated_names_no_problem_unless_that_is_compared():
    def runs(dataset, times):
        cells = synthetic.cells(("SOBA",), (0.1,), 1, dataset=dataset)
        return cells.assign(p_obj_exact_evaluations=times)

    parts = [runs("ijcnn1", 25), runs("covtype", 8)]
    kind = "hyperparameter-selection"
    both = pd.concat(parts, ignore_index=True)
    assert results.problems(both) == [PROBLEM, f"covtype, {kind}"]
    both = pd.concat([runs("ijcnn1", 25), runs("ijcnn1", 8)], ignore_index=True)
    assert results.problems(both) == [
        f"{PROBLEM} exact_evaluations={times}" for times in (25, 8)
    ]


def test_a_command_repeats_the_runs(suite):
    """benchopt reads the names in it; what no run sets is left to the defaults."""
    command = origins.repeat_command(synthetic.cells(("SOBA",), (0.1, 0.5), 3))
    assert command[:5] == ["benchopt", "run", ".", "-d", "ijcnn1"]
    assert command[-5:] == ["-r", "3", "--no-timeout", "--seed", "0"]
    solvers = [value for flag, value in pairwise(command) if flag == "-s"]
    assert solvers == [f"SOBA[batch_size=64,step_size={step}]" for step in (0.1, 0.5)]
    found = _list_parametrized_classes(*suite.check_solver_patterns(solvers))
    assert [solver.step_size for solver, _ in found] == [0.1, 0.5]


def test_labels_and_commands_come_from_the_columns_not_from_the_names():
    """Names have what differs from the defaults; null is None, or another's parameter."""
    runs = synthetic.cells(("SOBA", "SABA"), (0.1, 0.5), 1)
    runs["solver_name"] = runs["solver_name"].str.split("[").str[0]
    runs["p_solver_linear_step"] = [
        0.3 if step == 0.5 else None for step in runs["p_solver_step_size"]
    ]
    runs["p_solver_memory"] = (
        runs["solver_name"].eq("SABA").where(runs["solver_name"].eq("SABA"), None)
    )
    found = results.prepare(runs)
    assert found["label"].unique().tolist() == [
        "SOBA linear_step=None step_size=0.1",
        "SOBA linear_step=0.3 step_size=0.5",
        "SABA step_size=0.2",
        "SABA step_size=1",
    ]
    assert found["variant"].unique()[1:3].tolist() == [
        "SOBA[batch_size=64,linear_step=0.3,step_size=0.5]",
        "SABA[batch_size=64,step_size=0.2,memory=True]",
    ]


def test_numbers_in_labels_are_short_where_that_tells_them_apart():
    steps = (0.1 + 0.2, 0.1 + 0.7, 1e-5)
    found = results.prepare(synthetic.cells(("SOBA",), steps, 1))
    assert found["label"].unique().tolist() == [
        f"SOBA step_size={step}" for step in ("0.3", "0.8", "1e-05")
    ]
    assert found["variant"].iloc[0].endswith(",step_size=0.30000000000000004]")
    found = results.prepare(synthetic.cells(("SOBA",), (0.1 + 0.2, 0.3), 1))
    assert found["label"].unique().tolist() == [
        "SOBA step_size=0.30000000000000004",
        "SOBA step_size=0.3",
    ]


def test_problems_that_were_given_by_path_have_the_names_of_their_files():
    paths = ("/a/mine.py", "/b/mine.py", "quadratic")
    assert list(names.kind_names(paths).values()) == ["mine", "mine (2)", "quadratic"]
    runs = synthetic.cells(("SOBA",), n_repetitions=1, problem="/a/mine.py")
    assert results.problems(runs) == ["ijcnn1, mine"]
    assert results.accuracy_of_reference(results.prepare(runs)) == results.ROUNDING


def test_file_names_are_distinct_where_case_and_signs_do_not_count():
    file_name = names.FileNames()
    texts = ("SOBA", "Soba", "so ba", "SO-BA", "∇", "#?%", "x" * 500, "../x", "SOBA")
    found = [file_name("solver", text) for text in texts]
    assert found[0] == found[-1] == "solver-soba"
    assert len({name.lower() for name in found}) == len(texts) - 1
    assert all(name == figures_safe(name) and len(name) < 110 for name in found)
    assert file_name("solver a", "b") != file_name("solver", "a b")


def figures_safe(name):
    """`name` with nothing but what every file system and address takes."""
    return "".join(c for c in name if c.isascii() and (c.isalnum() or c in "-."))


# --- origins --------------------------------------------------------------------------


def test_provenance(tmp_path):
    """Libraries that a process loaded in another order make no other record."""
    runs = synthetic.cells(("SOBA",), n_repetitions=3)
    pool = {"internal_api": "mkl", "version": "1", "num_threads": "1"}
    for k, final in enumerate(runs["final_results"].dropna()):
        blas = [*synthetic.PROVENANCE["blas"], pool]
        final["provenance"] = {**final["provenance"], "blas": blas[:: 1 - 2 * (k % 2)]}
    path = synthetic.write(runs, tmp_path / "a.parquet")
    [(record, n_runs)] = origins.provenance_of(reading.read([path]))
    assert n_runs == 3 and record["blas"] == sorted(blas, key=str)
    assert record["commit"] == synthetic.PROVENANCE["commit"]


def test_which_code_made_how_many_runs():
    runs = synthetic.cells(("SOBA",), n_repetitions=4)
    assert origins.made_by(runs) == (
        "all runs by commit 0000000, fingerprint 0123456789abcdef"
    )
    finals = list(runs["final_results"].dropna())
    finals[0]["provenance"] = {**synthetic.PROVENANCE, "commit": "1" * 40 + "+"}
    del finals[1]["provenance"]
    assert origins.made_by(runs) == (
        "2 of 4 runs by commit 0000000, fingerprint 0123456789abcdef; "
        "1 of 4 runs by commit 1111111 with uncommitted changes, "
        "fingerprint 0123456789abcdef; 1 of 4 runs by unknown code"
    )
    without = runs.drop(columns="final_results")
    assert origins.made_by(without) == "all runs by unknown code"


@pytest.fixture(scope="module")
def published():
    """Rows of each published file, by its stem."""
    files = sorted((ROOT / "results").glob("*.parquet"))
    return {path.stem: reading.read([path]) for path in files}


def test_the_texts_say_which_code_made_each_published_file(published):
    text = (ROOT / "docs" / "publishing.md").read_text()
    assert len(published) == 10
    for name, rows in published.items():
        line = f"| `{name}` | {origins.made_by(rows)} |"
        assert line in text, f"docs/publishing.md needs the line\n{line}"


def test_the_texts_say_where_h_is_known_at_fewer_points(published):
    """Four a decade are five from a twentieth of a run on, if it has as many points."""
    text = (ROOT / "docs" / "publishing.md").read_text()
    (named,) = re.findall(r"at fewer in ([^.]*)", text)
    found = set()
    for name, rows in published.items():
        runs = results.prepare(rows)
        runs = runs[(runs["end"] == "budget") & runs["objective_oracle_calls"].notna()]
        few = []
        for _, run in runs.groupby(results.RUN):
            calls = run["objective_oracle_calls"]
            known = run["objective_value"].notna()[calls >= 0.05 * calls.max()]
            few.append(known.sum() < min(5, known.size))
        if np.mean(few) > 0.05:
            found.add(name)
    assert found == set(re.findall("`(.*?)`", named))


def test_the_texts_have_the_table_of_what_tuning_changes(published):
    text = (ROOT / "results" / "REPRODUCTION.md").read_text()
    for name, rows in published.items():
        search = Store(ROOT / "results" / "search" / f"{name}.parquet")
        line = f"| {' | '.join(changes(results.prepare(rows), search))} |"
        assert line in text, f"results/REPRODUCTION.md needs the line\n{line}"


def test_the_reproductions_name_the_code_that_made_them():
    text = (ROOT / "results" / "REPRODUCTION.md").read_text()
    files = sorted((ROOT / "results").glob("reproductions/*.parquet"))
    codes = (
        code for file in files for code, _ in origins.codes_of(reading.read([file]))
    )
    assert {code.fingerprint for code in codes} == set(
        re.findall(r"\b[0-9a-f]{16}\b", text)
    )


def test_the_verification_has_a_row_for_each_solver_as_it_is():
    text = (ROOT / "results" / "VERIFICATION.md").read_text()
    found = dict(re.findall(r"^\| (\w+) \|.*\| (\d+) \|$", text, re.M))
    assert found == {
        path.stem: str(len(path.read_text().splitlines()))
        for path in (ROOT / "solvers").glob("[!_]*.py")
    }


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://github.com/me/suite.git", "https://github.com/me/suite"),
        ("git@github.com:me/suite.git", "https://github.com/me/suite"),
        ("ssh://git@host.org:2222/me/suite", "https://host.org/me/suite"),
        ("https://ci:SECRET@host.org/me/suite.git", "https://host.org/me/suite"),
        ("http://host.org:3000/me/suite", "http://host.org:3000/me/suite"),
        ("/srv/git/suite.git", ""),
        ("file:///srv/git/suite.git", ""),
        ("../suite", ""),
    ],
)
def test_the_address_of_the_repository(origin, address, tmp_path):
    """That of the checkout's origin: no password, no folder of the machine."""
    assert origins.web_address(origin) == address
    for command in (["init", "-q"], ["remote", "add", "origin", origin]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    assert origins.repository_address(tmp_path) == address
    (tmp_path / "part").mkdir()
    assert origins.repository_address(tmp_path / "part") == "", "another's checkout"


def test_without_a_checkout_there_is_no_address(tmp_path):
    assert origins.repository_address(tmp_path) == ""


@pytest.mark.parametrize("url", ["javascript:alert(1)", "x", "https://a:b@c.org/d"])
def test_an_address_that_no_page_should_link_to_is_refused(url):
    with pytest.raises(click.UsageError, match="is not an address on the web"):
        origins.given_address(url)


# --- reading --------------------------------------------------------------------------


class Exploit:
    def __reduce__(self):
        return os.system, ("touch executed",)


def damaged(folder):
    """Files that are none of ours, and what the line about each says."""
    good = synthetic.write(synthetic.cells(SOME, n_repetitions=1), folder / "a.parquet")
    content = good.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + b"\xff" * 200 + content[middle + 200 :]
    for name, part in (("cut", content[:middle]), ("empty", b""), ("flip", flipped)):
        (folder / f"{name}.parquet").write_bytes(part)
        yield folder / f"{name}.parquet", "cannot be read"
    rows = pd.read_parquet(good)
    rows.to_csv(folder / "table.csv")
    yield folder / "table.csv", "is not a parquet file"
    exploit = b"\x00benchopt-pkl\x00" + pickle.dumps(Exploit())
    for name, frame, reason in (
        ("norows", rows.iloc[:0], "has no rows"),
        ("foreign", pd.DataFrame({"a": [1]}), "no column objective_name, solver_name"),
        ("other", rows.drop(columns="p_obj_problem"), "no column p_obj_problem"),
        ("number", rows.assign(solver_name=1), "solver_name is not text"),
        ("text", rows.assign(objective_value="high"), "objective_value is not numbers"),
        ("gaps", rows.assign(idx_rep=np.nan), "idx_rep is not of numbers of runs"),
        ("halves", rows.assign(idx_rep=0.5), "idx_rep is not of numbers of runs"),
        ("huge", rows.assign(idx_rep=1e300), "idx_rep is not of numbers of runs"),
        ("early", rows.assign(time=-1.0), "time has negative numbers"),
        ("pickle", rows.assign(final_results=exploit), "Blocked unsafe class"),
    ):
        frame.to_parquet(folder / f"{name}.parquet")
        yield folder / f"{name}.parquet", reason


def test_damaged_and_foreign_files_are_named_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path, reason in damaged(tmp_path):
        result = CliRunner().invoke(main, ["site", "site", str(path)])
        assert result.exit_code == 1
        [line] = result.output.splitlines()
        assert line.startswith(f"Error: {path}") and reason in line
        assert not (tmp_path / "site").exists(), "nothing half written"
    assert not (tmp_path / "executed").exists()


def test_the_order_of_rows_makes_no_difference(tmp_path):
    runs = synthetic.cells(SOME, n_repetitions=2)
    runs["stop_val"] = runs.groupby(["solver_name", "idx_rep"]).cumcount()
    found = [
        reading.read([synthetic.write(rows, tmp_path / "a.parquet")])
        for rows in (runs, runs.sample(frac=1, random_state=0))
    ]
    keys = ["solver_name", "idx_rep"]
    first, second = (f.sort_values(keys, kind="stable") for f in found)
    for name in ("time", "objective_suboptimality", "end", "label"):
        assert list(first[name]) == list(second[name])


def test_a_run_below_the_reference_is_said(tmp_path, capsys):
    """Else each would seem to be at the minimum."""
    runs = synthetic.cells(SOME, n_repetitions=1)
    reading.read([synthetic.write(runs, tmp_path / "a.parquet")])
    assert "below the reference" not in capsys.readouterr().err
    runs["objective_suboptimality"] -= 5
    reading.read([synthetic.write(runs, tmp_path / "b.parquet")])
    said = capsys.readouterr().err
    assert said.startswith("b: ") and "below the reference minimum of" in said


def test_costs_of_nothing_make_no_profile():
    """All seconds 0, and h known to be infinite at some points."""
    runs = synthetic.cells(SOME, n_repetitions=2).assign(time=0.0)
    runs.loc[::3, ["objective_value", "objective_suboptimality"]] = np.inf
    assert distributions.empirical_distribution(results.prepare(runs), "seconds") == {}


def test_what_a_file_lacks_is_empty(tmp_path):
    """No seed, no provenance, no description: of other versions, or of plain solvers."""
    needed = [*reading.NEEDED, "objective_suboptimality", "p_solver_step_size"]
    runs = synthetic.cells(SOME, n_repetitions=2)[needed]
    path = synthetic.write(runs, tmp_path / "bare.parquet")
    found = reading.read([path])
    assert (found["end"] == "budget").all()
    assert found["objective_oracle_calls"].isna().all()
    assert "--seed" not in origins.repeat_command(found)
    assert len(curves.curves(found, PROBLEM, "suboptimality", "seconds")) == 2
    assert curves.curves(found, PROBLEM, "suboptimality", "oracle calls") == []


def test_categories_are_texts(tmp_path):
    """A file that pandas wrote again, for instance."""
    runs = synthetic.cells(SOME, n_repetitions=2)
    texts = reading.TEXTS
    right, found = (
        reading.read([synthetic.write(rows, tmp_path / "runs.parquet")])
        for rows in (runs, runs.astype(dict.fromkeys(texts, "category")))
    )
    for name in ("problem", "variant", "label", "end"):
        assert (found[name] == right[name]).all()


def test_styles_are_distinct_and_do_not_depend_on_what_is_drawn():
    looks = [styles.style(name) for name in (*styles.SOLVERS, "Mine", "Yours")]
    assert len({(look.color, look.marker) for look in looks}) == len(looks)
    variants = [styles.style("SOBA", k, 4) for k in range(4)]
    assert variants[0] == styles.style("SOBA")
    assert len({look.marker for look in variants}) == 1
    assert len({(look.color, look.dash) for look in variants}) == 4


# --- curves ---------------------------------------------------------------------------


def run_of(costs, values, points, end="budget"):
    arrays = [np.array(part, float) for part in (costs, values, points)]
    return curves.Run(*arrays, costs[-1], end)


def test_points_are_medians_where_most_runs_were_evaluated():
    """By hand: of three runs, one ends before the others and one has a point of its own."""
    runs = [
        run_of([0, 1, 10, 100], [8, 4, 2, 1], [0, 5, 50, 500]),
        run_of([0, 2, 20, 90], [8, 5, 3, 2], [0, 5, 50, 450]),
        run_of([0, 3, 25, 30, 200], [8, 6, 5, 4, 0.5], [0, 5, 40, 50, 800]),
    ]
    x, median, low, high = curves.aggregate(runs)
    np.testing.assert_array_equal(x, [0, 2, 20, 100])
    np.testing.assert_array_equal(median, [8, 5, 3, 1])
    np.testing.assert_allclose(low, [8, 4.4, 2.4, 0.7])
    np.testing.assert_allclose(high, [8, 5.6, 3.6, 1.6])
    assert min(curves.aggregate(runs, lowest=2.0)[1]) == 2.0


def test_a_slow_repetition_shortens_no_curve():
    """Its points count; those that it did not come to are the others'."""
    points = [0, 1, 10, 100, 1000]
    fast = run_of([0, 1, 2, 3, 4], [5, 4, 3, 2, 1], points)
    slow = run_of([0, 2, 4], [5, 4, 3], points[:3])
    x, median, *_ = curves.aggregate([fast, fast, slow])
    np.testing.assert_array_equal(x, [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(median, [5, 4, 3, 2, 1])
    x, *_ = curves.aggregate([fast, slow, slow])
    assert x[-1] == 4, "the median of the ends"
    np.testing.assert_array_equal(x, [0, 2, 4])


def test_no_curve_has_an_artificial_final_drop(two_problems):
    """It ends with the table's median; nothing is below the accuracy of h*."""
    runs = two_problems[two_problems["problem"] == PROBLEM].copy()
    late = runs["objective_iterations"] > 1e3
    runs.loc[late, "objective_suboptimality"] = -1e-16
    for curve in curves.curves(runs, PROBLEM, "suboptimality", "seconds"):
        accuracy = results.accuracy_of_reference(runs)
        assert curve.y[-1] == curve.low[-1] == curve.high[-1] == accuracy == 1e-10
    table = tables.summary(two_problems, PROBLEM).set_index("name")
    for curve in curves.curves(two_problems, PROBLEM, "suboptimality", "oracle calls"):
        own = two_problems[two_problems["variant"] == curve.name]
        last = own[own["problem"] == PROBLEM].groupby("idx_rep").last()
        assert curve.y[-1] == last["objective_suboptimality"].median()
        assert curve.y[-1] == table["median"][curve.name]
        assert curve.x[0] == 0 and (np.diff(curve.x) > 0).all()


def test_costly_metrics_may_be_thinned():
    """What is drawn are points of the full curve, its end included."""
    runs = synthetic.cells(("SOBA",), (0.1,), 3)
    full = curves.curves(runs, PROBLEM, "inner_distance", "seconds")[0]
    runs = runs.copy()
    between = (runs["stop_val"] % 2 == 1) & (runs["objective_iterations"] < 1e5)
    runs.loc[between, "objective_inner_distance"] = np.nan
    thinned = curves.curves(runs, PROBLEM, "inner_distance", "seconds")[0]
    assert not thinned.ends.text
    assert 0.4 < len(thinned.x) / len(full.x) < 0.6
    where = np.searchsorted(full.x, thinned.x)
    np.testing.assert_array_equal(full.x[where], thinned.x)
    np.testing.assert_array_equal(full.y[where], thinned.y)
    assert thinned.x[-1] == full.x[-1]


def test_a_diverged_run_shows_as_diverged(diverging):
    soba, saba, amigo = curves.curves(diverging, PROBLEM, "suboptimality", "seconds")
    assert soba.title == "SOBA" and not soba.diverged and not soba.crosses.size
    assert saba.title == "SABA (1 of 5 diverged)" and not saba.diverged
    assert amigo.title == "AmIGO (5 of 5 diverged)" and amigo.diverged
    # AmIGO's curve ends where it leaves the picture of the others; crosses are at the
    # ends of the runs, where nothing is known any more.
    last = diverging.groupby(["solver", "idx_rep"])["time"].last()
    assert saba.crosses == [last["SABA", 2]]
    np.testing.assert_array_equal(amigo.crosses, sorted(last["AmIGO"]))
    assert amigo.x[-1] < amigo.crosses[0] < saba.x[-1]
    assert amigo.y.max() <= 10 * soba.y.max()


@pytest.mark.parametrize("metric", ["suboptimality", "test_accuracy"])
def test_medians_and_bands_are_those_of_the_runs_that_did_not_diverge(
    diverging, metric
):
    """Against pandas: a group for each iteration; all runs end after the same number."""
    saba = curves.curves(diverging, PROBLEM, metric, "oracle calls")[1]
    runs = diverging[(diverging["solver"] == "SABA") & (diverging["idx_rep"] != 2)]
    groups = runs.groupby("objective_iterations")
    values = groups[METRICS[metric].column]
    assert (values.count() == 4).all()
    calls = groups["objective_oracle_calls"].median()
    np.testing.assert_array_equal(saba.x, calls)
    for part, q in ((saba.y, 0.5), (saba.low, 0.2), (saba.high, 0.8)):
        np.testing.assert_allclose(part, values.quantile(q), rtol=1e-12)


def test_a_plain_solver_s_points_are_those_of_the_schedule():
    """It counts no iterations, and may be faster the longer it runs."""
    runs = synthetic.cells(("SOBA",), n_repetitions=3)
    plain = runs.assign(objective_iterations=np.nan)
    [counted] = curves.curves(runs, PROBLEM, "suboptimality", "oracle calls")
    [numbered] = curves.curves(plain, PROBLEM, "suboptimality", "oracle calls")
    np.testing.assert_array_equal(counted.x, numbered.x)
    np.testing.assert_array_equal(counted.y, numbered.y)


def cut(runs, solver, repetitions, n_points=20):
    """`runs`, but of `solver` these repetitions stopped by a deadline."""
    stopped = runs["solver_name"].str.startswith(solver)
    stopped &= runs["idx_rep"].isin(repetitions)
    runs = runs.assign(objective_end=np.where(stopped, "deadline", "budget"))
    return runs[~stopped | (runs["stop_val"] < n_points)].reset_index(drop=True)


def test_a_run_that_a_deadline_cut_is_no_diverged_one_and_in_no_median():
    whole = synthetic.cells(SOME)
    runs = cut(whole, "SABA", (1, 3))
    stopped = runs["objective_end"] == "deadline"
    runs.loc[stopped & (runs["stop_val"] > 0), "objective_value"] = np.nan  # thinned
    runs = results.prepare(runs)
    _, saba = curves.curves(runs, PROBLEM, "suboptimality", "oracle calls")
    assert saba.title == "SABA (2 of 5 cut)" and not saba.diverged
    others = whole[~whole["idx_rep"].isin((1, 3))]
    expected = curves.curves(others, PROBLEM, "suboptimality", "oracle calls")[1]
    np.testing.assert_array_equal(saba.y, expected.y)
    np.testing.assert_array_equal(saba.x, expected.x)
    row = tables.summary(runs, PROBLEM).set_index("solver").loc["SABA"]
    before = tables.summary(others, PROBLEM).set_index("solver").loc["SABA"]
    assert row["ends"].text == "2 of 5 cut" and row["median"] == before["median"]
    own = targets.reached(runs).groupby("solver")["idx_rep"].unique()
    assert set(own["SABA"]) == {0, 2, 4} and set(own["SOBA"]) == set(range(5))


def test_a_solver_that_was_cut_always_is_still_there():
    """Short of points or of all runs: in the legend and the table, without a rank."""
    runs = results.prepare(cut(synthetic.cells(SOME), "SOBA", range(5), n_points=1))
    soba, saba = curves.curves(runs, PROBLEM, "suboptimality", "seconds")
    assert soba.title == "SOBA (5 of 5 cut)" and not soba.x.size
    assert saba.x.size > 10, "and its end is not that of SOBA's runs"
    table = tables.summary(runs, PROBLEM)
    assert table["solver"].tolist() == ["SABA", "SOBA"]
    assert table["rank"][0] == 1 and math.isnan(table["rank"][1])
    assert math.isnan(table["median"][1]) and math.isnan(table["value"][1])
    empirical = distributions.empirical_distribution(runs, "seconds")
    assert list(empirical) == ["SABA"]


def test_without_the_column_of_ends_the_one_of_divergence_decides():
    """In files of earlier versions; a last row without a value proves nothing."""
    runs = synthetic.cells(("SOBA",), n_repetitions=2)
    runs.loc[runs["stop_val"] == runs["stop_val"].max(), "objective_value"] = np.nan
    assert set(results.prepare(runs)["end"]) == {"budget"}
    diverged = synthetic.cell("SOBA", 0.1, 0, diverged=True)
    assert set(results.prepare(diverged)["end"]) == {"diverged"}


def test_metrics_at_fewer_than_four_points_have_no_figure():
    """Known at the start and the end: a line between them would be drawn from nothing."""
    runs = synthetic.cells(SOME, n_repetitions=3)
    column = "objective_inner_distance"
    for n_positive in (3, 4):
        few = runs.copy()
        few[column] = few[column].where(few["stop_val"] <= n_positive)
        few, drawn = results.prepare(few), n_positive == 4
        assert bool(curves.curves(few, PROBLEM, "inner_distance", "seconds")) == drawn
        found = [panel.name for panel in all_panels(few)]
        assert any("inner-distance" in name for name in found) == drawn
        lines = curves.left_out(few)
        assert bool(lines) != drawn
        assert all(PROBLEM in line and "inner distance" in line for line in lines)
    short = (runs["idx_rep"] == 0) & (runs["stop_val"] > 3)
    runs[column] = runs[column].mask(short)
    soba, _ = curves.curves(runs, PROBLEM, "inner_distance", "seconds")
    assert soba.title == "SOBA (1 of 3 at fewer than 4 points)" and soba.x[-1] > 0.5


# --- targets --------------------------------------------------------------------------


def costs_of(runs, target, column):
    """Of each run: np.interp of logarithms between the evaluations around the target."""
    found = []
    for _, run in runs.groupby("idx_rep"):
        best = run["objective_suboptimality"].cummin().to_numpy()
        goal = target * best[0]
        around = slice(np.argmax(best <= goal) - 1, np.argmax(best <= goal) + 1)
        x, y = np.log(run[column].to_numpy()[around]), np.log(best[around])
        found.append(np.exp(np.interp(-math.log(goal), -y, x)))
    return found


def test_costs_of_targets():
    """By hand: between two evaluations both logarithms are linear."""
    run = synthetic.cell("SOBA", 0.1, 0).iloc[:4].copy()
    run["objective_suboptimality"] = [1.0, 0.4, 0.5, 0.004]
    run["time"] = [1e-6, 1.0, 2.0, 8.0]
    run["objective_oracle_calls"] = [0.0, 100.0, 200.0, 800.0]
    table = targets.reached(run, (0.5, 0.4, 0.04, 1e-9)).set_index("target")
    half = math.log(1 / 0.5) / math.log(1 / 0.4)  # of the way from 0 to 1 s
    np.testing.assert_allclose(table["seconds"], [half, 1.0, 4.0, math.inf])
    np.testing.assert_allclose(table["oracle calls"][[0.4, 0.04]], [100.0, 400.0])
    whole = synthetic.cell("SOBA", 0.1, 0)
    [cost] = targets.reached(whole, (0.01,))["seconds"]
    np.testing.assert_allclose(cost, costs_of(whole, 0.01, "time"))


def test_performance_profile_and_distribution(two_problems):
    """By hand: the fastest solver has the value of its runs at or below its median."""
    profile = distributions.performance_profile(two_problems, 0.1, "oracle calls")
    assert list(profile) == list(synthetic.SOLVERS)
    costs = {
        solver: costs_of(runs, 0.1, "objective_oracle_calls")
        for solver, runs in two_problems[two_problems["problem"] == PROBLEM].groupby(
            "solver"
        )
    }
    fastest = min(np.median(cost) for cost in costs.values())
    for solver, (factors, shares, *_) in profile.items():
        expected = [np.mean(np.array(costs[solver]) / fastest <= f) for f in factors]
        np.testing.assert_allclose(shares, expected)
    for grid, shares, _, budgets in distributions.empirical_distribution(
        two_problems, "seconds"
    ).values():
        assert (np.diff(shares) >= 0).all() and (np.diff(grid) > 0).all()
        assert shares[0] >= 0 and shares[-1] <= 1
        assert len(budgets) == 1 and grid[0] < budgets[0] <= grid[-1]


def test_costs_that_are_not_counted_take_nothing_from_the_others():
    """Those of a plain solver, whose name comes first."""
    runs = synthetic.cells(("Plain", "SOBA"), n_repetitions=2)
    own = distributions.empirical_distribution(
        results.prepare(runs[runs["solver_name"].str.startswith("SOBA")]),
        "oracle calls",
    )["SOBA"]
    plain = runs["solver_name"].str.startswith("Plain")
    runs.loc[plain, "objective_oracle_calls"] = np.nan
    found = distributions.empirical_distribution(results.prepare(runs), "oracle calls")
    assert list(found) == ["SOBA"] and found["SOBA"].x[-1] == own.x[-1]
    assert found["SOBA"].budgets == own.budgets == (256.0 * 1e5,)


def test_how_far_apart_evaluations_are():
    """At the points 1, 2, 4, …: a factor of 2, and of 8 where two are missing."""
    runs = synthetic.cells(("SOBA", "SABA"), n_repetitions=2)
    runs["objective_oracle_calls"] = 2.0 ** runs["stop_val"]
    found = distributions.resolutions(results.prepare(runs))
    assert found == {PROBLEM: 2.0}
    late = runs["stop_val"].max() - runs["stop_val"]
    gaps = runs["objective_suboptimality"].mask(late.isin([2, 3]))
    few = runs.assign(objective_suboptimality=gaps)
    assert distributions.resolutions(results.prepare(few)) == {PROBLEM: 8.0}
    plain = runs.assign(objective_oracle_calls=np.nan)
    assert distributions.resolutions(results.prepare(plain)) == {}


def test_the_accuracy_of_a_reference_is_that_of_its_settings():
    settings = {"dataset": "mnist", "problem": "data-hypercleaning"}
    runs = synthetic.cells(("SOBA",), n_repetitions=1, **settings)
    known = {
        corruption: results.accuracy_of_reference(
            results.prepare(runs.assign(p_obj_corruption=corruption))
        )
        for corruption in (0.5, 0.7, 0.9)
    }
    assert 1e-6 < known[0.5] < 1e-5 and 1e-7 < known[0.7] < 1e-6 and known[0.9] < 1e-7


def test_starts_are_the_lowest_points_of_each_setting(tmp_path):
    runs = synthetic.cells(("SOBA", "SABA"), n_repetitions=1)
    other = runs.assign(dataset_name="ijcnn1[n_samples=9]", objective_value=0.1)
    longer = runs.assign(dataset_name="ijcnn10", objective_value=0.0)
    for rows, x in ((runs, [1.0, 2.0]), (other, [3.0, 4.0]), (longer, [5.0, 6.0])):
        for k in rows.index[rows["final_results"].notna()]:
            rows.at[k, "final_results"] = {"x": np.array(x)}
    wrong = other.assign(dataset_name="ijcnn1[n_samples=8]")
    for k in wrong.index[wrong["final_results"].notna()]:
        wrong.at[k, "final_results"] = {"x": np.ones(3)}
    file = tmp_path / "a.parquet"
    synthetic.write(pd.concat([runs, other, longer, wrong], ignore_index=True), file)
    problem = SimpleNamespace(name="hyperparameter-selection", dim_x=2)
    found = reading.best_points(file, problem, "ijcnn1")
    assert sorted(x.tolist() for x in found) == [[1.0, 2.0], [3.0, 4.0]]
    assert reading.best_points(file, problem, "covtype") == []


def test_only_the_best_parameters_compare_over_problems():
    runs = synthetic.cells(("SOBA",), (0.1, 1.0), 3)
    best = distributions.best_variants(runs, targets.TARGETS)
    assert set(best["label"]) == {"SOBA step_size=1"}


def test_what_diverged_reaches_no_target_and_ranks_last(diverging):
    table = targets.reached(diverging, (0.1,))
    lost = table[(table["solver"] == "SABA") & (table["idx_rep"] == 2)]
    assert np.isinf(lost[["final", "seconds", "oracle calls"]]).all(axis=None)
    shares = distributions.performance_profile(diverging, 0.1, "seconds")
    assert shares["SABA"].share[-1] == 0.8 and shares["AmIGO"].share[-1] == 0.0
    titles = [found.ends.title(solver) for solver, found in shares.items()]
    assert titles == ["SOBA", "SABA (1 of 5 diverged)", "AmIGO (5 of 5 diverged)"]
    # A better step of which one run diverged is not the best step.
    bold = synthetic.cells(("SOBA",), (10.0,), 3)
    last = bold["stop_val"] == bold["stop_val"].max()
    bold.loc[last & (bold["idx_rep"] == 1), "objective_diverged"] = 1.0
    both = pd.concat([synthetic.cells(("SOBA",), (0.1,), 3), bold], ignore_index=True)
    assert set(distributions.best_variants(both, targets.TARGETS)["label"]) == {
        "SOBA step_size=0.1"
    }
    assert tables.summary(both, PROBLEM)["label"].tolist() == [
        "SOBA step_size=0.1",
        "SOBA step_size=10",
    ]


def test_summary(two_problems, diverging):
    """Against plain NumPy."""
    table = tables.summary(two_problems, PROBLEM)
    assert table["median"].is_monotonic_increasing
    assert table["rank"].tolist() == [1, 1, 3, 4, 5, 6]
    assert (
        table["low"][1] < table["high"][0]
        and (table["low"][2:].to_numpy() > table["high"][1:-1].to_numpy()).all()
    ), "only the bands of the first two overlap"
    row = table.set_index("solver").loc["SOBA"]
    runs = two_problems[
        (two_problems["problem"] == PROBLEM) & (two_problems["solver"] == "SOBA")
    ]
    ends = runs.groupby("idx_rep").last()
    for name, column in (("median", "suboptimality"), ("value", "value")):
        expected = np.median(ends[f"objective_{column}"])
        np.testing.assert_allclose(row[name], expected)
    without = tables.summary(two_problems, "mnist, data-poisoning")
    assert "median" not in without and without["value"].is_monotonic_increasing
    retrained = without["retrained_test_accuracy"]
    np.testing.assert_allclose(retrained, without["test_accuracy"])
    assert "retrained_test_accuracy" not in table and "corrupted_auc" not in without

    table = tables.summary(diverging, PROBLEM)
    assert table["solver"].tolist() == ["SOBA", "SABA", "AmIGO"]
    table = table.set_index("solver")
    alive = diverging[(diverging["solver"] == "SABA") & (diverging["idx_rep"] != 2)]
    ends = alive.groupby("idx_rep").last()
    np.testing.assert_allclose(
        table.loc["SABA", "median"], np.median(ends["objective_suboptimality"])
    )
    costs = costs_of(alive, 0.1, "objective_oracle_calls")
    saba = table.loc["SABA"].to_dict()
    np.testing.assert_allclose(saba["oracle calls", 0.1], np.median(costs))
    np.testing.assert_allclose(
        [saba["oracle calls", 0.1, q] for q in (0.2, 0.8)],
        [
            np.quantile(costs, 0.2, method="lower"),
            np.quantile(costs, 0.8, method="higher"),
        ],
    )
    lost = table.loc["AmIGO"].to_dict()
    assert lost["ends"].text == "5 of 5 diverged" and lost["median"] == math.inf
    assert math.isnan(lost["value"]) and math.isnan(lost["seconds", 0.1])


def test_equal_ends_share_a_rank_and_the_first_there_leads():
    runs = synthetic.cells(("SOBA", "SABA", "AmIGO"))
    for solver, first in (("SOBA", 30), ("SABA", 20)):
        own = runs["solver_name"].str.startswith(solver)
        at_end = own & (runs["stop_val"] >= first)
        runs.loc[at_end, "objective_suboptimality"] = 0.0
    for table in (tables.summary(runs, PROBLEM), tables.best_rows(runs, PROBLEM)):
        assert table["solver"].tolist() == ["SABA", "SOBA", "AmIGO"]
        assert table["rank"].tolist() == [1, 1, 3]


def test_ranks_are_lost_where_seeds_separate_the_ends():
    """SABA's band reaches into SOBA's, AmIGO's is above both; MRBO's median is between."""
    ends = {
        "SOBA": (1.0, 2.0, 3.0, 4.0, 5.0),
        "MRBO": (3.5, 3.5, 3.5, 3.5, 3.5),
        "SABA": (3.0, 3.0, 3.6, 6.0, 6.0),
        "AmIGO": (9.0, 9.0, 9.0, 9.0, 9.0),
        "BSGM": (0.1, 0.1, 0.1, 0.1, math.nan),
    }
    runs = synthetic.cells(tuple(ends))
    at_end = runs["stop_val"] == runs["stop_val"].max()
    for solver, own in ends.items():
        mine = runs["solver_name"].str.startswith(f"{solver}[")
        for repetition, end in enumerate(own):
            last = mine & (runs["idx_rep"] == repetition) & at_end
            runs.loc[last, ["objective_suboptimality", "objective_value"]] = end
            runs.loc[last, "objective_diverged"] = float(math.isnan(end))
    expected = {"SOBA": 1, "MRBO": 1, "SABA": 1, "AmIGO": 4, "BSGM": 5}
    for known in (runs, runs.assign(objective_suboptimality=np.nan)):
        for table in (tables.summary(known, PROBLEM), tables.best_rows(known, PROBLEM)):
            assert dict(zip(table["solver"], table["rank"], strict=True)) == expected
            assert table["solver"].tolist() == list(expected)


def test_of_equal_parameters_those_that_get_there_first_are_the_best():
    runs = synthetic.cells(("SOBA", "SABA"), (0.1, 1.0))
    for step, first in ((0.1, 30), (1.0, 20)):
        own = runs["p_solver_step_size"] == step
        runs.loc[own & (runs["stop_val"] >= first), "objective_suboptimality"] = 0.0
    before = own & (runs["stop_val"] < 20)
    runs.loc[before, "objective_suboptimality"] = 1.0  # the other gets to 1e-1 first
    best = tables.best_rows(runs, PROBLEM).set_index("solver")["name"]
    assert best["SOBA"].endswith("step_size=1]")
    for some in (targets.TARGETS, (0.1,)):
        chosen = distributions.best_variants(runs, some)
        assert set(chosen[chosen["solver"] == "SOBA"]["variant"]) == {best["SOBA"]}


def test_sensitivity():
    runs = synthetic.cells(SOME, (0.01, 0.1, 1.0), 3)
    found = tables.sensitivity(runs, PROBLEM)
    assert list(found) == ["SOBA", "SABA"]
    steps, median, low, high, ends = found["SOBA"]
    assert list(steps) == [0.01, 0.1, 1.0]
    assert (
        (np.diff(median) < 0).all() and (low <= median).all() and (median <= high).all()
    )
    assert ends == (9, 0, 0)
    assert tables.sensitivity(synthetic.cells(), PROBLEM) == {}, "one step a solver"
    assert tables.sensitivity(runs.drop(columns="p_solver_step_size"), PROBLEM) == {}
    automatic = runs.assign(
        p_solver_step_size=runs["p_solver_step_size"].replace(0.01, 0)
    )
    assert list(tables.sensitivity(automatic, PROBLEM)["SOBA"].steps) == [0.1, 1.0]
    other = runs["p_solver_step_size"] == 0.1
    mixed = runs.assign(p_solver_linear_step=np.where(other, 0.5, np.nan))
    steps = tables.sensitivity(mixed, PROBLEM)["SOBA"].steps
    assert list(steps) == [0.01, 1.0], "what differs in more says nothing of the step"
    lost = runs["solver_name"].str.startswith("SOBA") & (
        runs["p_solver_step_size"] == 1
    )
    last = runs["stop_val"] == runs["stop_val"].max()
    for alive, text in (([0], "2 of 9"), ([], "3 of 9")):
        some = runs.copy()
        diverged = lost & last & ~runs["idx_rep"].isin(alive)
        some["objective_diverged"] = diverged.astype(float)
        soba = tables.sensitivity(some, PROBLEM)["SOBA"]
        assert soba.ends.title("SOBA") == f"SOBA ({text} diverged)"
        end = runs[lost & last & ~diverged]["objective_suboptimality"]
        assert soba.median[-1] == (end.item() if alive else math.inf)


# --- benchopt's plots -----------------------------------------------------------------


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
    need_reference = {"suboptimality", "performance_profile", "targets_reached"}
    assert drawn == set(data) - need_reference - {"step_size"}


def test_an_attack_says_which_way_is_its_aim(suite, two_problems):
    data, _ = suite.get_plot_data(two_problems.copy(), ["test_loss"])
    titles = {key: figure["ylabel"] for key, figure in data["test_loss"].items()}
    assert (
        titles["test_loss_mnist, data-poisoning_seconds"] == "test loss of z  ↑ better"
    )
    assert titles[f"test_loss_{PROBLEM}_seconds"] == "test loss of z  ↓ better"


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
