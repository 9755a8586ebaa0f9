"""What it costs to reach a target: tables, performance profiles, distributions.

A target is a fraction of the initial suboptimality. Problems without a reference
minimum have no suboptimality and no targets; they are left out of what compares over
problems.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark_bilevel.report.look import power
from benchmark_bilevel.report.metrics import AXES
from benchmark_bilevel.report.results import (
    RUN,
    Ends,
    accuracy_of_reference,
    ends_by_variant,
    prepare,
    remembered,
    runs_of,
)
from benchmark_bilevel.search.statistics import resolution

TARGETS = tuple(10.0**-k for k in range(1, 7))
# The distribution over targets wants many, as in COCO.
FINE_TARGETS = tuple(np.logspace(-1, -6, 26))
PER_DECADE = 25  # points of a distribution
KEYS = ["problem", "solver", "label", "variant", "idx_rep"]


@remembered
def reached(results, targets=TARGETS):
    """Costs at which each target is reached, one row a run and target.

    Between two evaluations, one above and one below the target, the logarithm of the
    lowest suboptimality so far is linear in that of the cost. A run that diverged
    reaches no target, whatever it passed on its way. One that a deadline cut is left
    out, as is one of which no suboptimality is known.

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
    known = (results["end"] != "cut") & results["objective_suboptimality"].notna()
    columns = ["objective_suboptimality", "objective_iterations"]
    columns += [column for column, _ in AXES.values()]
    rows = []
    for keys, run in runs_of(results[known], [*KEYS, "end"], columns):
        gaps, iterations, *costs = run.T
        costs[0] = np.where(iterations == 0, 0.0, costs[0])
        gaps = np.maximum(gaps, lowest[keys[0]])
        diverged = keys[-1] == "diverged"
        # Once below a target is enough, as in COCO: the running minimum decides.
        best = np.minimum.accumulate(gaps)
        final = math.inf if diverged else gaps[-1]
        for target in targets:
            goal = -math.inf if diverged else target * gaps[0]
            spent = (_cost_of(goal, best, cost) for cost in costs)
            rows.append((*keys[:-1], target, final, gaps[0], *spent))
    numbers = ["target", "final", "initial", *AXES]
    # Without a row pandas would not know that these are numbers.
    return pd.DataFrame(rows, columns=[*KEYS, *numbers]).astype(
        dict.fromkeys(numbers, float)
    )


def _cost_of(goal, best, costs):
    """The cost at which `best`, which decreases, is at `goal`: inf if it never is.

    NaN where costs are not counted, as a plain solver's.
    """
    if np.isnan(costs).all():
        return math.nan
    k = int(np.searchsorted(-best, -goal))
    if k == len(best):
        return math.inf
    if k == 0 or best[k] == goal:
        return costs[k]
    share = math.log(best[k - 1] / goal) / math.log(best[k - 1] / best[k])
    if costs[k - 1] <= 0:  # the start has no logarithm
        return share * costs[k]
    return costs[k - 1] * (costs[k] / costs[k - 1]) ** share


def target_text(target):
    """Such as ``"10⁻²"``."""
    return power(round(math.log10(target)))


@remembered
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


def rank_key(runs):
    """By what parameters rank: a run that diverged, the median end, then the cost.

    Where several end at rounding, the calls to the hardest target of `runs`, rows of
    `reached` of one choice of parameters, decide.
    """
    finals = runs["final"]
    hardest = (runs["target"] == runs["target"].min()) & np.isfinite(finals)
    calls = runs["oracle calls"][hardest].median()
    calls = math.inf if math.isnan(calls) else calls
    return bool(np.isinf(finals).any()), surviving(finals), calls


def best_variants(results, targets):
    """The rows of `reached` with each solver's best parameters on each problem.

    The best are the first by `rank_key` of all `TARGETS`, whatever the `targets`; a
    solver's cost of finding them is not in the figures that use this.
    """
    best, table = {}, reached(results)
    for (problem, solver, variant), runs in table.groupby(
        ["problem", "solver", "variant"], sort=False
    ):
        key = rank_key(runs)
        if (problem, solver) not in best or key < best[problem, solver][0]:
            best[problem, solver] = key, variant
    chosen = pd.MultiIndex.from_tuples(
        [(problem, variant) for (problem, _), (_, variant) in best.items()],
        names=["problem", "variant"],
    )
    table = reached(results, targets)
    return table[pd.MultiIndex.from_frame(table[["problem", "variant"]]).isin(chosen)]


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
