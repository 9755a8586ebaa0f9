"""What may be said of repetitions and of trials: pure functions of arrays of ends.

An *end* is the last value of a run, lower is better; NaN or infinity is a divergence.
All are tested against values computed by hand or by enumeration.

- `summarise(ends)` → `Summary`: median and 20–80 % band of the runs that survived, and
  the share that diverged, which is to stand beside them.
- `ranks({name: Summary})` → ``{name: rank}``, by the median: a rank is lost to those
  alone whose band is apart; equal ranks are ties, and are to be called so.
- `expected_best(ends_of_trials)` → mean and quantiles of the best after k = 1, 2, …
- `share_within(ends_of_trials)` → sensitivity: the share within a factor 2 of the best.
- `resolution(costs)` → the factor by which a cost read off a run may be wrong.

Trials are in ``results/search/*.parquet``, which `store.Store` reads: its columns
``suboptimality`` (``score`` where h* is unknown) of stage "tuning" and seed 0 are the
ends of all trials; stages "defaults" and "transfer from …" those of other parameters.
"""

import math
from typing import NamedTuple

import numpy as np

BAND = (0.2, 0.8)
# Where a run has got somewhere, as a share of its cost.
EARLY = 0.05


class Summary(NamedTuple):
    """The repetitions of one solver with one choice of parameters."""

    median: float  # of the survivors, as are the edges; NaN without any
    low: float
    high: float
    n_runs: int
    n_diverged: int


def summarise(ends, band=BAND):
    """The `Summary` of the ends of at least one run."""
    ends = np.asarray(ends, float)
    alive = ends[np.isfinite(ends)]
    quantiles = np.full(3, np.nan)
    if alive.size:
        quantiles = np.quantile(alive, (0.5, *band))
    return Summary(*map(float, quantiles), ends.size, ends.size - alive.size)


def is_better(one, other):
    """Whether seeds separate `one` from `other`: its whole band is below.

    What diverges on any seed is worse than what never does.
    """
    if (one.n_diverged > 0) != (other.n_diverged > 0):
        return one.n_diverged == 0
    return one.high < other.low


def ranks(summaries):
    """From each name, by the median, to 1 + the number of those that are better.

    `is_better` decides. What lies before a tied one shares its rank, though its own
    band may be narrower.
    """
    names = sorted(summaries, key=lambda name: _order(summaries[name]))
    found, least = {}, math.inf
    for name in reversed(names):
        own = summaries[name]
        better = sum(is_better(other, own) for other in summaries.values())
        found[name] = least = min(least, 1 + better)
    return {name: found[name] for name in names}


def _order(summary):
    median = math.inf if math.isnan(summary.median) else summary.median
    return summary.n_diverged > 0, median


class Best(NamedTuple):
    """The best end after 1, 2, …, n trials in random order, arrays of shape (n,).

    Infinity where a trial that diverged may be the best there is.
    """

    mean: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray


def expected_best(ends, band=BAND):
    """How good a search gets with its number of trials.

    With s₁ ≤ … ≤ sₙ the ends of n trials, the best of k of them, drawn without
    replacement, exceeds s_i with probability C(n − i, k) / C(n, k). (Dodge et al., "Show
    your work", EMNLP 2019, draw with replacement, where the mean is biased; Tang et al.,
    "Showing your work doesn't always work", ACL 2020.)

    Parameters
    ----------
    ends : array of shape (n,)
        What diverged is worse than all others.
    band : tuple
        Shares of the lower and the upper quantile.

    Returns
    -------
    Best
    """
    ends = np.asarray(ends, float)
    ordered = np.sort(np.where(np.isfinite(ends), ends, np.inf))
    n = ordered.size
    above = np.array(
        [
            [math.comb(n - i, k) / math.comb(n, k) for i in range(n + 1)]
            for k in range(1, n + 1)
        ]
    )
    weights = above[:, :-1] - above[:, 1:]  # P(best = s_i)
    # 0 · inf is nothing here: the best is not that trial.
    terms = np.where(weights > 0, ordered, 0.0) * weights
    quantiles = [
        ordered[[np.searchsorted(1 - row[1:], share - 1e-12) for row in above]]
        for share in (0.5, *band)
    ]
    return Best(terms.sum(axis=1), *quantiles)


def share_within(ends, factor=2.0):
    """Share of the trials that end within `factor` of the best; 0 if all diverged.

    Parameters
    ----------
    ends : array
        Positive, as a suboptimality is.
    factor : float
    """
    ends = np.asarray(ends, float)
    ends = np.where(np.isfinite(ends), ends, np.inf)
    best = ends.min()
    return float(np.mean(ends <= factor * best)) if np.isfinite(best) else 0.0


def resolution(costs):
    """The largest factor between costs at which a run was evaluated, one after another.

    A cost to a target is known within this factor, since the target may have been
    reached just after the evaluation before. The first 5 % of the run do not count: what
    was known in them counts as known at their end.

    Parameters
    ----------
    costs : array
        Increasing; of the evaluations of which the metric is known. If all are 0 the
        factor is 1.
    """
    costs = np.asarray(costs, float)
    start = EARLY * costs[-1]
    late = np.append(start, costs[costs > start])
    return float((late[1:] / late[:-1]).max(initial=1.0))
