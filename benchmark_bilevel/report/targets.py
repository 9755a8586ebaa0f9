"""What it costs to reach a target: tables, performance profiles, distributions.

A target is a fraction of the initial suboptimality. Problems without a reference
minimum have no suboptimality and no targets; they are left out of what compares over
problems.
"""

import math

import numpy as np
import pandas as pd

from benchmark_bilevel.report.curves import AXES, common_grid, quantile
from benchmark_bilevel.report.results import accuracy_of_reference, prepare, remembered

TARGETS = tuple(10.0**-k for k in range(1, 7))
# The distribution over targets wants many, as in COCO.
FINE_TARGETS = tuple(np.logspace(-1, -6, 26))
RUN = ["problem", "solver", "label", "solver_name", "idx_rep"]
# What else a problem may measure, and what the tables call it.
FURTHER = {
    "corrupted_auc": "AUC of −x",
    "retrained_validation_accuracy": "Retrained: validation accuracy",
    "retrained_test_accuracy": "Retrained: test accuracy",
}


@remembered
def reached(results, targets=TARGETS):
    """Costs of the first point at or below each target, one row a run and target.

    Parameters
    ----------
    results : DataFrame
    targets : sequence of float
        Fractions of the suboptimality at the run's first point.

    Returns
    -------
    DataFrame
        Columns of `RUN`, ``target``, ``final`` (suboptimality at the end; inf if the
        run diverged), ``initial`` and one column for each key of `AXES`: inf if the
        target was not reached.
    """
    results = with_reference(results).sort_values("stop_val", kind="stable")
    lowest = {
        problem: accuracy_of_reference(runs)
        for problem, runs in results.groupby("problem")
    }
    rows = []
    needed = ["failed", "objective_suboptimality"]
    needed += [column for column, _ in AXES.values()]
    for keys, run in results.groupby(RUN, sort=False)[needed]:
        diverged, gaps, *costs = run.to_numpy(float).T
        diverged, known = bool(diverged[-1]), np.isfinite(gaps)
        gaps = np.maximum(gaps[known], lowest[keys[0]])
        costs = [cost[known] for cost in costs]
        # Once below a target is enough, as in COCO: the running minimum decides.
        best = np.minimum.accumulate(gaps)
        final = math.inf if diverged else gaps[-1]
        for target in targets:
            first = int(np.searchsorted(-best, -target * gaps[0]))
            found = first < len(best)
            cost = [cost[first] if found else math.inf for cost in costs]
            rows.append((*keys, target, final, gaps[0], *cost))
    numbers = ["target", "final", "initial", *AXES]
    # Without a row pandas would not know that these are numbers.
    return pd.DataFrame(rows, columns=[*RUN, *numbers]).astype(
        dict.fromkeys(numbers, float)
    )


def with_reference(results):
    """The rows of problems that have a suboptimality."""
    results = prepare(results)
    has = results.groupby("problem")["objective_suboptimality"].transform("count") > 0
    return results[has]


def best_variants(table):
    """The rows of `reached` with each solver's best parameters on each problem.

    The best have the lowest median of the final suboptimality; a solver's cost of
    finding them is not in the figures that use this.
    """
    keys = ["problem", "solver", "label"]
    median = table.groupby(keys, sort=False)["final"].median().rename("median")
    order = median.reset_index().sort_values("median", kind="stable")
    best = order.drop_duplicates(["problem", "solver"])[keys]
    chosen = pd.MultiIndex.from_frame(best)
    return table[pd.MultiIndex.from_frame(table[keys]).isin(chosen)].copy()


def performance_profile(results, target, axis):
    """Dolan and Moré's profile: share of runs solved within a factor of the fastest.

    A run of a solver on a problem is compared with the fastest solver's median there; a
    problem on which no solver reaches the target counts as unsolved by all.

    Parameters
    ----------
    results : DataFrame
    target : float
        Fraction of the initial suboptimality.
    axis : str
        Key of `AXES`: the cost.

    Returns
    -------
    dict
        From a solver's name to (factors, shares), both arrays; shares step up.
    """
    table = best_variants(reached(results, (target,)))
    medians = table.groupby(["problem", "solver"])[axis].median()
    fastest = table["problem"].map(medians.groupby("problem").min())
    # inf / inf, where nothing reaches the target, is an infinite factor.
    table["factor"] = (table[axis] / fastest).fillna(math.inf)
    return _distributions(table, "factor", start=1.0)


