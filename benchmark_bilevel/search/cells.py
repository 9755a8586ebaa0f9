"""Runs of a search as cells of benchopt, whichever backend executes them."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import pandas as pd
import yaml

from benchmark_bilevel.exact.metrics import EXACT_METRICS, FINAL, NEVER
from benchmark_bilevel.fingerprint import fingerprint
from benchmark_bilevel.search.spaces import shares_of
from benchmark_bilevel.search.specification import ENDLESS, with_option
from benchmark_bilevel.search.store import SAFETY


def execute(specification, runs, parallel=()):
    """Run `runs`, all of one solver and stage, with ``benchopt run``.

    Parameters
    ----------
    specification : Specification
    runs : list of protocol.Run
        They differ in their trials only.
    parallel : sequence of str
        Options of ``benchopt run``, such as ``("-j", "2")``.

    Returns
    -------
    list of dict
        A row of `store.COLUMNS` for each run and seed.

    Raises
    ------
    click.ClickException
        Where a cell failed without a result: a divergence is one, an error is not.
    """
    first = runs[0]
    solver = specification.solver_classes[first.solver]
    parameters = {run: specification.parameters_of(run) for run in runs}
    limits = {"max_oracle_calls": int(first.budget), "max_seconds": ENDLESS}
    fixed = specification.fixed_of(solver)
    configuration = {
        "objective": [_evaluated(specification, first.stage)],
        "dataset": [specification.dataset],
        "solver": [
            {first.solver: {**fixed, **parameters[run], **limits}} for run in runs
        ],
        "n-repetitions": len(first.seeds),
        "seed": first.base_seed,
        "timeout": "240h",
        "plot": False,
    }
    with tempfile.TemporaryDirectory() as folder:
        config, output = Path(folder, "config.yml"), Path(folder, "runs.parquet")
        config.write_text(yaml.safe_dump(configuration, sort_keys=False))
        benchmark = specification.benchmark.benchmark_dir
        command = [sys.executable, "-m", "benchopt", "run", str(benchmark)]
        command += ["--config", str(config), "--output", str(output), *parallel]
        finished = subprocess.run(command, capture_output=True, text=True)
        said = (finished.stdout + finished.stderr)[-2000:]
        if not output.exists():
            raise click.ClickException(f"{first.solver}: no run has a result:\n{said}")
        ends = ends_of(pd.read_parquet(output))
    rows = []
    for run in runs:
        own = parameters[run]
        found = ends[is_run(ends, run.solver, own)]
        if len(found) < len(run.seeds):
            raise click.ClickException(
                f"{run.solver}, {json.dumps(own)}: {len(found)} of {len(run.seeds)} "
                f"runs have a result:\n{said}"
            )
        # Defaults are in no range.
        shares = shares_of(solver, own, specification.scale) if own else {}
        score = specification.score
        rows += [row_of(run, own, shares, end, score) for end in found.iloc]
    return rows


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
    return with_option(specification.objective, f"exact_evaluations={when}")


def row_of(run, parameters, shares, end, score):
    """The row of the table for a run that ended as the row `end` of a result file."""
    diverged = bool(end["objective_diverged"])
    return {
        "solver": run.solver,
        "trial": run.trial,
        "stage": run.stage,
        "seed": run.seeds[end["idx_rep"]],
        "budget": run.budget,
        "parameters": json.dumps(parameters),
        "shares": json.dumps(shares),
        "score": np.nan if diverged else end[f"objective_{score}"],
        "suboptimality": np.nan if diverged else end["objective_suboptimality"],
        "diverged": float(diverged),
        "oracle_calls": end["objective_oracle_calls"],
        "seconds": end["time"],
        "fingerprint": fingerprint(),
    }
