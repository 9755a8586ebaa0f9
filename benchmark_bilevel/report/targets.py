"""What it costs to reach a target.

A target is a fraction of the initial suboptimality. Problems without a reference
minimum have no suboptimality and no targets; they are left out of what compares over
problems.
"""

import math

import numpy as np
import pandas as pd

from benchmark_bilevel.report.look import power
from benchmark_bilevel.report.metrics import AXES
from benchmark_bilevel.report.results import (
    accuracy_of_reference,
    prepare,
    remembered,
    runs_of,
)

TARGETS = tuple(10.0**-k for k in range(1, 7))
# The distribution over targets wants many, as in COCO.
FINE_TARGETS = tuple(np.logspace(-1, -6, 26))
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
        nowhere = diverged or not math.isfinite(gaps[0])
        # Once below a target is enough, as in COCO: the running minimum decides.
        best = np.minimum.accumulate(gaps)
        final = math.inf if diverged else gaps[-1]
        for target in targets:
            goal = -math.inf if nowhere else target * gaps[0]
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
