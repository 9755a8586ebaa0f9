"""Median curves and quantile bands of a metric over the repetitions of a solver."""

import math
from typing import NamedTuple

import numpy as np

from benchmark_bilevel.report.results import accuracy_of_reference, prepare, remembered

QUANTILES = (0.2, 0.8)
BAND = "median and 20–80 % quantiles over repetitions"
PER_DECADE = 10
# Between two evaluations of a run the cost grows by this factor at most.
EVALUATION_INTERVAL = 10 ** (1 / 8)
# Runs that blow up would flatten all others: this many times what is usual is the top.
HEADROOM = 10.0


class Metric(NamedTuple):
    """A column of the result file, and how to draw it."""

    column: str
    title: str
    scale: str = "loglog"
    worst: float = math.inf  # what a run that diverged counts as


METRICS = {
    "suboptimality": Metric("objective_suboptimality", "suboptimality h(x) − h*"),
    "hypergradient_norm": Metric(
        "objective_hypergradient_norm", "hypergradient ‖∇h(x)‖"
    ),
    "inner_distance": Metric("objective_inner_distance", "inner distance ‖z − z*(x)‖"),
    "test_accuracy": Metric(
        "objective_test_accuracy", "test accuracy", "semilog-x", -math.inf
    ),
    "test_loss": Metric("objective_test_loss", "test loss", "semilog-x"),
    "value": Metric("objective_value", "value function h(x)", "semilog-x"),
}
AXES = {
    "seconds": ("time", "solver time [s]"),
    "oracle calls": ("objective_oracle_calls", "oracle calls [per-sample evaluations]"),
}


class Curve(NamedTuple):
    """Quantiles over the repetitions of one solver, on a common grid `x`."""

    label: str
    solver: str
    name: str
    rank: tuple  # among the variants of this solver: (index, number)
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_runs: int
    n_diverged: int

    @property
    def title(self):
        """The label, and what became of the repetitions."""
        if not self.n_diverged:
            return self.label
        if self.n_diverged == self.n_runs:
            return f"{self.label} (diverged)"
        return f"{self.label} ({self.n_diverged} of {self.n_runs} diverged)"

    @property
    def diverged(self):
        """Whether the median ends by divergence and not by the budget."""
        return 2 * self.n_diverged > self.n_runs


@remembered
def curves(results, problem, metric, axis):
    """The curves of all solvers on `problem`; none for a solver without this metric.

    Parameters
    ----------
    results : DataFrame
    problem : str
        One of `results.problems`.
    metric : str
        Key of `METRICS`.
    axis : str
        Key of `AXES`.

    Returns
    -------
    list of Curve
    """
    results = prepare(results)
    runs = results[results["problem"] == problem]
    metric, (axis_column, _) = METRICS[metric], AXES[axis]
    by_solver = [
        (name, split_runs(group, axis_column, metric.column))
        for name, group in runs.groupby("solver_name", sort=False)
    ]
    drawn = [(name, group) for name, group in by_solver if _has_values(group)]
    lowest, highest = _range([run for _, group in drawn for run in group])
    if metric.column == "objective_suboptimality":
        lowest = accuracy_of_reference(runs)
    first = runs.drop_duplicates("solver_name").set_index("solver_name")
    found = []
    for name, group in drawn:
        quantiles = aggregate(group, metric.worst, lowest, highest)
        siblings = [k for k, _ in drawn if first.solver[k] == first.solver[name]]
        found.append(
            Curve(
                first.label[name],
                first.solver[name],
                name,
                (siblings.index(name), len(siblings)),
                *quantiles,
                len(group),
                sum(diverged for *_, diverged in group),
            )
        )
    return found


