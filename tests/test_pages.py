"""What the pages say: verdicts, the matrix, parameters, facts, configurations."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
import yaml
from benchopt.benchmark import Benchmark
from conftest import ROOT
from markupsafe import Markup

from benchmark_bilevel.report.configuration import differences, limit_text
from benchmark_bilevel.report.declared import (
    calls_of,
    estimate_text,
    properties_of,
    verified,
)
from benchmark_bilevel.report.facts import facts
from benchmark_bilevel.report.groups import ANEW, GROUPS, OTHER, WARM, group_of
from benchmark_bilevel.report.results import Ends, prepare
from benchmark_bilevel.report.settings import settings_of, settings_on
from benchmark_bilevel.report.site.content import _without_docstring
from benchmark_bilevel.report.site.files import result_files
from benchmark_bilevel.report.site.guides import evidence
from benchmark_bilevel.report.site.matrix import matrix, verdict, winners
from benchmark_bilevel.report.site.standings import ranking, standings
from benchmark_bilevel.report.site.texts import band, cost, listed, plain, scientific

PROBLEM = "ijcnn1, hyperparameter-selection"
FINE, LOST = Ends(5, 0, 0), Ends(5, 2, 0)


@pytest.fixture(scope="module")
def suite():
    return Benchmark(ROOT)


# --- numbers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (scientific(8.36e-6), "8.4·10⁻⁶"),
        (scientific(9.96e-1), "1.0·10⁰"),
        (scientific(-2e12, 1), "−2·10¹²"),
        (scientific(0.0), "0"),
        (scientific(math.inf), "–"),
        (scientific(None), "–"),
        (plain(-0.8213), "−0.8213"),
        (plain(math.nan), "–"),
        (plain(0.0), "0.0000"),
        (plain(0.00123), "0.0012"),
        (plain(2.02e-7), "2.0·10⁻⁷"),
        (plain(1e30), "1.0·10³⁰"),
        (plain(-0.0), "0.0000"),
        (cost(0.04567, "seconds"), "0.046 s"),
        (cost(0.0, "seconds"), "< 10 µs"),
        (cost(4.567, "seconds"), "4.6 s"),
        (cost(45.67, "seconds"), "46 s"),
        (cost(4567.0, "seconds"), "4600 s"),
        (cost(9.96, "seconds"), "10 s"),
        (cost(1.4e8, "oracle calls"), "1.4·10⁸"),
        (cost(math.inf, "seconds"), "–"),
        (band(0.1, 0.2, plain, 1), "[0.1, 0.2]"),
        (band(0.1, math.inf, plain), ""),
        (listed(["a"]), "a"),
        (listed(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_numbers_have_two_digits_and_what_is_unknown_is_a_dash(found, text):
    assert found == text


# --- the verdict ----------------------------------------------------------------------


def test_only_separate_bands_make_a_winner():
    bands = {
        "A": (1.0, 0.9, 1.1, FINE),
        "B": (1.2, 1.05, 1.3, FINE),
        "C": (2.0, 1.5, 3.0, FINE),
        "D": (math.inf, math.inf, math.inf, FINE),
    }
    assert winners(bands) == ("A", "B"), "a tie"
    bands["C"] = (2.0, 1.0, 3.0, FINE)
    bands["B"] = (1.2, 1.15, 1.3, FINE)
    assert winners(bands) == ("A", "B", "C"), "a wide band is no advantage"
    bands["C"] = (2.0, 1.5, 3.0, FINE)
    assert winners(bands) == ("A",)
    bands["E"] = (0.1, 0.1, 0.1, LOST)
    assert winners(bands) == ("A",), "not what diverged"
    assert winners({"E": bands["E"], "D": bands["D"]}) == ("E",)
    assert winners({"D": bands["D"]}) == ()


def results_of(*rates, dataset="ijcnn1", **options):
    """Runs of solvers S0, S1, … with these rates."""
    cells = [
        synthetic.cell(f"S{k}", rate, repetition, dataset=dataset, **options)
        for k, rate in enumerate(rates)
        for repetition in range(5)
    ]
    return pd.concat(cells, ignore_index=True)


def verdict_of(runs):
    runs = prepare(runs)
    problems = list(runs["problem"].unique())
    shown = {name: name.partition(",")[0] for name in problems}
    found = verdict(problems, standings(runs), Markup, shown)
    return [str(sentence) for sentence in found]


TO_ONE_PERCENT = (
    "To 1 % of the initial gap h − h*, each with the parameters that end lowest"
)


def test_the_verdict_follows_the_results():
    assert verdict_of(results_of(1.0, 0.1)) == [
        f"{TO_ONE_PERCENT}, S0 is fastest on ijcnn1.",
        "With the whole budget, S0 ends lowest on ijcnn1.",
    ]
    both = [results_of(1.0, 0.1), results_of(0.1, 1.0, dataset="covtype")]
    fastest, _ = verdict_of(pd.concat(both, ignore_index=True))
    assert fastest == (
        f"{TO_ONE_PERCENT}, S0 is fastest on ijcnn1; S1 is fastest on covtype."
    )
    tie, _ = verdict_of(results_of(0.1, 0.1001))
    assert "on ijcnn1 S" in tie and tie.endswith("tie.")
    nobody, _ = verdict_of(results_of(1e-5, 1e-6))
    assert "on ijcnn1 no median gets to 1 %" in nobody
    [sentence] = verdict_of(results_of(1.0, 0.1, has_reference=False))
    assert sentence == (
        "With the whole budget, where h* is unknown, S0 ends lowest on ijcnn1 "
        "(h from 1.3000 to 0.3000)."
    )


def test_solvers_that_reach_more_targets_come_first():
    runs = prepare(results_of(0.1, 1.0))
    assert ranking(runs, standings(runs)) == ["S1", "S0"]


def test_many_ties_are_counted():
    first, _ = verdict_of(results_of(*[1.0] * 6))
    assert "and 3 others tie" in first


def test_one_solver_wins_nothing():
    assert verdict_of(results_of(1.0)) == []
    standing = standings(prepare(results_of(1.0)))
    [(_, [cell])] = matrix(["S0"], [PROBLEM], standing)
    assert math.isfinite(cell.value) and not cell.best
    both = [results_of(1.0, 0.1), results_of(1.0, dataset="covtype")]
    for sentence in verdict_of(pd.concat(both, ignore_index=True)):
        assert sentence.endswith("on ijcnn1.")


def test_what_nobody_knows_has_no_rank():
    unknown = dict.fromkeys(("objective_value", "objective_suboptimality"), np.nan)
    standing = standings(prepare(results_of(1.0, 0.1).assign(**unknown)))
    assert [found.rank for found in standing.values()] == [None, None]


def test_a_diverged_solver_is_no_winner_and_is_named():
    runs = results_of(1.0, 0.1)
    last = runs["stop_val"] == runs["stop_val"].max()
    lost = last & (runs["idx_rep"] == 3) & runs["solver_name"].str.startswith("S0")
    runs.loc[lost, "objective_diverged"] = 1.0
    first, unsafe, end = verdict_of(runs)
    assert "S1 is fastest" in first and "S1 ends lowest" in end
    assert (
        unsafe
        == "As fast or faster, but not in every run: S0 on ijcnn1 (1 of 5 diverged)."
    )
    found = standings(prepare(runs))
    assert [found[PROBLEM, name].rank for name in ("S0", "S1")] == [2, 1]
    assert ranking(prepare(runs), found) == ["S1", "S0"]


def test_a_winner_of_which_a_run_diverged_is_named_and_not_bold():
    """Where nobody else gets there."""
    runs = results_of(1.0, 1e-6)
    last = runs["stop_val"] == runs["stop_val"].max()
    lost = last & (runs["idx_rep"] == 3) & runs["solver_name"].str.startswith("S0")
    runs.loc[lost, "objective_diverged"] = 1.0
    first, unsafe, _ = verdict_of(runs)
    assert "S0 is fastest" in first and unsafe.endswith(
        "S0 on ijcnn1 (1 of 5 diverged)."
    )
    standing = standings(prepare(runs))
    [(_, [cell])] = matrix(["S0"], [PROBLEM], standing)
    assert math.isfinite(cell.value) and cell.level == 5 and not cell.best


def test_nothing_is_not_the_best():
    runs = results_of(1.0, 0.1, has_reference=False, diverged=True)
    standing = standings(prepare(runs))
    for _, [cell] in matrix(["S0", "S1"], [PROBLEM], standing):
        assert (cell.text, cell.level, cell.best) == ("–", 0, False)


def test_runs_that_were_cut_reach_no_verdict():
    runs = results_of(1.0, 0.1).assign(objective_end="timeout")
    assert verdict_of(runs) == [
        "With the whole budget, on ijcnn1 no solver has a result."
    ]


def test_the_matrix_has_every_problem_and_its_choices():
    poisoning = {"dataset": "mnist", "problem": "data-poisoning"}
    runs = [
        results_of(1.0, 0.1),
        results_of(0.1, 1.0, has_reference=False, **poisoning),
    ]
    runs = prepare(pd.concat([*runs, results_of(1.0, dataset="covtype")]))
    standing = standings(runs)
    problems = list(runs["problem"].unique())
    (one, cells), (other, others) = matrix(["S0", "S1"], problems, standing)
    assert (one, other) == ("S0", "S1")
    selection, attack, _ = cells
    assert selection.best and selection.level == 5 and selection.text.endswith(" s")
    assert not others[0].best and 0 < others[0].level < 5
    median, *_ = standing[PROBLEM, "S1"].costs["seconds", 1e-2]
    assert others[0].text == cost(median, "seconds")
    for axis in ("seconds", "oracle calls"):
        for k, target in enumerate((1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)):
            median, *_ = standing[PROBLEM, "S1"].costs[axis, target]
            text, *_ = json.loads(others[0].choices)[axis][k]
            assert text == cost(median, axis)
    assert attack.small == "h, from 1.3000" and not attack.best and others[1].best
    assert others[2] is None, "not run"


# --- parameters -----------------------------------------------------------------------


def test_parameters_of_all_solvers_on_a_problem():
    runs = synthetic.cells(("SOBA", "SABA"), (0.1, 0.5), 2)
    is_saba = runs["solver_name"].str.startswith("SABA")
    runs["p_solver_memory"] = is_saba.where(is_saba, None)
    runs["p_solver_max_iterations"] = 1e12  # as in earlier files, no limit
    found = settings_on(prepare(runs), PROBLEM)
    assert found.columns == ["step_size"]
    limits = dict.fromkeys(("max_oracle_calls", "max_iterations"), "no limit")
    assert found.same == {"batch_size": "64", **limits}
    rows = {label: (texts, others) for _, label, texts, others in found.rows}
    assert rows["SABA step_size=1"] == (["1"], "memory=True")
    assert rows["SOBA step_size=0.5"] == (["0.5"], "")


def test_parameters_of_a_solver_on_all_problems(suite):
    """Defaults of the class, then what ran with the lowest end."""
    runs = [synthetic.cells(("SOBA",), (0.1, 0.5), 2)]
    runs.append(synthetic.cells(("SOBA",), (0.3,), 2, dataset="covtype"))
    runs = prepare(pd.concat(runs, ignore_index=True))
    ran_on = [(runs, problem) for problem in runs["problem"].unique()]
    classes = {solver.name: solver for solver in suite.get_solvers()}
    found = settings_of("SOBA", ran_on, classes["SOBA"])
    found = {name: (default, values) for name, default, values in found}
    assert found["step_size"] == ("0.1", ["0.5", "0.3"])
    assert found["batch_size"] == ("64", ["64", "64"])
    assert settings_of("SOBA", ran_on, None)[0][1] == ""


def test_no_limit_is_no_default_of_seconds():
    """None is the problem's own limit there, elsewhere no limit."""
    assert limit_text("max_seconds", "None") == "None"
    assert limit_text("max_seconds", "1000000000.0") == "no limit"
    assert limit_text("max_iterations", "None") == "no limit"
    assert limit_text("max_iterations", "100") == "100"
    assert limit_text("step_size", "1e20") == "1e20"


