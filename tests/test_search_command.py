"""``python -m benchmark_bilevel search``: resumed anywhere, through benchopt's cells."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
import yaml
from benchopt.benchmark import Benchmark
from click.testing import CliRunner
from command_line import run as benchopt_run
from conftest import ROOT, copy_of_the_benchmark

from benchmark_bilevel.__main__ import main
from benchmark_bilevel.fingerprint import fingerprint
from benchmark_bilevel.search import cells, command
from benchmark_bilevel.search.child import run_benchopt
from benchmark_bilevel.search.options import limits
from benchmark_bilevel.search.protocol import Run, choice
from benchmark_bilevel.search.ranges import ranges_of
from benchmark_bilevel.search.small import configurations, smaller
from benchmark_bilevel.search.specification import Specification
from benchmark_bilevel.search.store import Store

SEARCH = """
objective: Bilevel[problem=quadratic]
dataset: quadratic[n_samples=64,n_outer_samples=64]
oracle_calls: 10000
trials: 5
units: {inner: 1.0, outer: 2.0}
solvers: [SOBA, TTSA]
fixed: {runtime: torch, batch_size: 16}
comment: A small one.
"""


def with_key(line):
    """`SEARCH` with `line` in place of the one of its key, or beside."""
    key = line.partition(":")[0]
    kept = [one for one in SEARCH.splitlines() if not one.startswith(key + ":")]
    return "\n".join([*kept, line])


def made_up(specification, runs, parallel=(), log=None, kill_at=None):
    """In place of `cells.execute`: a score for each run, or the end of the process."""
    assert len({(run.stage, run.seeds, run.base_seed) for run in runs}) == 1
    rows = []
    for run in runs:
        text = f"{run.solver} {run.trial}"
        score = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) / 2**32
        # The first winner of SOBA diverges on a further seed.
        fails = (run.solver, run.trial, run.stage) == ("SOBA", 4, "safety")
        for seed in run.seeds:
            rows.append(
                {
                    "solver": run.solver,
                    "trial": run.trial,
                    "stage": run.stage,
                    "seed": seed,
                    "budget": run.budget,
                    "parameters": json.dumps(specification.parameters_of(run)),
                    "shares": json.dumps({"step_size": score}),
                    "score": score + 1e-3 * seed,
                    "suboptimality": score,
                    "diverged": float(fails and seed == 3),
                    "oracle_calls": run.budget,
                    "seconds": 1.0,
                    **specification.code_of(run.solver),
                    "search": specification.made_of,
                }
            )
    if log is not None:
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        runs = [
            f"{r.solver} {r.trial} {r.stage} {r.base_seed} {len(r.seeds)}" for r in runs
        ]
        log.write_text("\n".join([*lines, ", ".join(runs)]) + "\n")
    return rows, {}


@pytest.fixture
def clones(tmp_path):
    """Makes clones of the benchmark with the search ``small``."""

    def clone(name):
        (tmp_path / name).mkdir()
        folder = copy_of_the_benchmark(tmp_path / name, compiled=False)
        (folder / "config" / "search" / "small.yml").write_text(SEARCH)
        return folder

    return clone


def by_run(store):
    """Its rows, in an order that does not depend on that of the runs."""
    order = ["solver", "trial", "stage", "seed"]
    return store.rows.sort_values(order, ignore_index=True)


def search(folder, *arguments):
    arguments = ["search", "small", "--benchmark", str(folder), *arguments]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def killed_search(folder, log, kill_at):
    """The exit code of a search that is to be killed at a batch."""
    text = f"""
import sys
from functools import partial
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_search_command import command, made_up, main
command.execute = partial(made_up, log=Path({str(log)!r}), kill_at={kill_at})
main(["search", "small", "--benchmark", {str(folder)!r}])
"""
    process = subprocess.run([sys.executable, "-c", text], capture_output=True)
    return process.returncode


def test_killed_twice_and_continued_in_another_clone(clones, tmp_path, monkeypatch):
    one, other, whole = clones("one"), clones("other"), clones("whole")
    table = Path("results", "search", "small.parquet")
    log = tmp_path / "log"
    for kill_at in (2, 5):
        assert killed_search(one, log, kill_at) == -signal.SIGKILL
        assert not (one / "config" / "small.yml").exists()
    (other / table).parent.mkdir(parents=True)
    shutil.copy(one / table, other / table)

    def logged(*arguments):
        return made_up(*arguments, log=log)

    monkeypatch.setattr(command, "execute", logged)
    assert search(other).exit_code == 0
    lines = log.read_text().splitlines()
    runs = [run for line in lines for run in line.split(", ")]
    assert len(runs) == len(set(runs))
    # Nothing is left to run, and the configuration is the same again.
    text = (other / "config" / "small.yml").read_text()
    search(other)
    assert log.read_text().splitlines() == lines

    monkeypatch.setattr(command, "execute", made_up)
    search(whole)
    rows = [by_run(Store(folder / table)) for folder in (other, whole)]
    pd.testing.assert_frame_equal(*rows)
    for folder in (other, whole):
        assert (folder / "config" / "small.yml").read_text() == text
    assert choice(Store(other / table), "SOBA").trial != 4


def ended_by(monkeypatch, code, act=lambda: None):
    """benchopt's runs do nothing, then `act`, and end with that exit code."""

    def run(arguments, **_):
        act()
        return subprocess.CompletedProcess(arguments, code, "it has begun", "")

    monkeypatch.setattr(cells, "run_benchopt", run)