def empirical_distribution(results, axis):
    """COCO's distribution: the share of (problem, run, target) reached within a cost.

    Returns
    -------
    dict
        From a solver's name to (costs, shares), both arrays.
    """
    table = best_variants(reached(results, FINE_TARGETS))
    return _distributions(table, axis)


def _distributions(table, column, start=None):
    """Share of the rows of each solver at or below common values of `column`.

    Every problem weighs the same, and one where a solver was not run counts against it.
    """
    finite = table[column][np.isfinite(table[column])].to_numpy()
    if not finite.size:
        return {}
    if start is None:
        start = max(finite[finite > 0].min(initial=math.inf), 1e-12)
    # Repetitions can beat the fastest median: what is below the start counts there.
    end = max(finite.max(), start * 10)
    grid = common_grid([(np.array([start, end]), None, False)], per_decade=25)[1:]
    n_problems = table["problem"].nunique()
    found = {}
    for solver, rows in table.groupby("solver", sort=False):
        shares = [
            (np.sort(costs.to_numpy())[:, None] <= grid).mean(axis=0)
            for _, costs in rows.groupby("problem")[column]
        ]
        found[solver] = grid, np.sum(shares, axis=0) / n_problems
    return found


def summary(results, problem):
    """A row for each solver on `problem`: values at the end, and costs of the targets.

    Returns
    -------
    DataFrame
        ``label``, ``solver``, ``name`` (full), ``n_runs``, ``n_diverged``; ``value``,
        ``test_accuracy``, ``test_loss``, those of `FURTHER` that the problem measures
        and ``median`` (suboptimality), medians at the end; ``best`` suboptimality of
        any run; ``initial``; then (axis, target) with median costs. Sorted by
        ``median``, or by ``value`` without a reference.
    """
    results = prepare(results)
    runs = results[results["problem"] == problem].sort_values("stop_val", kind="stable")
    lowest = accuracy_of_reference(runs)
    table = reached(runs) if runs["objective_suboptimality"].notna().any() else None
    columns = runs.columns[runs.notna().any()]
    further = [name for name in FURTHER if f"objective_{name}" in columns]
    rows = []
    for name, group in runs.groupby("solver_name", sort=False):
        last = group.groupby("idx_rep").last(skipna=False)
        diverged = last["failed"]
        row = {
            "label": group["label"].iloc[0],
            "solver": group["solver"].iloc[0],
            "name": name,
            "n_runs": len(last),
            "n_diverged": int(diverged.sum()),
        }
        for metric, worst in (
            ("value", math.inf),
            ("test_accuracy", -math.inf),
            ("test_loss", math.inf),
            *((name, -math.inf) for name in further),
        ):
            ends = last[f"objective_{metric}"].where(~diverged, worst)
            row[metric] = float(quantile(ends.to_numpy(float), 0.5))
        if table is not None:
            own = table[table["solver_name"] == name]
            ends = own.drop_duplicates("idx_rep")
            row["initial"] = ends["initial"].iloc[0]
            row["median"] = float(quantile(ends["final"].to_numpy(), 0.5))
            row["best"] = max(group["objective_suboptimality"].min(), lowest)
            for axis in AXES:
                for target, costs in own.groupby("target")[axis]:
                    row[axis, target] = float(quantile(costs.to_numpy(), 0.5))
        rows.append(row)
    return pd.DataFrame(rows).sort_values(
        "value" if table is None else "median", kind="stable", ignore_index=True
    )


def sensitivity(results, problem):
    """Final suboptimality against the step size, at the best other parameters.

    Returns
    -------
    dict
        From a solver's name to arrays (step sizes, medians, low, high); infinite where
        runs diverged.
    """
    runs = with_reference(results)
    runs = runs[runs["problem"] == problem]
    found = {}
    if runs.empty:
        return found
    ends = reached(runs, (0.1,)).set_index("solver_name")
    steps = runs.drop_duplicates("solver_name").set_index("solver_name")
    ends["step"] = steps["p_solver_step_size"].astype(float)
    for solver, rows in ends.groupby("solver", sort=False):
        points = []
        for step, variants in rows.groupby("step"):
            finals = [
                group.to_numpy() for _, group in variants.groupby("label")["final"]
            ]
            best = min(finals, key=lambda final: quantile(final, 0.5))
            points.append((step, *(quantile(best, q) for q in (0.5, 0.2, 0.8))))
        found[solver] = tuple(np.array(points, float).T)
    return found