@pytest.mark.parametrize(
    ("docstring", "rest"),
    [
        ('    """Of a line."""\n    name = 1\n', "    name = 1\n"),
        ('    """Of a line."""\n\n    name = 1\n', "    name = 1\n"),
        ('    """Of\n\n    more.\n    """\n\n    name = 1\n', "    name = 1\n"),
        ("    name = 1\n", "    name = 1\n"),
    ],
)
def test_a_solver_is_shown_without_the_text_of_its_class_alone(docstring, rest):
    head, tail = "class Solver(Base):\n", 'def f():\n    """Other."""\n\n    return 1\n'
    assert _without_docstring(head + docstring + tail) == head + rest + tail
    assert _without_docstring("class Solver(:") == "class Solver(:"


def test_solvers_are_in_groups(suite):
    """By what they declare; nothing is asked of a solver that declares nothing."""
    classes = {solver.name: solver for solver in suite.get_solvers()}
    found = {name: group_of(solver) for name, solver in classes.items()}
    assert set(found.values()) == set(GROUPS) - {OTHER}
    assert found["SABA"] == WARM and found["stocBiO"] == ANEW
    assert found["F2SA"].startswith("Penalty") and found["ITD"].endswith("inner steps")
    assert group_of(None) == group_of(object) == OTHER