def test_a_killed_run_is_no_error_of_its_solvers(clones, monkeypatch):
    """They are searched the next time; a configuration without them would be wrong."""
    folder = clones("one")
    ended_by(monkeypatch, -signal.SIGKILL)
    done = search(folder)
    assert done.exit_code == 1
    assert "exit code -9" in done.output and "it has begun" in done.output
    assert not (folder / "config" / "small.yml").exists()


def test_an_edit_ends_the_search(clones, monkeypatch):
    """Which code a run was of is not known then."""
    folder = clones("one")
    solver = folder / "solvers" / "soba.py"
    edited = solver.read_text() + "# edited\n"
    ended_by(monkeypatch, 0, lambda: solver.write_text(edited))
    done = search(folder)
    assert done.exit_code == 1 and "have changed during the search" in done.output
    assert not (folder / "config" / "small.yml").exists()


def test_a_run_of_its_own_ends_as_benchopt_does():
    ended = run_benchopt(["--help"], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_no_run_goes_on_without_its_search(clones):
    """One that is killed: its output ends with it, before the run has."""
    folder = clones("one")
    cell = "SOBA[runtime=torch,max_iterations=1000000,max_seconds=20]"
    arguments = [str(folder), "-d", "quadratic", "-s", cell, "--no-plot"]
    arguments += ["-o", "Bilevel[problem=quadratic]"]
    text = "from benchmark_bilevel.search.child import run_benchopt as run; run({})"
    command = [sys.executable, "-c", text.format(arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        said = b""
        while b"|--Bilevel" not in said:  # the run begins
            part = process.stdout.read(1)
            assert part, said
            said += part
        process.kill()
        said += process.stdout.read()  # until no process can write
    assert b": done" not in said


def test_the_configuration_that_is_written(clones, monkeypatch):
    folder = clones("one")
    monkeypatch.setattr(command, "execute", made_up)
    assert search(folder).stdout == f"{folder}/config/small.yml\n"
    text = (folder / "config" / "small.yml").read_text()
    for line in (
        "# A small one.",
        "5 scrambled Sobol trials",
        f"of code {fingerprint()}.",
    ):
        assert line in text
    content = yaml.safe_load(text)
    store = Store(folder / "results" / "search" / "small.parquet")
    solvers = content["solver"]
    assert [next(iter(s)) for s in solvers[:4]] == ["SOBA", "SOBA", "TTSA", "TTSA"]
    assert {"L-BFGS-B", "Random"} <= {next(iter(s)) for s in solvers[4:]}
    winner, _ = store.parameters("TTSA", choice(store, "TTSA").trial)
    limits = {"max_oracle_calls": 10000, "max_seconds": 1e9}
    fixed = {"runtime": "torch", "batch_size": 16}
    assert solvers[2] == {"TTSA": {**fixed, **winner, **limits}}
    assert solvers[3] == {"TTSA": {**fixed, **limits}}
    # What is written can be read: every parameter is one of the solver.
    Benchmark(folder).check_solver_patterns(solvers)


SPACE = with_key(
    "space: {TTSA: {step_size: [0.1, 0.2], linear_step: step_size, n_terms: [20, 40], "
    "step_exponent: 0.5}}"
)


def test_a_space_of_the_specification(clones, monkeypatch):
    """A paper's own ranges, in absolute units, with its ties and values."""
    folder = clones("one")
    file = folder / "config" / "search" / "small.yml"
    file.write_text(SPACE)
    monkeypatch.setattr(command, "execute", made_up)
    assert search(folder).exit_code == 0
    store = Store(folder / "results" / "search" / "small.parquet")
    for trial in range(5):
        parameters, _ = store.parameters("TTSA", trial)
        assert 0.1 <= parameters["step_size"] <= 0.2
        assert parameters["linear_step"] == parameters["step_size"]
        assert 20 <= parameters["n_terms"] <= 40
        assert parameters.keys() == {"step_size", "linear_step", "n_terms"}
    content = yaml.safe_load((folder / "config" / "small.yml").read_text())
    winner = store.parameters("TTSA", choice(store, "TTSA").trial)[0]
    (entry,) = (one["TTSA"] for one in content["solver"][2:3])
    assert winner.items() | {("step_exponent", 0.5)} <= entry.items()
    # SOBA is searched where it says itself.
    assert "outer_ratio" in store.parameters("SOBA", 0)[0]
    file.write_text(SPACE.replace("step_exponent: 0.5", "step_exponent: 0.6"))
    result = search(folder)
    assert result.exit_code == 1 and "has runs with space: {'TTSA'" in result.output


def test_a_search_in_a_folder_of_its_own(clones, monkeypatch):
    """What reproduces a claim is not among the published results."""
    folder = clones("one")
    own = folder / "config" / "search" / "reproductions" / "claim.yml"
    own.parent.mkdir(exist_ok=True)
    own.write_text(SEARCH.replace("batch_size: 16", "batch_size: full"))
    monkeypatch.setattr(command, "execute", made_up)
    arguments = ["search", "reproductions/claim", "--benchmark", str(folder)]
    target = folder / "config" / "reproductions" / "claim.yml"
    target.write_text("# By hand.")
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1 and f"{target} is written by hand" in refused.output
    target.unlink()
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.stdout == f"{target}\n"
    assert yaml.safe_load(target.read_text())["output"] == "claim"
    assert (folder / "results/search/reproductions/claim.parquet").exists()
    assert not (folder / "config/reproductions/small").exists()


def test_full_batches_have_a_unit(clones):
    folder = clones("one")
    file = folder / "config" / "search" / "small.yml"
    text = with_key("fixed: {batch_size: full, runtime: torch}")
    file.write_text(text.replace("units:", "# units:"))
    assert Specification.read(Benchmark(folder), file).scale.epoch == 1.0


def test_a_winner_whose_published_runs_diverge_is_replaced(clones, monkeypatch):
    folder = clones("one")
    monkeypatch.setattr(command, "execute", made_up)
    search(folder)
    store = Store(folder / "results" / "search" / "small.parquet")
    winner = choice(store, "TTSA")
    parameters, _ = store.parameters("TTSA", winner.trial)
    runs = {
        "solver_name": "TTSA[step_size=0.1]",
        "idx_rep": [0, 1, 2],
        "stop_val": 7,
        "time": 1.0,
        "objective_diverged": [0.0, 0.0, 1.0],
        "objective_oracle_calls": 5.0,
        "p_solver_runtime": "torch",
        **{f"p_solver_{name}": value for name, value in parameters.items()},
    }
    before = choice(store, "SOBA")
    for made_by in ({}, {"fingerprint": "of other code"}):
        final = [{"provenance": made_by}] * 3
        runs = pd.DataFrame(runs).assign(final_results=final)
        synthetic.write(runs, folder / "results" / "small.parquet")
        assert search(folder).exit_code == 0
        assert choice(Store(store.path), "TTSA") == winner
    final = [{"provenance": {"fingerprint": fingerprint()}}] * 3
    runs = runs.assign(final_results=final)
    synthetic.write(runs, folder / "results" / "small.parquet")
    assert search(folder).exit_code == 0
    store = Store(store.path)
    assert choice(store, "TTSA").trial != winner.trial
    assert choice(store, "SOBA") == before
    assert list(store.of("TTSA", "report")["seed"]) == [2]


def test_divergence_of_an_older_solver_is_no_evidence(tmp_path):
    """Git knows what the solver's file was when the runs were made."""
    git = partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True)
    file, identity = tmp_path / "ttsa.py", ("-c", "user.name=A", "-c", "user.email=a@b")
    git(["git", "init", "--quiet"])
    commits = []
    for text in ("old", "new"):
        file.write_text(text)
        git(["git", "add", "."])
        git(["git", *identity, "commit", "--quiet", "-m", text])
        found = git(["git", "rev-parse", "HEAD"], text=True)
        commits.append(found.stdout.strip())
    known = {commits[0]: True, commits[0] + "+": True, commits[1]: False}
    for commit, is_older in {**known, "": False, None: False, "0" * 40: False}.items():
        final = {"provenance": {"commit": commit}}
        assert command._is_older(str(file), final) is is_older


def test_all_solvers_have_as_many_trials_as_any(clones, monkeypatch):
    """Also where one was searched with more trials, or its file was edited since."""
    folder = clones("one")
    monkeypatch.setattr(command, "execute", made_up)
    file = folder / "config" / "search" / "small.yml"
    file.write_text(with_key("solvers: [SOBA]"))
    assert search(folder, "--trials", "8").exit_code == 0
    file.write_text(SEARCH)
    assert search(folder).exit_code == 0
    store = Store(folder / "results" / "search" / "small.parquet")
    for solver in ("SOBA", "TTSA"):
        assert set(store.of(solver, "tuning")["trial"]) == set(range(8))


def test_transfers_that_are_not_asked_for_are_forgotten(clones, monkeypatch):
    folder = clones("one")
    monkeypatch.setattr(command, "execute", made_up)
    assert search(folder).exit_code == 0
    store = Store(folder / "results" / "search" / "small.parquet")
    known = by_run(store)
    transferred = known[known["stage"] == "defaults"].assign(stage="transfer from it")
    store.append(transferred.to_dict("records"))
    assert search(folder).exit_code == 0
    pd.testing.assert_frame_equal(by_run(Store(store.path)), known)


@pytest.mark.parametrize("size", ["1e1", 10, 10.0])
def test_fixed_batches_are_read_as_solvers_read_them(clones, size):
    folder = clones("one")
    file = folder / "config" / "search" / "small.yml"
    text = with_key(f"fixed: {{batch_size: {size}, runtime: torch}}")
    file.write_text(text)
    assert Specification.read(Benchmark(folder), file).scale.epoch == 6.4


def test_a_table_of_another_search_is_refused(clones, monkeypatch):
    folder = clones("one")
    monkeypatch.setattr(command, "execute", made_up)
    search(folder)
    refuses_other_searches(folder)


def test_also_of_other_code(clones, monkeypatch):
    """Whose runs would be made anew: what they cost is not thrown away for a mistake."""
    folder = clones("one")
    monkeypatch.setattr(command, "execute", made_up)
    search(folder)
    table = folder / "results" / "search" / "small.parquet"
    pd.read_parquet(table).assign(fingerprint="other").to_parquet(table)
    before = table.read_bytes()
    file = folder / "config" / "search" / "small.yml"
    file.write_text(SEARCH.replace("oracle_calls: 10000", "oracle_calls: 20000"))
    result = search(folder)
    assert result.exit_code == 1 and "has budgets of 10000" in result.output
    assert table.read_bytes() == before


def refuses_other_searches(folder):
    file = folder / "config" / "search" / "small.yml"
    for old, new, said in (
        ("oracle_calls: 10000", "oracle_calls: 20000", "has budgets of 10000"),
        ("inner: 1.0", "inner: 1.5", "has other parameters of SOBA, trial 0"),
        (
            "n_samples=64",
            "n_samples=65",
            "has runs with dataset: quadratic[n_samples=64",
        ),
        ("batch_size: 16", "batch_size: 8", "has runs with fixed: {'batch_size': 16"),
        ("trials: 5", "trials: 5\nscore: inner_loss", "has runs with score: value"),
    ):
        file.write_text(SEARCH.replace(old, new))
        result = search(folder)
        assert result.exit_code == 1 and said in result.output
    store = Store(folder / "results" / "search" / "small.parquet")
    made_of = json.loads(store.rows["search"].iloc[0]) | {"space": {"SOBA": {}}}
    before = store.rows.copy()
    store.rows["search"] = json.dumps(made_of)
    store.save()
    file.write_text(SEARCH)
    assert "has runs with space: {'SOBA': {}}" in search(folder).output
    before.to_parquet(store.path)
    file.write_text(SEARCH.replace("inner: 1.0", "inner: 1.002"))
    assert search(folder).exit_code == 0  # as another machine may find it
    assert search(folder, "--trials", "7").exit_code == 0  # it goes on
    # A file of a version that did not write it down.
    table = folder / "results" / "search" / "small.parquet"
    pd.read_parquet(table).drop(columns="search").to_parquet(table)
    assert search(folder).exit_code == 0


@pytest.mark.parametrize(
    "content, said",
    [
        ("[]", "a search has dataset, objective, oracle_calls"),
        (SEARCH + "steps: 3", "a search has dataset, objective, oracle_calls"),
        (": {", "cannot be read"),
        (SEARCH.replace("=64,", "=[64,128],"), "on one problem, here are 2"),
        ("\xff".encode("latin-1"), "cannot be read"),
        (with_key("trials: 0"), "trials=0 is not valid; expected a positive integer"),
        (with_key("trials: 2.5"), "trials=2.5 is not valid"),
        (with_key("oracle_calls: -5"), "oracle_calls=-5 is not valid"),
        (with_key("oracle_calls:"), "oracle_calls=None is not valid"),
        (with_key("repetitions: 0"), "repetitions=0 is not valid"),
        (with_key("exact_evaluations: some"), "or 'final' or 'never'"),
        (with_key("dataset: 3"), "dataset=3 is not valid; expected text"),
        (
            with_key("objective: Bilevel[problem=quadratic"),
            "small.yml: Bilevel[problem",
        ),
        (
            with_key("dataset: quadratik"),
            "small.yml: Bilevel[problem=quadratic] on quad",
        ),
        (with_key("score: [value]"), "score=['value'] is not valid; expected text"),
        (with_key("fixed: [batch_size]"), "expected values by name"),
        (with_key("fixed: {batch_size: [8, 16]}"), "expected one value a name"),
        (with_key("fixed: {bacth_size: 8}"), "the nearest name is 'batch_size'"),
        (with_key("fixed: {step_size: 0.1}"), "fixed: step_size is searched for SOBA"),
        (
            with_key("fixed: {outer_ratio: 2}"),
            "fixed: outer_ratio is searched for SOBA",
        ),
        (
            with_key("fixed: {max_seconds: 2}"),
            "max_seconds is what `oracle_calls` says",
        ),
        (with_key("units: {iner: 1.0}"), "expected inner, outer, each"),
        (with_key("units: {inner: 1.0, outer: -1}"), "expected outer to be a positive"),
        (with_key("solvers: [SOBA, 3]"), "expected a list of names"),
        (
            with_key("solvers: ['SOBA[step_size=0.3]']"),
            "is not the name alone of a solver",
        ),
        (with_key("solvers: [L-BFGS-B]"), "L-BFGS-B has nothing to search"),
        (with_key("transfer_from: [nothere]"), "nothere.parquet is not there"),
        (with_key("space: [SOBA]"), "expected parameters by solver"),
        (with_key("space: {SOBA: [step_size]}"), "expected parameters by solver"),
        (with_key("space: {SOBA: {step_size: [1]}}"), "step_size to be [low, high]"),
        (with_key("space: {SOBA: {step_size: {low: 1}}}"), "[low, high], a name or"),
        (with_key("space: {SOBA: {step_size: [2, 1]}}"), "is no positive range"),
        (with_key("space: {SOBA: {step_size: [a, b]}}"), "needs numbers as edges"),
        (with_key("space: {SOBA: {stepsize: [1, 2]}}"), "is no parameter of this"),
        (
            with_key("space: {SOBA: {linear_step: [1, 2], stepsize: 2}}"),
            "the nearest name is 'step_size'",
        ),
        (
            with_key("space: {SOBA: {step_size: [1, 2], max_seconds: 2}}"),
            "max_seconds is what",
        ),
        (with_key("space: {SOBA: {step_size: 2}}"), "SOBA has nothing left to search"),
        (with_key("space: {SOBO: {step_size: [1, 2]}}"), "SOBO is none of the solvers"),
        (
            with_key("space: {SOBA: {step_size: [1, 2], batch_size: 8}}"),
            "batch_size is fixed already",
        ),
        (
            with_key("space: {SOBA: {step_size: [1, 2], linear_step: -1}}"),
            "linear_step=-1 is not valid",
        ),
        (with_key("fixed: {batch_size: 0}"), "batch_size=0 is not valid"),
        (
            with_key("space: {SOBA: {outer_step: [1, 100], step_size: 0.5}}"),
            "search outer_ratio",
        ),
        (
            with_key("space: {SOBA: {outer_step: [1, 100], linear_step: outer_step}}"),
            "search outer_ratio",
        ),
        (
            with_key("solvers: stocBiO") + "\nspace: {stocBiO: "
            "{linear_step: [1, 2], convexity: 0.9}}",
            "what is searched is not valid: stocBiO: linear_step · convexity",
        ),
        (
            re.sub("units: .*", "", with_key("dataset: digits")).replace(
                "quadratic", "deep-hypercleaning"
            ),
            "units: of deep-hypercleaning the inner problem",
        ),
    ],
)
def test_a_wrong_specification_is_refused_in_one_line(
    clones, monkeypatch, content, said
):
    folder = clones("one")
    file = folder / "config" / "search" / "small.yml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    monkeypatch.setattr(command, "execute", made_up)
    result = search(folder)
    assert result.exit_code == 2 and said in result.output
    message = result.output.partition("Error: ")[2]
    assert message.count("\n") == 1 and "small.yml" in message
    assert not (folder / "config" / "small.yml").exists()


def test_a_solver_that_cannot_be_imported(clones, capsys):
    """Is said to be left out; and is refused if it is named."""
    folder = clones("one")
    text = (folder / "solvers" / "soba.py").read_text().replace('"SOBA"', '"mine"')
    (folder / "solvers" / "mine.py").write_text(f"{text}\nimport not_there\n")
    file = folder / "config" / "search" / "small.yml"
    for content in (with_key("solvers: mine"), re.sub("solvers: .*", "", SEARCH)):
        file.write_text(content)
        specification = Specification.read(Benchmark(folder), file)
        if specification.solvers:
            with pytest.raises(click.UsageError, match=r"small\.yml: .*not_there"):
                _ = specification.solver_classes
        else:
            assert "mine" not in {
                *specification.solver_classes,
                *specification.yardsticks,
            }
            assert "mine: left out" in capsys.readouterr().out


def test_a_cluster_gets_a_stage_at_a_time(clones, monkeypatch, tmp_path):
    sizes = []

    def counted(specification, runs, parallel=()):
        sizes.append(len(runs))
        assert parallel == ("--parallel-config", str(config))
        return made_up(specification, runs)

    monkeypatch.setattr(command, "execute", counted)
    monkeypatch.setattr(command, "BATCH_SECONDS", 0)  # no batch is a quick one
    config = tmp_path / "cluster.yml"
    config.write_text("backend: dask")
    assert search(clones("one"), "--parallel-config", str(config)).exit_code == 0
    assert sizes[0] == 2 * 5


def test_winners_of_other_ranges_are_no_transfer(clones, monkeypatch):
    folder = clones("one")
    file = folder / "config" / "search" / "small.yml"
    specification = Specification.read(Benchmark(folder), file)
    shares = dict.fromkeys(ranges_of(specification.solver_classes["SOBA"]), 0.5)
    (row,), _ = made_up(specification, [Run("SOBA", 0, "tuning", range(1), 1e4, 1)])
    row |= {"shares": json.dumps(shares)}
    row |= {"search": json.dumps({"space": {"SOBA": {"step_size": [1, 2]}}})}
    specification.store_of("there").append([row])
    specification = Specification.read(Benchmark(folder), file)
    specification.transfer_from = ["there"]
    assert specification.further_stages("SOBA") == ["defaults"]


def test_a_data_set_that_needs_what_is_not_installed(clones, monkeypatch):
    folder = clones("one")
    quadratic = (folder / "datasets" / "quadratic.py").read_text()
    mine = quadratic.replace('"quadratic"', '"mine"') + "\nimport not_there\n"
    (folder / "datasets" / "mine.py").write_text(mine)
    file = folder / "config" / "search" / "small.yml"
    file.write_text(with_key("dataset: mine"))
    monkeypatch.setattr(command, "execute", made_up)
    result = search(folder)
    assert result.exit_code == 1
    assert "small.yml: mine needs what is not installed here" in result.output


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "Parquet"),
        (pd.DataFrame({"solver": ["SOBA"]}), "it has no column trial, stage, seed"),
        (lambda rows: rows.drop(columns="seed"), "it has no column seed"),
        (lambda rows: rows.assign(trial=np.nan), "trial"),
        (lambda rows: rows.assign(parameters="{"), "small.parquet"),
        (lambda rows: rows.assign(shares="[]"), "column shares is not JSON of names"),
        (lambda rows: rows.assign(search="[1]"), "column search is not JSON of names"),
        (lambda rows: rows.assign(search="{"), "small.parquet"),
        (lambda rows: rows.assign(solver=None), "column solver has gaps"),
        (lambda rows: pd.concat([rows, rows[:1]]), "it has a run twice"),
        (lambda rows: rows.assign(diverged=np.nan), "diverged is not 0 or 1"),
        (lambda rows: rows.assign(score=-np.inf), "a score is infinite"),
    ],
)
def test_a_damaged_table_is_named(clones, monkeypatch, content, said):
    folder = clones("one")
    monkeypatch.setattr(command, "execute", made_up)
    table = folder / "results" / "search" / "small.parquet"
    if isinstance(content, bytes):
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_bytes(content)
    else:
        search(folder)
        found = content(pd.read_parquet(table)) if callable(content) else content
        found.to_parquet(table)
    before = table.read_bytes()
    result = search(folder)
    assert result.exit_code == 1 and said in result.output
    assert (
        "is no table of a search" in result.output and "Move it away" in result.output
    )
    assert result.output.count("\n") == 1 and table.read_bytes() == before


