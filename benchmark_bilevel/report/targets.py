"""What it costs to reach a target: tables, performance profiles, distributions.

A target is a fraction of the initial suboptimality. Problems without a reference
minimum have no suboptimality and no targets; they are left out of what compares over
problems.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark_bilevel.report.curves import AXES, geometric_grid
from benchmark_bilevel.report.results import (
    Ends,
    accuracy_of_reference,
    ends_by_variant,
    prepare,
    remembered,
)

TARGETS = tuple(10.0**-k for k in range(1, 7))
# The distribution over targets wants many, as in COCO.
FINE_TARGETS = tuple(np.logspace(-1, -6, 26))
KEYS = ["problem", "solver", "label", "variant", "idx_rep"]


@remembered
def reached(results, targets=TARGETS):
    """Costs of the first point at or below each target, one row a run and target.

    A run that diverged reaches no target, whatever it passed on its way. One that a
    deadline cut is left out, as is one of which no suboptimality is known.

    Parameters
    ----------
    results : DataFrame
    targets : sequence of float
        Fractions of the suboptimality at the run's first point.

    Returns
    -------
    DataFrame
        Columns of `KEYS`, ``target``, ``final`` (suboptimality at the end; inf if the
        run diverged), ``initial`` and one column for each key of `AXES`: inf if the
        target was not reached.
    """
    results = with_reference(results)
    lowest = {
        problem: accuracy_of_reference(runs)
        for problem, runs in results.groupby("problem")
    }
    results = results[
        (results["end"] != "cut") & results["objective_suboptimality"].notna()
    ]
    columns = ["objective_suboptimality", *(column for column, _ in AXES.values())]
    rows = []
    for keys, run in results.groupby([*KEYS, "end"], sort=False):
        gaps, *costs = run[columns].to_numpy(float).T
        gaps = np.maximum(gaps, lowest[keys[0]])
        diverged = keys[-1] == "diverged"
        # Once below a target is enough, as in COCO: the running minimum decides.
        best = np.minimum.accumulate(gaps)
        final = math.inf if diverged else gaps[-1]
        for target in targets:
            first = int(np.searchsorted(-best, -target * gaps[0]))
            found = first < len(best) and not diverged
            spent = (_cost(cost, first) if found else _cost(cost) for cost in costs)
            rows.append((*keys[:-1], target, final, gaps[0], *spent))
    numbers = ["target", "final", "initial", *AXES]
    # Without a row pandas would not know that these are numbers.
    return pd.DataFrame(rows, columns=[*KEYS, *numbers]).astype(
        dict.fromkeys(numbers, float)
    )


def _cost(costs, k=None):
    """The k-th of a run's costs; NaN where they are not counted, as a plain solver's."""
    if np.isnan(costs).all():
        return math.nan
    return math.inf if k is None else costs[k]


def with_reference(results):
    """The rows of problems that have a suboptimality."""
    results = prepare(results)
    has = results.groupby("problem")["objective_suboptimality"].transform("count") > 0
    return results[has]


def surviving(values, q=0.5):
    """Quantile of the finite ends, those of runs that did not diverge; else inf."""
    values = np.asarray(values, float)
    finite = values[np.isfinite(values)]
    return float(np.quantile(finite, q)) if finite.size else math.inf


def rank_key(finals):
    """By what parameters and solvers rank: a run that diverged, then the median end."""
    return bool(np.isinf(finals).any()), surviving(finals)


def best_variants(table):
    """The rows of `reached` with each solver's best parameters on each problem.

    The best are the first by `rank_key`; a solver's cost of finding them is not in the
    figures that use this.
    """
    best = {}
    for (problem, solver, variant), runs in table.groupby(
        ["problem", "solver", "variant"], sort=False
    ):
        key = rank_key(runs["final"])
        if (problem, solver) not in best or key < best[problem, solver][0]:
            best[problem, solver] = key, variant
    chosen = pd.MultiIndex.from_tuples(
        [(problem, variant) for (problem, _), (_, variant) in best.items()],
        names=["problem", "variant"],
    )
    return table[pd.MultiIndex.from_frame(table[["problem", "variant"]]).isin(chosen)]


class Distribution(NamedTuple):
    """Shares of a solver's runs at common costs `x`, and how all these runs ended."""

    x: np.ndarray
    share: np.ndarray
    ends: Ends


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
        From a solver's name to its `Distribution` over factors.
    """
    table = best_variants(reached(results, (target,)))
    medians = table.groupby(["problem", "solver"])[axis].median()
    fastest = table["problem"].map(medians.groupby("problem").min())
    # inf / inf, where nothing reaches the target, is an infinite factor.
    factors = (table[axis] / fastest).fillna(math.inf).where(table[axis].notna())
    return _distributions(results, table.assign(factor=factors), "factor", start=1.0)


def empirical_distribution(results, axis):
    """COCO's distribution: the share of (problem, run, target) reached within a cost.

    Returns
    -------
    dict
        From a solver's name to its `Distribution` over costs.
    """
    table = best_variants(reached(results, FINE_TARGETS))
    return _distributions(results, table, axis)


def _distributions(results, table, column, start=None):
    """Share of the rows of each solver at or below common values of `column`.

    Every problem weighs the same, and one where a solver was not run counts against it.
    Solvers whose cost is not counted are left out.
    """
    n_problems = table["problem"].nunique()
    table = table[table[column].notna()]
    finite = table[column][np.isfinite(table[column])].to_numpy()
    if not finite.size:
        return {}
    if start is None:
        start = max(finite[finite > 0].min(initial=math.inf), 1e-12)
    # Repetitions can beat the fastest median: what is below the start counts there.
    grid = geometric_grid(start, max(finite.max(), start * 10), per_decade=25)
    ends = ends_by_variant(results)
    found = {}
    for solver, rows in table.groupby("solver", sort=False):
        shares, counts = [], []
        for key, costs in rows.groupby(["problem", "variant"])[column]:
            shares.append((np.sort(costs.to_numpy())[:, None] <= grid).mean(axis=0))
            counts.append(ends[key])
        share = np.sum(shares, axis=0) / n_problems
        found[solver] = Distribution(grid, share, Ends.sum(counts))
    return found