def test_what_a_solver_declares(suite):
    """By hand, from the algorithms; what depends on the problem's size is left out."""
    classes = {solver.name: solver for solver in suite.get_solvers()}
    once = {"∇f": 1, "∇z g": 1, "H v": 1, "J v": 1}
    assert calls_of(classes["SOBA"]) == once
    assert calls_of(classes["SABA"]) == once, (
        "the pass at the start is not an iteration's"
    )
    assert calls_of(classes["STABLE"]) == calls_of(None) == {}
    assert properties_of(classes["SABA"])[:2] == [
        "Constant steps and small batches reach the minimum.",
        "One mini-batch serves several kinds of derivative.",
    ]
    assert properties_of(None) == []
    expected = "Implicit(step=0.1, warm_v=True, simultaneous=True)"
    assert estimate_text(classes["SOBA"]) == expected
    assert estimate_text(None) == estimate_text(object) == ""


def test_what_was_found_of_a_solver_is_read_from_the_table(tmp_path):
    assert verified(tmp_path) == {}
    (tmp_path / "results").mkdir()
    table = (
        "# Verification\n\nOf each.\n\n| solver | rests | lines |\n|---|---|---|\n"
        "| soba | at x* + 1e-3 | 30 |\n| saba | at x* | 40 |\n"
    )
    (tmp_path / "results" / "VERIFICATION.md").write_text(table)
    assert verified(tmp_path) == {
        "soba": {"rests": "at x* + 1e-3", "lines": "30"},
        "saba": {"rests": "at x*", "lines": "40"},
    }