def test_seeds_that_were_taken_out_of_a_table(clones, monkeypatch):
    folder = clones("one")
    monkeypatch.setattr(command, "execute", made_up)
    search(folder)
    table = folder / "results" / "search" / "small.parquet"
    rows = pd.read_parquet(table)
    rows[(rows["stage"] != "tuning") | (rows["seed"] != 2)].to_parquet(table)
    result = search(folder)
    assert result.exit_code == 1
    assert "has some of the seeds of a trial only" in result.output


def test_a_damaged_result_file_stops_no_search(clones, monkeypatch):
    folder = clones("one")
    monkeypatch.setattr(command, "execute", made_up)
    search(folder)
    for content in (b"", b"PAR1"):
        (folder / "results" / "small.parquet").write_bytes(content)
        result = search(folder)
        assert result.exit_code == 0 and "small.parquet cannot be read" in result.output
    pd.DataFrame({"a": [1]}).to_parquet(folder / "results" / "small.parquet")
    assert "small.parquet cannot be read" in search(folder).output


def test_two_searches_at_one_table(clones, monkeypatch):
    """The second one is told so, and nothing of the first is lost."""
    folder, seconds = clones("one"), []

    def meanwhile(*arguments):
        seconds.append(search(folder))
        return made_up(*arguments)

    monkeypatch.setattr(command, "execute", meanwhile)
    assert search(folder).exit_code == 0
    assert {result.exit_code for result in seconds} == {1}
    assert "another process is at it" in seconds[0].output
    monkeypatch.setattr(command, "execute", made_up)
    assert search(folder).exit_code == 0


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    store = Store(tmp_path / "small.parquet")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        store.append([{"trial": 0, "seed": 0}])
    assert list(tmp_path.iterdir()) == []


