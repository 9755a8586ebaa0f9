"""What compares over problems: performance profiles, distributions over targets.

Problems without a reference minimum are left out.
"""

import math
from typing import NamedTuple

import numpy as np

from benchmark_bilevel.report.metrics import AXES
from benchmark_bilevel.report.results import RUN, Ends, ends_by_variant, prepare
from benchmark_bilevel.report.tables import best_rows
from benchmark_bilevel.report.targets import (
    FINE_TARGETS,
    TARGETS,
    reached,
    with_reference,
)
from benchmark_bilevel.search.statistics import resolution

PER_DECADE = 25  # points of a distribution


def best_variants(results, targets):
    """The rows of `reached` with each solver's best parameters, those of its `best_rows`.

    A solver's cost of finding them is not in the figures that use this.
    """
    table = reached(results, targets)
    best = {
        (problem, name)
        for problem in table["problem"].unique()
        for name in best_rows(results, problem)["name"]
    }
    keys = zip(table["problem"], table["variant"], strict=True)
    return table[np.array([key in best for key in keys], bool)]


def resolutions(results):
    """From each problem with a reference to the factor that a cost there is known within.

    The largest of all runs with the best parameters, `statistics.resolution`.
    """
    best = best_variants(results, TARGETS[:1])[["problem", "variant"]].drop_duplicates()
    known = with_reference(results).dropna(subset="objective_suboptimality")
    runs = known.merge(best).dropna(subset="objective_oracle_calls")
    factors = runs.groupby(RUN)["objective_oracle_calls"].agg(resolution)
    return factors.groupby("problem").max().to_dict()


class Distribution(NamedTuple):
    """Shares of a solver's runs at common costs `x`, and how all these runs ended."""

    x: np.ndarray
    share: np.ndarray
    ends: Ends
    budgets: tuple = ()  # median costs at the ends of the runs on each problem


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
    table = best_variants(results, (target,))
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
    table = best_variants(results, FINE_TARGETS)
    ends = prepare(results).drop_duplicates(RUN, keep="last")
    ends = ends[ends["end"] == "budget"].groupby(["problem", "variant"])
    budgets = ends[AXES[axis][0]].median().dropna().to_dict()
    found = _distributions(results, table, axis, last=max(budgets.values(), default=0))
    for solver, rows in table.groupby("solver"):
        keys = rows.drop_duplicates(["problem", "variant"])[["problem", "variant"]]
        own = [budgets[key] for key in keys.itertuples(index=False) if key in budgets]
        if solver in found:
            found[solver] = found[solver]._replace(budgets=tuple(sorted(own)))
    return found


def _distributions(results, table, column, start=None, last=0.0):
    """Share of the rows of each solver at or below common values of `column`.

    Every problem weighs the same, and one where a solver was not run counts against it.
    Solvers whose cost is not counted are left out. The costs go to `last` at least.
    """
    n_problems = table["problem"].nunique()
    table = table[table[column].notna()]
    finite = table[column][np.isfinite(table[column])].to_numpy()
    if not finite.size:
        return {}
    if start is None:
        start = max(finite[finite > 0].min(initial=math.inf), 1e-12)
        if start == math.inf:  # nothing has a cost
            return {}
    # Repetitions can beat the fastest median: what is below the start counts there.
    end = max(finite.max(), 10 * start, last)
    grid = np.geomspace(start, end, 1 + math.ceil(PER_DECADE * math.log10(end / start)))
    grid[[0, -1]] = start, end
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
