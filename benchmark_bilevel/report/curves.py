"""Median curves and quantile bands of a metric over the repetitions of a solver."""

import math
from typing import NamedTuple

import numpy as np

from benchmark_bilevel.report.results import (
    Ends,
    accuracy_of_reference,
    ends_by_variant,
    prepare,
    remembered,
)

QUANTILES = (0.2, 0.8)
BAND = "median, 20–80 % of the runs that did not diverge"
PER_DECADE = 10
# Fewer known points of a run draw a line where nothing is known.
MIN_POINTS = 4
# Between two evaluations of a run the cost grows by this factor at most.
EVALUATION_INTERVAL = 10 ** (1 / 8)
# Runs that blow up would flatten all others: this many times what is usual is the top.
HEADROOM = 10.0


class Metric(NamedTuple):
    """A column of the result file, and how to draw it."""

    column: str
    title: str
    scale: str = "loglog"


METRICS = {
    "suboptimality": Metric("objective_suboptimality", "suboptimality h(x) − h*"),
    "hypergradient_norm": Metric(
        "objective_hypergradient_norm", "hypergradient ‖∇h(x)‖"
    ),
    "inner_distance": Metric("objective_inner_distance", "inner distance ‖z − z*(x)‖"),
    "test_accuracy": Metric("objective_test_accuracy", "test accuracy", "semilog-x"),
    "test_loss": Metric("objective_test_loss", "test loss", "semilog-x"),
    "value": Metric("objective_value", "value function h(x)", "semilog-x"),
}
# An attacker's aim is the reverse of everybody else's.
ATTACKER = {
    "test_accuracy": "test accuracy, which the attack lowers",
    "test_loss": "test loss, which the attack raises",
}
AXES = {
    "seconds": ("time", "solver time [s]"),
    "oracle calls": ("objective_oracle_calls", "oracle calls [per-sample evaluations]"),
}


class Curve(NamedTuple):
    """Quantiles over the repetitions of one solver, on a common grid `x`.

    They are those of the runs that spent their budget; where all diverged, of these,
    up to the first divergence. A run that a deadline cut is in no quantile. Without a
    run of `MIN_POINTS` the curve has no points, and its title says why.
    """

    label: str
    solver: str
    name: str
    rank: tuple  # among the variants of this solver: (index, number)
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    ends: Ends
    n_short: int  # runs with fewer than `MIN_POINTS`, which are in no quantile

    @property
    def title(self):
        """The label, and what became of the repetitions."""
        if not self.n_short:
            return self.ends.title(self.label)
        few = f"{self.n_short} of {self.ends.n_runs} at fewer than {MIN_POINTS} points"
        return self.ends.title(self.label, few)

    @property
    def diverged(self):
        """Whether the curve ends by divergence, as no run spent its budget."""
        return self.ends.n_diverged > 0 and self.ends.all_failed