def test_a_search_of_ones_own_replaces_nothing_by_hand(clones, monkeypatch, tmp_path):
    folder, mine = clones("one"), tmp_path / "mine.yml"
    config = folder / "config" / "mine.yml"
    mine.write_text(SEARCH)
    config.write_text("# By hand.\n")
    monkeypatch.setattr(command, "execute", made_up)
    arguments = ["search", str(mine), "--benchmark", str(folder)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1 and "mine.yml is written by hand" in result.output
    assert config.read_text() == "# By hand.\n"
    config.unlink()
    for _ in range(2):  # what it wrote it may replace
        assert CliRunner().invoke(main, arguments).exit_code == 0
    assert f"search {mine}`; not edited" in config.read_text().splitlines()[0]
    config.unlink()
    config.mkdir()
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1 and "mine.yml is written by hand" in result.output
    # The name of a published search is that search's.
    namesake = mine.rename(tmp_path / "small.yml")
    result = CliRunner().invoke(main, ["search", str(namesake), *arguments[2:]])
    assert result.exit_code == 1 and "give the search another one" in result.output
    assert not (folder / "results" / "search" / "small.parquet").exists()


def test_a_search_two_folders_deep_and_of_few_calls(clones, monkeypatch):
    folder = clones("one")
    own = folder / "config" / "search" / "a" / "b" / "deep.yml"
    own.parent.mkdir(parents=True)
    own.write_text(with_key("oracle_calls: 3").replace("trials: 5", "trials: 2"))
    monkeypatch.setattr(command, "execute", made_up)
    arguments = ["search", "a/b/deep", "--benchmark", str(folder)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    text = (folder / "config" / "a" / "b" / "deep.yml").read_text()
    assert "# 2 scrambled Sobol trials" in text and "over the two best, won" in text
    assert limits(0.3)["max_oracle_calls"] == 1
    # The choice is of all trials in the table.
    CliRunner().invoke(main, [*arguments, "--trials", "3"])
    CliRunner().invoke(main, [*arguments, "--trials", "1"])
    text = (folder / "config" / "a" / "b" / "deep.yml").read_text()
    assert "# 3 scrambled Sobol trials" in text
    arguments[1] = "nothere"
    assert "a/b/deep, " in CliRunner().invoke(main, arguments).output


def test_what_other_code_made_is_made_anew(clones, monkeypatch, tmp_path):
    """Of another package, of another file of the solver, of another winner elsewhere."""
    folder, log = clones("one"), tmp_path / "log"
    file = folder / "config" / "search" / "small.yml"
    monkeypatch.setattr(command, "execute", made_up)
    specification = Specification.read(Benchmark(folder), file)
    shares = dict.fromkeys(ranges_of(specification.solver_classes["SOBA"]), 0.5)
    (row,), _ = made_up(specification, [Run("SOBA", 0, "tuning", range(1), 1e4, 1)])
    specification.store_of("there").append([{**row, "shares": json.dumps(shares)}])
    file.write_text(SEARCH + "transfer_from: there\n")
    search(folder)
    store = Store(folder / "results" / "search" / "small.parquet")
    whole = by_run(store)
    assert "transfer from there" in set(whole["stage"])

    changed = store.rows.copy()
    changed.loc[changed["trial"] == 2, "fingerprint"] = "older"
    changed.loc[changed["stage"] == "defaults", "source"] = "other"
    moved = changed["stage"] == "transfer from there"
    changed.loc[moved, "parameters"] = json.dumps({"step_size": 9.0})
    changed.to_parquet(store.path)
    stale = (changed != store.rows).any(axis=1).sum()
    monkeypatch.setattr(command, "execute", partial(made_up, log=log))
    said = f"{stale} of {len(changed)} runs are of other code or parameters"
    assert said in search(folder).stdout
    pd.testing.assert_frame_equal(by_run(Store(store.path)), whole)
    again = log.read_text().replace(", ", "\n").splitlines()
    assert sum(int(line.split()[-1]) for line in again) == stale


def test_an_error_in_one_solver_lets_the_others_go_on(clones, monkeypatch):
    def failing(specification, runs, parallel=()):
        rows, _ = made_up(specification, runs)
        if {run.solver for run in runs} == {"TTSA"}:
            return rows, {}
        rows = [row for row in rows if row["solver"] != "SOBA"]
        return rows, {"SOBA": "SOBA: no run has a result"}

    folder = clones("one")
    monkeypatch.setattr(command, "execute", failing)
    result = search(folder)
    assert result.exit_code == 1 and "SOBA: no run has a result" in result.output
    text = (folder / "config" / "small.yml").read_text()
    assert "SOBA: had errors" in text and "without divergence" not in text
    assert choice(Store(folder / "results" / "search" / "small.parquet"), "TTSA")


def test_errors_in_all_solvers_leave_the_configuration(clones, monkeypatch):
    folder = clones("one")
    config = folder / "config" / "small.yml"
    older = "# Written by `python -m benchmark_bilevel search small` once.\n"
    config.write_text(older)
    monkeypatch.setattr(
        *(command, "execute"),
        lambda specification, runs, parallel: ([], {run.solver: "?" for run in runs}),
    )
    result = search(folder)
    assert result.exit_code == 1 and "2 solvers have errors" in result.output
    assert config.read_text() == older


def test_trials_are_cells_of_benchopt(clones):
    """A run that ends, one that diverges, with the seeds and budgets of their stage."""
    specification = Specification.read(
        Benchmark(folder := clones("one")), folder / "config" / "search" / "small.yml"
    )
    steps = ({"step_size": 0.1}, {"step_size": 1e9})
    steps = [{**step, "linear_step": 0.1, "outer_ratio": 1.0} for step in steps]
    specification.parameters_of = lambda run: steps[run.trial]
    runs = [Run("SOBA", k, "tuning", range(1, 3), 1e4, 3) for k in range(2)]
    rows, failures = cells.execute(specification, runs)
    assert failures == {}
    rows = pd.DataFrame(rows)
    good, bad = (rows[rows["trial"] == k] for k in range(2))
    assert list(good["seed"]) == [1, 2] and (good["score"] > 0).all()
    assert good["score"].nunique() == 2 and (good["suboptimality"] < 1).all()
    assert ((good["oracle_calls"] >= 1e4) & (good["oracle_calls"] < 1.1e4)).all()
    assert (bad["diverged"] == 1).all() and bad["score"].isna().all()


def test_a_score_that_is_known_at_the_end_of_runs_only(clones, monkeypatch):
    """Runs for safety are not evaluated; a score that no run has is refused."""
    folder = clones("one")
    file = folder / "config" / "search" / "small.yml"
    text = SEARCH.replace("problem=quadratic", "problem=data-poisoning")
    text = re.sub("dataset: .*", "dataset: digits", text)
    file.write_text(text + "score: retrained_test_accuracy\n")
    specification = Specification.read(Benchmark(folder), file)
    specification.parameters_of = lambda run: {}
    require, seen = cells._require_score, []
    monkeypatch.setattr(
        cells, "_require_score", lambda *given: seen.append(given) or require(*given)
    )
    for stage in ("tuning", "safety"):
        (row,), failures = cells.execute(
            specification, [Run("SOBA", 0, stage, range(1), 1e3, 1)]
        )
        assert failures == {} and row["diverged"] == 0
        assert row["parameters"] == row["shares"] == "{}"  # defaults are in no range
        assert (0 < row["score"] <= 1) == (stage == "tuning")
    for nowhere in ("retrained_accuracy", "suboptimality"):  # no column, no value
        specification.score = nowhere
        with pytest.raises(
            click.UsageError, match="retrained_test_accuracy"
        ) as refusal:
            require(*seen[0])
        assert ", suboptimality" not in refusal.value.message


def test_published_searches_can_be_read():
    """Each names one problem of those that there are, and tables that there may be."""
    files = sorted((ROOT / "config" / "search").rglob("*.yml"))
    assert files
    names = {file.stem for file in files}
    benchmark = Benchmark(ROOT)
    for file in files:
        specification = Specification.read(benchmark, file)
        assert set(specification.transfer_from) <= names - {file.stem}
        benchmark.check_dataset_patterns([specification.dataset])
        benchmark.check_objective_filters([specification.objective])
        for solver, _ in benchmark.check_solver_patterns(["all"]):
            if solver.name in specification.space:
                assert ranges_of(specification.with_space(solver))


def test_small_configurations_are_those_of_the_large_ones(tmp_path):
    """`make small` writes them anew."""
    folder = copy_of_the_benchmark(tmp_path, compiled=False)
    shutil.rmtree(folder / "config" / "small")
    done = CliRunner().invoke(main, ["small", "--benchmark", str(folder)])
    assert done.exit_code == 0, done.output
    small = Path("config", "small")
    names = sorted(path.name for path in (ROOT / small).iterdir())
    assert names == [config.name for config in configurations(ROOT)]
    assert sorted(path.name for path in (folder / small).iterdir()) == names
    for name in names:
        assert (folder / small / name).read_text() == (ROOT / small / name).read_text()


def test_a_small_configuration_can_be_run(clones):
    folder = clones("one")
    config = folder / "config" / "small" / "quadratic.yml"
    solver = "SOBA[runtime=torch,max_iterations=20]"
    _, results = benchopt_run(folder, "small", "--config", config, "-s", solver)
    known = results["objective_value"].notna()
    assert known.sum() == 1 and known.to_numpy()[-1]


def test_a_small_configuration_is_run_by_the_clock():
    content = {
        "objective": [
            "Bilevel",
            "Bilevel[problem=data-poisoning]",
            "Bilevel[exact_evaluations=3]",
            "Bilevel[exact_evaluations=3,protocol=[default,bome]]",
        ],
        "dataset": ["mnist"],
        "solver": ["A", {"B": {"n": 3, "max_seconds": 1e9}}, {"C": {"n": 3}}],
        "n-repetitions": 10,
        "output": "name",
    }
    assert smaller(content, "other") == {
        "objective": [
            "Bilevel[exact_evaluations=never]",
            "Bilevel[problem=data-poisoning,exact_evaluations=never]",
            "Bilevel[exact_evaluations=never]",
            "Bilevel[protocol=[default,bome],exact_evaluations=never]",
        ],
        "dataset": ["mnist"],
        "solver": ["A", {"B": {"n": 3, "max_seconds": 0.2}}, {"C": {"n": 3}}],
        "n-repetitions": 1,
        "output": "small_name",
    }
    content = {"objective": "A[exact_evaluations=[3,4],b=1]", "solver": [{"B": None}]}
    assert smaller(content, "other") == {
        "objective": ["A[b=1,exact_evaluations=0]"],
        "solver": [{"B": {}}],
        "n-repetitions": 1,
        "output": "small_other",
    }
    assert smaller({"solver": "A"}, "other")["objective"] == ["*[exact_evaluations=0]"]
    with pytest.raises(click.UsageError, match=r"config/other\.yml"):
        smaller({"objective": [{"A": {"b": 1}}]}, "other")
