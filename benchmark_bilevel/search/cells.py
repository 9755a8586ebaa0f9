"""Runs of a search as cells of benchopt, whichever backend executes them."""

import json
import tempfile
from pathlib import Path

import click
import numpy as np
import pandas as pd
import yaml

from benchmark_bilevel.exact.metrics import EXACT_METRICS, FINAL, NEVER
from benchmark_bilevel.fingerprint import fingerprint
from benchmark_bilevel.search.child import run_benchopt
from benchmark_bilevel.search.options import limits, with_option
from benchmark_bilevel.search.spaces import shares_of
from benchmark_bilevel.search.store import SAFETY


def execute(specification, runs, parallel=()):
    """Run `runs`, all of one stage and of the same seeds, with one ``benchopt run``.

    Parameters
    ----------
    specification : Specification
    runs : list of protocol.Run
        They differ in their solvers and trials.
    parallel : sequence of str
        Options of ``benchopt run``, such as ``("-j", "2")``.

    Returns
    -------
    rows : list of dict
        A row of `store.COLUMNS` for each run and seed.
    failures : dict
        From the names of solvers of which a cell failed without a result to what
        happened: a divergence is a result, an error is not.
    """
    first = runs[0]
    parameters = {run: specification.parameters_of(run) for run in runs}
    configuration = {
        "objective": [_evaluated(specification, first.stage)],
        "dataset": [specification.dataset],
        "solver": [_entry(specification, run, own) for run, own in parameters.items()],
        "n-repetitions": len(first.seeds),
        "seed": first.base_seed,
        "timeout": "240h",
        "plot": False,
    }
    code = _code_of(specification, runs)
    with tempfile.TemporaryDirectory() as folder:
        config, output = Path(folder, "config.yml"), Path(folder, "runs.parquet")
        config.write_text(yaml.safe_dump(configuration, sort_keys=False))
        benchmark = specification.benchmark.benchmark_dir
        options = ["--config", str(config), "--output", str(output), *parallel]
        finished = run_benchopt(
            [str(benchmark), *options], capture_output=True, text=True
        )
        said = finished.stdout + finished.stderr
        ends = ends_of(pd.read_parquet(output)) if output.exists() else None
    if code != _code_of(specification, runs) or code["fingerprint"] != fingerprint():
        raise click.ClickException(
            "files of the package or of a solver have changed during the search: start "
            "it again, and it goes on with what they are now."
        )
    if ends is None and "No output produced" not in said:
        raise click.ClickException(
            f"benchopt run ended with exit code {finished.returncode}; start the search "
            f"again to go on:\n{said[-2000:]}"
        )
    if ends is not None and first.stage != SAFETY:
        _require_score(specification, ends)
    rows, failures = [], {}
    for run, own in parameters.items():
        found = () if ends is None else ends[is_run(ends, run.solver, own)]
        if len(found) < len(run.seeds):
            # What benchopt prints of the solver's last cell.
            text = (said.rpartition(f"|--{run.solver}[")[2] or said)[-2000:]
            failures[run.solver] = (
                f"{run.solver}, {json.dumps(own)}: {len(found)} of {len(run.seeds)} "
                f"runs have a result:\n{text}"
            )
        else:
            rows += [row_of(specification, run, own, end) for end in found.iloc]
    return rows, failures


def _code_of(specification, runs):
    """What is on the disk now, which a child imports."""
    sources = {run.solver: specification.code_of(run.solver)["source"] for run in runs}
    return {"fingerprint": fingerprint.__wrapped__(), **sources}


def _require_score(specification, ends):
    """Refuse a score that no run has: each would look as if it had diverged."""
    prefix, score = "objective_", specification.score
    numbers = ends.filter(regex=prefix).select_dtypes("number")
    alive = numbers[ends["objective_diverged"] == 0]
    known = numbers.loc[:, alive.notna().any()] if len(alive) else numbers
    # What other runs had, and h itself, may be unknown where g is nearly flat.
    may_miss = score == "value" or specification.store.rows["score"].notna().any()
    if prefix + score not in (numbers if may_miss else known):
        raise click.UsageError(
            f"{specification.path}: score is {score!r}, and runs have "
            f"{', '.join(name.removeprefix(prefix) for name in known)}."
        )


def _entry(specification, run, parameters):
    """The solver of a run as a configuration names it."""
    fixed = specification.fixed_of(specification.solver_classes[run.solver])
    return {run.solver: {**fixed, **parameters, **limits(run.budget)}}


def ends_of(table):
    """The last row of each run in a result file, by repetition."""
    ordered = table.sort_values(["idx_rep", "stop_val"])
    return ordered.groupby(["solver_name", "idx_rep"]).tail(1)


def is_run(ends, solver, parameters):
    """Mask of the rows of `ends` that are of `solver` with `parameters`."""
    mask = ends["solver_name"].str.split("[").str[0] == solver
    for name, value in parameters.items():
        column = f"p_solver_{name}"
        mask &= column in ends and pd.to_numeric(ends[column], errors="coerce") == value
    return mask


def _evaluated(specification, stage):
    """The objective's pattern, that evaluates h no more often than `stage` needs it."""
    score = specification.score
    # Of all evaluations only the last decides.
    when = 0 if score in EXACT_METRICS or score.endswith("_at_solution") else FINAL
    when = NEVER if stage == SAFETY else when
    return with_option(specification.objective, "exact_evaluations", when)


def row_of(specification, run, parameters, end):
    """The row of the table for a run that ended as the row `end` of a result file."""
    diverged = bool(end["objective_diverged"])
    solver = specification.solver_classes[run.solver]
    # Defaults are in no range.
    shares = shares_of(solver, parameters, specification.scale) if parameters else {}

    def known(metric):
        # Of a run for safety nothing is evaluated but its divergence.
        if diverged or run.stage == SAFETY:
            return np.nan
        return end[f"objective_{metric}"]

    return {
        "solver": run.solver,
        "trial": run.trial,
        "stage": run.stage,
        "seed": run.seeds[end["idx_rep"]],
        "budget": run.budget,
        "parameters": json.dumps(parameters),
        "shares": json.dumps(shares),
        "score": known(specification.score),
        "suboptimality": known("suboptimality"),
        "diverged": float(diverged),
        "oracle_calls": end["objective_oracle_calls"],
        "seconds": end["time"],
        **specification.code_of(run.solver),
        "search": specification.made_of,
    }
