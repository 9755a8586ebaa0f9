"""Reading result files, which may be anyone's: whole and of this benchmark, or a line."""

from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import pandas as pd
from benchopt.results import read_results

from benchmark_bilevel.exact.newton import VALUE_TOLERANCE
from benchmark_bilevel.notices import say_once
from benchmark_bilevel.report.names import base_name
from benchmark_bilevel.report.results import NUMBERS, accuracy_of_reference, prepare

TEXTS = ("objective_name", "solver_name", "dataset_name", "p_obj_problem")
NEEDED = (*TEXTS, "idx_rep", "time", "objective_value")
CELL = [*TEXTS, "idx_rep"]
COSTS = ("time", "objective_oracle_calls", "objective_iterations")


def read(paths):
    """All rows of the result files `paths`, with the columns that `prepare` adds.

    Parameters
    ----------
    paths : sequence of path-like

    Returns
    -------
    DataFrame

    Raises
    ------
    click.ClickException
        When a file is damaged or foreign, or two have one name: a line which names it.
    """
    paths = sorted(map(Path, paths), key=lambda path: path.stem)
    for path, following in pairwise(paths):
        if path.stem == following.stem:
            raise click.UsageError(f"two result files are named {path.stem}")
    frames = [_rows(path).assign(file=path.stem) for path in paths]
    results = prepare(pd.concat(frames, ignore_index=True))
    for problem, runs in results.groupby("problem", sort=False):
        if line := what_is_below(problem, runs):
            say_once(line)
    return results


def what_is_below(problem, runs):
    """Which run is below the reference minimum by more than errors explain; "" if none."""
    gaps = runs["objective_suboptimality"]
    error = VALUE_TOLERANCE * np.maximum(1, runs["objective_value"].abs())
    below = gaps + error + accuracy_of_reference(runs) < 0
    if not below.any():
        return ""
    lowest = runs.loc[gaps[below].idxmin()]
    return (
        f"{lowest['file']}: {lowest['solver']} is {-gaps.min():.1e} below the "
        f"reference minimum of {problem}, which is of other data or a higher one: "
        "`python -m benchmark_bilevel reference --start-from` this file looks again."
    )


def best_points(path, problem, dataset):
    """The x of the lowest ends on the data set of that name, one a setting of `problem`.

    Which setting `problem` has is not asked: where h is lower counts, from any start.
    """
    results = read([path])
    if "final_results" not in results:
        return []
    results = results[
        (results["p_obj_problem"] == problem.name)
        & (results["dataset_name"].map(base_name) == dataset)
        & results["final_results"].map(lambda final: isinstance(final, dict))
        & results["objective_value"].notna()
    ]
    lowest = results.groupby(["dataset_name", "objective_name"])["objective_value"]
    points = [final.get("x") for final in results.loc[lowest.idxmin(), "final_results"]]
    return [x for x in points if np.shape(x) == (problem.dim_x,)]


def _rows(path):
    if path.suffix != ".parquet":
        raise click.ClickException(f"{path} is not a parquet file of benchopt's.")
    try:
        # benchopt refuses pickles of anything but plain containers and arrays.
        rows = read_results(path)
    except Exception as error:  # whatever a damaged or hostile file leads to
        reason = str(error).partition("\n")[0] or type(error).__name__
        # The path is said already, and nobody is to allow what was refused.
        reason = reason.rpartition(f"'{path}': ")[2].partition(". Add it to")[0]
        raise click.ClickException(f"{path} cannot be read: {reason}") from error
    missing = [name for name in NEEDED if name not in rows]
    if missing:
        raise click.ClickException(
            f"{path} is not a result file of this benchmark: it has no column "
            f"{', '.join(missing)}."
        )
    # Each text once, however many rows have it; a file may have categories already.
    for name, kind in rows.dtypes.items():
        if isinstance(kind, pd.StringDtype | pd.CategoricalDtype):
            rows[name] = rows[name].astype("category").astype(object)
    if rows.empty:
        raise click.ClickException(f"{path} has no rows: nothing has run.")
    for name in TEXTS:
        if not rows[name].map(lambda value: isinstance(value, str)).all():
            raise click.ClickException(f"{path}: column {name} is not text throughout.")
    for name in {*NUMBERS} & {*rows}:
        try:
            rows[name] = rows[name].astype(float)
        except (TypeError, ValueError) as error:
            raise click.ClickException(
                f"{path}: column {name} is not numbers throughout."
            ) from error
    if not rows["idx_rep"].between(0, 2**53).all() or (rows["idx_rep"] % 1).any():
        raise click.ClickException(f"{path}: column idx_rep is not of numbers of runs.")
    for name in {*COSTS} & {*rows}:
        if (rows[name] < 0).any():
            raise click.ClickException(f"{path}: column {name} has negative numbers.")
    if "stop_val" in rows:  # who has sorted them otherwise gets the same pages
        run = rows.groupby(CELL, sort=False, dropna=False).ngroup()
        points = pd.to_numeric(rows["stop_val"], errors="coerce")
        rows = rows.iloc[np.lexsort((points, run))]
    # The copy is one table again, where pandas had each changed column by itself.
    return rows.astype({"idx_rep": int}).copy()
