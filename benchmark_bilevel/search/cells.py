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

from benchmark_bilevel.fingerprint import fingerprint
from benchmark_bilevel.search.protocol import BASE_SEEDS


def execute(specification, runs, parallel=()):
    """Run `runs`, all of one stage, with ``benchopt run``.

    Parameters
    ----------
    specification : Specification
    runs : list of protocol.Run
        With the same `stage`, `n_seeds` and `budget`.
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
    _, _, stage, n_seeds, budget = runs[0]
    trials = {run: specification.trials_of(run.solver)[run.trial] for run in runs}
    configuration = {
        # Of all evaluations only the last decides.
        "objective": [_with_option(specification.objective, "exact_evaluations=1")],
        "dataset": [specification.dataset],
        "solver": [
            {
                run.solver: {
                    **specification.fixed,
                    **parameters,
                    "max_oracle_calls": budget,
                    "max_seconds": float("inf"),
                }
            }
            for run, parameters in trials.items()
        ],
        "n-repetitions": n_seeds,
        "seed": BASE_SEEDS[stage],
        "timeout": "24h",
        "plot": False,
    }
    with tempfile.TemporaryDirectory() as folder:
        config, output = Path(folder, "config.yml"), Path(folder, "runs.parquet")
        config.write_text(yaml.safe_dump(configuration, sort_keys=False))
        benchmark = specification.benchmark.benchmark_dir
        command = [sys.executable, "-m", "benchopt", "run", str(benchmark)]
        command += ["--config", str(config), "--output", str(output), *parallel]
        finished = subprocess.run(command, capture_output=True, text=True)
        if not output.exists():
            raise click.ClickException(
                f"benchopt run failed:\n{(finished.stdout + finished.stderr)[-2000:]}"
            )
        table = pd.read_parquet(output)
    ends = table.sort_values("stop_val").groupby(["solver_name", "idx_rep"]).tail(1)
    rows = []
    for run, parameters in trials.items():
        own = ends[_is_run(ends, run.solver, parameters)]
        if len(own) < n_seeds:
            raise click.ClickException(
                f"{run.solver}, trial {run.trial} ({json.dumps(parameters)}): "
                f"{n_seeds - len(own)} of {n_seeds} runs ended without a result:\n"
                + finished.stdout[-2000:]
            )
        rows += [_row(specification, run, parameters, end) for end in own.iloc]
    return rows


def _with_option(objective, option):
    """The pattern `objective` with one more parameter."""
    if objective.endswith("]"):
        return f"{objective[:-1]},{option}]"
    return f"{objective}[{option}]"


def _is_run(ends, solver, parameters):
    """Mask of the rows of `ends` that are of `solver` with `parameters`."""
    mask = ends["solver_name"].str.split("[").str[0] == solver
    for name, value in parameters.items():
        mask &= ends[f"p_solver_{name}"].astype(float) == value
    return mask


def _row(specification, run, parameters, end):
    diverged = bool(end["objective_diverged"])
    score = np.nan if diverged else end[f"objective_{specification.score}"]
    return {
        "solver": run.solver,
        "trial": run.trial,
        "stage": run.stage,
        "seed": int(end["idx_rep"]),
        "budget": run.budget,
        "parameters": json.dumps(parameters, sort_keys=True),
        "score": score,
        "diverged": float(diverged),
        "oracle_calls": end["objective_oracle_calls"],
        "seconds": end["time"],
        "fingerprint": fingerprint(),
    }