def test_what_was_found_beside_the_curves_has_pages_where_it_is(tmp_path):
    assert evidence(tmp_path, "") == []
    (tmp_path / "results").mkdir()
    table = "| paper | verdict |\n|---|---|\n| A | [yes](ijcnn1.parquet) |\n"
    (tmp_path / "results" / "REPRODUCTION.md").write_text("No title.")
    [page] = evidence(tmp_path, "")
    assert (page.title, page.summary) == ("REPRODUCTION", "No title.")
    text = f"# Claims of papers\n\nWhat holds.\n\n{table}"
    (tmp_path / "results" / "REPRODUCTION.md").write_text(text)
    [page] = evidence(tmp_path, "https://host.org/blob")
    assert (page.title, page.path) == ("Claims of papers", "reproductions.html")
    assert (page.label, page.summary) == ("Reproductions", "What holds.")
    assert 'href="https://host.org/blob/results/ijcnn1.parquet"' in page.html
    assert "<td>A</td>" in page.html


def test_links_of_published_texts_lead_to_their_parts():
    pages, links = evidence(ROOT, ""), []
    for page in pages:
        ids = re.findall(r' id="([^"]+)"', page.html)
        own = re.findall(r'href="#([^"]+)"', page.html)
        assert set(own) <= set(ids), page.path
        links += own
    assert len(pages) == 2 and links


# --- how results were made ------------------------------------------------------------


