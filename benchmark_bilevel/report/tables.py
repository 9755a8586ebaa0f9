"""A problem's table, and what the step size does there."""

import math
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark_bilevel.report.curves import QUANTILES
from benchmark_bilevel.report.metrics import AXES, FURTHER, known
from benchmark_bilevel.report.results import (
    Ends,
    ends_by_variant,
    prepare,
    remembered,
)
from benchmark_bilevel.report.targets import (
    TARGETS,
    rank_key,
    reached,
    surviving,
)


@remembered
def summary(results, problem):
    """A row for each solver on `problem`: values at the end, and costs of the targets.

    Medians are over the runs that spent their budget: ``ends`` says how many did not.

    Returns
    -------
    DataFrame
        ``rank``, ``label``, ``solver``, ``name`` (with all parameters), ``ends``;
        ``value``, ``test_accuracy``, ``test_loss``, those of `FURTHER` that the problem
        measures and ``median`` (suboptimality; inf if all diverged), medians at the
        end, with ``low`` and ``high`` (20 and 80 % of what they rank by); ``gap``, the
        final suboptimality relative to the initial one; then (axis, target) with median
        costs, and (axis, target, q) with their quantiles. Solvers without a diverged
        run come first, then those with any, each by ``median``, or by ``value`` without
        a reference. Those of which a deadline cut all runs are last and have no rank.
    """
    results = prepare(results)
    runs = results[results["problem"] == problem]
    ends = ends_by_variant(results)
    has_reference = runs["objective_suboptimality"].notna().any()
    metrics = ("value", "test_accuracy", "test_loss", *known(runs, FURTHER))
    columns = ["variant", "idx_rep", "end", "label", "solver"]
    columns += [f"objective_{metric}" for metric in metrics]
    last = runs[columns].drop_duplicates(["variant", "idx_rep"], keep="last")
    table = reached(results)
    table = table[table["problem"] == problem]
    costs = _costs(table)
    rows = []
    for name, group in last.groupby("variant", sort=False):
        spent = group[group["end"] == "budget"]
        row = {
            "label": group["label"].iloc[0],
            "solver": group["solver"].iloc[0],
            "name": name,
            "ends": ends[problem, name],
            **{metric: spent[f"objective_{metric}"].median() for metric in metrics},
        }
        row["low"], row["high"] = spent["objective_value"].quantile(QUANTILES)
        if has_reference:
            own = table[table["variant"] == name]
            finals = own.drop_duplicates("idx_rep")["final"]
            row["median"] = surviving(finals) if len(finals) else math.nan
            row["low"], row["high"] = (surviving(finals, q) for q in QUANTILES)
            row["gap"] = surviving(own["final"] / own["initial"])
            row |= {
                (axis, target, *q): found[axis].get((name, target), math.nan)
                for (q, found), axis, target in product(costs.items(), AXES, TARGETS)
            }
        rows.append(row)
    rows.sort(key=lambda row: _order(row, "median" if has_reference else "value"))
    for k, row in enumerate(rows):
        cut = row["ends"].n_cut == row["ends"].n_runs
        row["rank"] = math.nan if cut else k + 1
    return pd.DataFrame(rows)


@remembered
def best_rows(results, problem):
    """The rows of `summary` with each solver's best parameters, the best solver first."""
    table = summary(results, problem)
    return table.drop_duplicates("solver").reset_index(drop=True)


def _costs(table):
    """Medians and quantiles of `reached` over the runs that did not diverge.

    Returns
    -------
    dict
        From () for the median, or (q,), to a dict by axis of dicts by (variant, target).
    """
    alive = table[np.isfinite(table["final"])]
    alive = alive.groupby(["variant", "target"])[list(AXES)]
    low, high = QUANTILES
    # There is nothing between a cost and infinity.
    found = {
        (): alive.median(),
        (low,): alive.quantile(low, interpolation="lower"),
        (high,): alive.quantile(high, interpolation="higher"),
    }
    return {q: costs.to_dict() for q, costs in found.items()}


def _order(row, key):
    ends, value = row["ends"], row[key]
    value = math.inf if math.isnan(value) else value
    return ends.n_cut == ends.n_runs, ends.n_diverged > 0, value


class Sensitivity(NamedTuple):
    """Final suboptimality of a solver at increasing steps, each an array."""

    steps: np.ndarray
    median: np.ndarray  # inf where all runs diverged
    low: np.ndarray
    high: np.ndarray
    ends: Ends  # of all runs that these are of


def sensitivity(results, problem):
    """Final suboptimality against the step size, at the best other parameters.

    Returns
    -------
    dict
        From a solver's name to its `Sensitivity`; empty unless some solver ran with
        several steps.
    """
    results = prepare(results)
    table = reached(results)
    finals = table[(table["problem"] == problem) & (table["target"] == TARGETS[0])]
    if finals.empty or "p_solver_step_size" not in results:
        return {}
    runs = results[results["problem"] == problem]
    steps = runs.drop_duplicates("variant").set_index("variant")["p_solver_step_size"]
    steps = pd.to_numeric(finals["variant"].map(steps), errors="coerce")
    finals = finals.assign(step=steps)
    ends = ends_by_variant(results)
    found = {}
    for solver, rows in finals.groupby("solver", sort=False):
        points, counts = [], []
        for step, variants in rows.groupby("step"):
            groups = {name: run["final"] for name, run in variants.groupby("variant")}
            best = min(groups, key=lambda name: rank_key(groups[name]))
            quantiles = (surviving(groups[best], q) for q in (0.5, *QUANTILES))
            points.append((step, *quantiles))
            counts.append(ends[problem, best])
        if points:
            found[solver] = Sensitivity(*np.array(points).T, Ends.sum(counts))
    return found if any(len(found[name].steps) > 1 for name in found) else {}