def split_runs(rows, axis_column, column):
    """One tuple (x, y, diverged) for each repetition in `rows`, x increasing.

    Points without the metric (it may be costly, and thinned) are left out.
    """
    needed = [axis_column, column, "failed", "objective_iterations"]
    runs = []
    for _, run in rows.sort_values("stop_val").groupby("idx_rep")[needed]:
        x, y, diverged, iterations = run.to_numpy(float).T
        # benchopt's clock shows some microseconds before the first iteration.
        x = np.where(iterations == 0, 0.0, x)
        known, diverged = np.isfinite(y), bool(diverged[-1])
        if diverged:  # its end is kept, as a point without a value
            known[-1], y[-1] = True, np.nan
        if known.any():
            runs.append((x[known], y[known], diverged))
    return runs


def _has_values(runs):
    return any(np.isfinite(y).any() for _, y, _ in runs)


def aggregate(runs, worst=math.inf, lowest=-math.inf, highest=math.inf):
    """Quantiles of step functions on a common grid.

    A run's value at x is that of its last evaluation at or before x: nothing is
    interpolated towards a value which it had not reached. The grid is geometric. All
    runs count at all of its points, so that no run's end moves the median: see
    `common_grid`. A run that diverged has no end: from there on it counts as `worst`.

    Parameters
    ----------
    runs : list of (x, y, diverged)
    worst : float
    lowest, highest : float
        Values are clipped to these.

    Returns
    -------
    x, median, low, high : arrays
        They end where the median does, when most runs diverged.
    """
    grid = common_grid(runs)
    values = np.array([_resample(run, grid, worst) for run in runs])
    low, median, high = (quantile(values, q) for q in (QUANTILES[0], 0.5, QUANTILES[1]))
    kept = np.isfinite(median)
    kept = np.logical_and.accumulate(kept)
    bounds = (np.clip(part[kept], lowest, highest) for part in (median, low, high))
    return grid[kept], *bounds


def common_grid(runs, per_decade=PER_DECADE):
    """0, then a geometric grid up to the end of the runs that end by their budget.

    Budgets are exceeded a little, by each run differently. Runs that end less than an
    evaluation before the last one keep their last value until there; if one ends
    earlier than that, the grid ends with it.
    """
    ends = [x[-1] for x, _, diverged in runs if not diverged]
    ends = ends or [max(x[-1] for x, _, _ in runs)]
    end = min(ends)
    if max(ends) < EVALUATION_INTERVAL * end:
        end = max(ends)
    positive = np.concatenate([x[x > 0] for x, _, _ in runs])
    if not end > 0:
        return np.zeros(1)
    start = min(positive.min(), end)
    n_points = 1 + math.ceil(per_decade * math.log10(end / start))
    grid = np.geomspace(start, end, n_points)
    grid[0], grid[-1] = start, end
    return np.concatenate([[0.0], grid])


def _resample(run, grid, worst):
    x, y, _ = run
    last = np.searchsorted(x, grid, side="right") - 1
    values = y[np.maximum(last, 0)]  # before its first evaluation a run is at its start
    return np.where(np.isnan(values), worst, values)


def quantile(values, q):
    """Quantile over the first axis, by linear interpolation; infinities are allowed."""
    ordered = np.sort(values, axis=0)
    position = q * (len(ordered) - 1)
    below, above = ordered[math.floor(position)], ordered[math.ceil(position)]
    weight = position - math.floor(position)
    with np.errstate(invalid="ignore"):
        between = below + weight * (above - below)
    settled = (weight == 0) | (below == above) | np.isneginf(below)
    return np.where(settled, below, between)


def _range(runs):
    """What to draw: all values but those far above the starts and most runs' maxima."""
    values = np.concatenate([*(y for _, y, _ in runs), np.empty(0)])
    values = values[np.isfinite(values)]
    if not values.size:
        return -math.inf, math.inf
    starts = [y[0] for _, y, _ in runs if np.isfinite(y[0])]
    maxima = sorted(np.max(y) for _, y, diverged in runs if not diverged)
    usual = maxima[(len(maxima) - 1) // 2 :][:1]
    highest = max([*starts, *usual], default=values.max())
    return values.min(), highest + (HEADROOM - 1) * abs(highest)