def test_facts_are_said_once_with_the_runs_that_differ():
    runs = synthetic.cells(("SOBA", "SABA"), n_repetitions=4)
    finals = {
        (name.partition("[")[0], k): final
        for name, k, final in zip(
            runs["solver_name"], runs["idx_rep"], runs["final_results"], strict=True
        )
        if final
    }
    finals["SABA", 0]["provenance"] = {**synthetic.PROVENANCE, "mine": np.arange(2)}
    for key in (("SOBA", 0), ("SOBA", 1), ("SOBA", 3)):
        finals[key]["provenance"] = {**synthetic.PROVENANCE, "numpy": "2.0"}
    finals["SABA", 2]["provenance"] = {
        **synthetic.PROVENANCE,
        "blas": synthetic.PROVENANCE["blas"][::-1],
    }
    found = facts(prepare(runs))
    by_name = {}
    for fact in found:
        by_name.setdefault(fact.name, []).append((fact.value, fact.runs))
    assert by_name["commit"] == [("0" * 40, "all")]
    assert by_name["blas"] == [("openblas 0.3, 1 threads", "all")]
    assert by_name["seed"] == [("0", "all")] and by_name["date"][0][0] == "2026-01-01"
    assert by_name["numpy"] == [
        ("2.0", "3 of 8: SOBA 0–1, 3"),
        ("1.0", "5 of 8: SOBA 2; SABA"),
    ]
    assert by_name["mine"][-1] == ("[0 1]", "1 of 8: SABA 0")
    assert found[-1].runs != "all" and "CUDA" not in by_name


def configuration(**changes):
    """A configuration of `synthetic.cells` with SOBA and SABA."""
    solvers = {"SOBA": {"step_size": 0.1}, "SABA": {"step_size": 0.2}}
    return yaml.safe_dump(
        {
            "objective": ["Bilevel[problem=hyperparameter-selection]"],
            "dataset": ["ijcnn1"],
            "solver": [{name: own} for name, own in solvers.items()],
            "n-repetitions": 5,
        }
        | changes
    )


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, []),
        (
            {"solver": [{"SOBA": {"step_size": 777}}, {"SABA": {"step_size": 0.2}}]},
            ["SOBA: step_size is 777, and 0.1 was run"],
        ),
        ({"solver": [{"SOBA": {"step_size": 0.1}}]}, ["SABA is not in it"]),
        ({"n-repetitions": 7}, ["n-repetitions is 7, and 5 were run"]),
        ({"n-repetitions": 5, "n_repetitions": 7}, ["n-repetitions is 7, and 5 were"]),
        ({"dataset": ["covtype"]}, ["ijcnn1 is not in it"]),
        (
            {"objective": ["Bilevel[problem=data-hypercleaning]"]},
            [
                "Bilevel: problem is data-hypercleaning, "
                "and hyperparameter-selection was run"
            ],
        ),
        ({"solver": ["no such"]}, ["it cannot be read: "]),
    ],
)
def test_a_configuration_that_asks_for_something_else_is_named(suite, changes, lines):
    rows = prepare(synthetic.cells(("SOBA", "SABA")))
    found = differences(suite, configuration(**changes), rows)
    assert len(found) == len(lines)
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True))


def test_limits_that_limit_nothing_are_no_difference(suite):
    runs = synthetic.cells(("SOBA", "SABA"))
    runs["p_solver_max_iterations"] = 10**12
    assert differences(suite, configuration(), prepare(runs)) == []


def test_a_command_has_an_option_a_line(suite):
    [file] = result_files(prepare(synthetic.cells(("SOBA", "SABA"))), suite)
    [command] = file.commands
    first, *lines = command.split(" \\\n    ")
    assert first == "benchopt run ."
    assert [line[:2] for line in lines] == ["-d", "-o", "-s", "-s", "-r"]
    assert lines[2] == "-s 'SOBA[batch_size=64,step_size=0.1]'"
    assert lines[-1] == "-r 5 --no-timeout --seed 0"


def test_runs_of_several_seeds_have_a_command_each(suite):
    runs = synthetic.cells(("SOBA",), n_repetitions=2)
    other = synthetic.cells(("SABA",), n_repetitions=2).assign(base_seed=7)
    both = pd.concat([runs, other], ignore_index=True)
    [file] = result_files(prepare(both), suite)
    assert [line.rpartition(" ")[2] for line in file.commands] == ["0", "7"]
