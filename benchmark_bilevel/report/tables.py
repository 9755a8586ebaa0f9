"""A problem's table, and what the step size does there."""

import math
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark_bilevel.report.metrics import AXES, FURTHER, known
from benchmark_bilevel.report.results import (
    Ends,
    ends_by_variant,
    prepare,
    remembered,
)
from benchmark_bilevel.report.targets import (
    TARGETS,
    reached,
    surviving,
)
from benchmark_bilevel.search.statistics import BAND as QUANTILES
from benchmark_bilevel.search.statistics import Summary, ranks


@remembered
def summary(results, problem):
    """A row for each solver on `problem`: values at the end, and costs of the targets.

    Medians are over the runs that spent their budget: ``ends`` says how many did not.

    Returns
    -------
    DataFrame
        ``rank``, ``label``, ``solver``, ``name`` (with all parameters), ``ends``;
        ``value``, ``test_accuracy``, ``test_loss``, those of `FURTHER` that the problem
        measures, the keys of `AXES` (what was spent) and ``median`` (suboptimality; inf
        if all diverged), medians at the end, with ``low`` and ``high`` (20 and 80 % of
        what they rank by); ``gap``, the final suboptimality relative to the initial
        one; then (axis, target) with median costs, and (axis, target, q) with their
        quantiles. Solvers without a diverged
        run come first, then those with any, each by ``median``, or by ``value`` without
        a reference, equal ones by the calls to the hardest target. Those that seeds do
        not separate share a rank (`statistics.ranks`). Those of which a deadline cut
        all runs are last, and have no rank as those whose h nobody knows.
    """
    results = prepare(results)
    runs = results[results["problem"] == problem]
    ends = ends_by_variant(results)
    has_reference = runs["objective_suboptimality"].notna().any()
    metrics = ("value", "test_accuracy", "test_loss", *known(runs, FURTHER))
    columns = ["variant", "idx_rep", "end", "label", "solver"]
    spending = {axis: column for axis, (column, _) in AXES.items()}
    columns += [f"objective_{metric}" for metric in metrics]
    columns += spending.values()
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
            **{axis: spent[column].median() for axis, column in spending.items()},
        }
        row["low"], row["high"] = spent["objective_value"].quantile(QUANTILES)
        if has_reference:
            own = table[table["variant"] == name]
            finals = own.drop_duplicates("idx_rep")["final"]
            row["median"] = surviving(finals) if len(finals) else math.nan
            row["low"], row["high"] = (surviving(finals, q) for q in QUANTILES)
            gaps = own["final"] / own["initial"]
            row["gap"] = surviving(gaps.where(np.isfinite(own["initial"])))
            row |= {
                (axis, target, *q): found[axis].get((name, target), math.nan)
                for (q, found), axis, target in product(costs.items(), AXES, TARGETS)
            }
        rows.append(row)
    key = "median" if has_reference else "value"
    rows.sort(key=lambda row: _order(row, key))
    return _ranked(pd.DataFrame(rows))


def _ranked(table):
    """`table` with ``rank``: NaN where a deadline cut all runs, or h is unknown."""
    end = "median" if "median" in table else "value"
    bands = table[[end, "low", "high"]].fillna(math.inf).to_numpy()
    found = {
        name: Summary(*band, ends.n_runs, ends.n_diverged)
        for name, band, ends in zip(table["name"], bands, table["ends"], strict=True)
        if ends.n_cut < ends.n_runs and (ends.n_diverged or math.isfinite(band[0]))
    }
    return table.assign(rank=table["name"].map(ranks(found)))


@remembered
def best_rows(results, problem):
    """The rows of `summary` with each solver's best parameters, the best solver first.

    Ranks are among these.
    """
    table = summary(results, problem).drop_duplicates("solver").reset_index(drop=True)
    return _ranked(table)


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
    """By what rows are sorted: cut or diverged ones last, then the end, then the calls."""
    ends = row["ends"]
    numbers = row[key], row.get(("oracle calls", TARGETS[-1]), math.inf)
    numbers = (math.inf if math.isnan(number) else number for number in numbers)
    return ends.n_cut == ends.n_runs, ends.n_diverged > 0, *numbers


class Sensitivity(NamedTuple):
    """Final suboptimality of a solver at increasing steps, each an array."""

    steps: np.ndarray
    median: np.ndarray  # inf where all runs diverged
    low: np.ndarray
    high: np.ndarray
    ends: Ends  # of all runs that these are of


def sensitivity(results, problem):
    """Final suboptimality against the step size, at the best other parameters.

    Those of a solver's best run; what else it ran with says nothing of the step alone.

    Returns
    -------
    dict
        From a solver's name to its `Sensitivity`; empty unless some solver ran with
        several steps and nothing else changed.
    """
    results = prepare(results)
    table = reached(results)
    finals = table[(table["problem"] == problem) & (table["target"] == TARGETS[0])]
    if finals.empty or "p_solver_step_size" not in results:
        return {}
    runs = results[results["problem"] == problem].drop_duplicates("variant")
    runs = runs.set_index("variant").filter(like="p_solver_")
    steps = pd.to_numeric(runs.pop("p_solver_step_size"), errors="coerce").to_dict()
    others = dict(zip(runs.index, map(tuple, runs.astype(str).to_numpy()), strict=True))
    ends = ends_by_variant(results)
    found = {}
    best = best_rows(results, problem).set_index("solver")["name"]
    for solver, rows in finals.groupby("solver", sort=False):
        own = {
            name: finals
            for name, finals in rows.groupby("variant")["final"]
            if others[name] == others[best[solver]] and 0 < steps[name] < math.inf
        }
        names = sorted(own, key=steps.get)
        points = [
            (steps[name], *(surviving(own[name], q) for q in (0.5, *QUANTILES)))
            for name in names
        ]
        if points:
            counts = [ends[problem, name] for name in names]
            found[solver] = Sensitivity(*np.array(points).T, Ends.sum(counts))
    return found if any(len(found[name].steps) > 1 for name in found) else {}