@remembered
def curves(results, problem, metric, axis):
    """The curves of all solvers with this metric; none if no curve has any points.

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
    column, axis_column = METRICS[metric].column, AXES[axis][0]
    rows = results[results["problem"] == problem]
    measured = rows.groupby("variant", sort=False)[column].count()
    measured = list(measured.index[measured > 0])
    runs = split_runs(rows, axis_column, column)
    counted = {name: _that_count(runs[name]) for name in measured}
    drawn = {
        name: [(x, y) for x, y in found if len(np.unique(x[x > 0])) >= MIN_POINTS]
        for name, found in counted.items()
    }
    if not any(drawn.values()):
        return []
    ends = ends_by_variant(results)
    spent = [drawn[name] for name in measured if not ends[problem, name].all_failed]
    lowest, highest = _range(drawn.values(), spent)
    if metric == "suboptimality":
        lowest = accuracy_of_reference(rows)
    first = rows.drop_duplicates("variant").set_index("variant")
    label, solver = first["label"].to_dict(), first["solver"].to_dict()
    siblings = {}
    for name in measured:
        siblings.setdefault(solver[name], []).append(name)
    return [
        Curve(
            label[name],
            solver[name],
            name,
            (siblings[solver[name]].index(name), len(siblings[solver[name]])),
            *aggregate(drawn[name], lowest, highest),
            ends[problem, name],
            len(counted[name]) - len(drawn[name]),
        )
        for name in measured
    ]


def title_of(results, problem, metric):
    """What `metric` is called on `problem`."""
    results = prepare(results)
    kinds = results["kind"][results["problem"] == problem]
    attacked = (kinds == "data-poisoning").any() and metric in ATTACKER
    return ATTACKER[metric] if attacked else METRICS[metric].title


def unknown(results, problem):
    """Titles of the metrics that `problem` has, at too few points for any curve."""
    rows = results[results["problem"] == problem]
    return [
        metric.title
        for name, metric in METRICS.items()
        if rows[metric.column].notna().any()
        and not curves(results, problem, name, "seconds")
    ]


def left_out(results):
    """A line for each problem with metrics that have no figure for want of points."""
    return [
        f"{problem}: no figure of {'; '.join(titles)} (known at fewer than {MIN_POINTS} "
        "points of each run)"
        for problem in results["problem"].unique()
        if (titles := unknown(results, problem))
    ]


def split_runs(rows, axis_column, column):
    """From each variant in `rows` to its runs: triples (x, y, end), x increasing.

    Points without the metric (it may be costly, and thinned) are left out.
    """
    runs = {}
    columns = [axis_column, column, "objective_iterations"]
    keys = ["variant", "idx_rep", "end"]
    for (name, _, end), run in rows.groupby(keys, sort=False)[columns]:
        x, y, iterations = run.to_numpy(float).T
        # benchopt's clock shows some microseconds before the first iteration.
        x = np.where(iterations == 0, 0.0, x)
        known = np.isfinite(x) & np.isfinite(y)
        # Plain solvers run anew for each point: a longer run may take less time.
        order = np.argsort(x[known], kind="stable")
        runs.setdefault(name, []).append((x[known][order], y[known][order], end))
    return runs


def _that_count(runs):
    """Those of `runs` that spent their budget, or, if there is none, that diverged."""
    for wanted in ("budget", "diverged"):
        counted = [(x, y) for x, y, end in runs if end == wanted]
        if counted:
            return counted
    return []


def aggregate(runs, lowest=-math.inf, highest=math.inf):
    """Quantiles of step functions on a common grid.

    A run's value at x is that of its last evaluation at or before x: nothing is
    interpolated towards a value which it had not reached. The grid is geometric. All
    runs count at all of its points, so that no run's end moves the median: see
    `common_grid`.

    Parameters
    ----------
    runs : list of (x, y)
    lowest, highest : float
        Values are clipped to these.

    Returns
    -------
    x, median, low, high : arrays
        Empty without any run.
    """
    if not runs:
        return (np.empty(0),) * 4
    grid = common_grid([x for x, _ in runs])
    values = np.clip([_resample(run, grid) for run in runs], lowest, highest)
    low, median, high = np.quantile(values, (QUANTILES[0], 0.5, QUANTILES[1]), axis=0)
    return grid, median, low, high


def common_grid(costs):
    """0, then a geometric grid up to the end of the runs with these costs.

    Budgets are exceeded a little, by each run differently. Runs that end less than an
    evaluation before the last one keep their last value until there; if one ends
    earlier than that, the grid ends with it.
    """
    ends = [x[-1] for x in costs]
    end = min(ends)
    if max(ends) < EVALUATION_INTERVAL * end:
        end = max(ends)
    start = min(np.min(x[x > 0]) for x in costs)
    return np.concatenate([[0.0], geometric_grid(min(start, end), end, PER_DECADE)])


def geometric_grid(start, end, per_decade):
    """From `start` to `end`, with both."""
    n_points = 1 + math.ceil(per_decade * math.log10(end / start))
    grid = np.geomspace(start, end, n_points)
    grid[0], grid[-1] = start, end
    return grid


def _resample(run, grid):
    x, y = run
    last = np.searchsorted(x, grid, side="right") - 1
    return y[np.maximum(last, 0)]  # before its first evaluation a run is at its start


def _range(groups, usual):
    """From the lowest value to far above the starts and most maxima of the `usual`."""
    runs = [y for group in groups for _, y in group]
    maxima = sorted(np.max(y) for group in usual for _, y in group)
    tops = [*(y[0] for y in runs), *maxima[(len(maxima) - 1) // 2 :][:1]]
    highest = max(tops)
    return min(map(np.min, runs)), highest + (HEADROOM - 1) * abs(highest)
