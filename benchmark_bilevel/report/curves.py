"""Median curves and quantile bands of a metric over the repetitions of a solver."""

from typing import NamedTuple

import numpy as np

from benchmark_bilevel.report.metrics import AXES, METRICS, metric_on
from benchmark_bilevel.report.results import (
    Ends,
    accuracy_of_reference,
    ends_by_variant,
    prepare,
    remembered,
    runs_of,
)
from benchmark_bilevel.report.tables import QUANTILES, summary

BAND = "median, 20–80 % of the runs that did not diverge (of all if each did)"
# Fewer known points of a run draw a line where nothing is known.
MIN_POINTS = 4
# A curve of diverged runs ends where it is above this many times the others.
HEADROOM = 10.0
X_AXES = {**AXES, "iterations": ("objective_iterations", "iterations")}


class Run(NamedTuple):
    """One repetition where the metric is known: arrays in the order of the costs."""

    cost: np.ndarray
    value: np.ndarray
    point: np.ndarray  # number of the iteration, the same in all repetitions
    stop: float  # cost at the end, where the metric may be unknown
    end: str


class Curve(NamedTuple):
    """Quantiles over the repetitions of one solver, where they were evaluated.

    Repetitions are evaluated at the same iterations, whatever the clock says. A point
    is at the median of their costs there, and `y`, `low`, `high` are quantiles of their
    values; the last point is that of their ends. They are those of the runs that spent
    their budget; where all diverged, of these. A run that a deadline cut is in no
    quantile. Without a run of `MIN_POINTS` the curve has no points, and its title says
    why.
    """

    label: str
    solver: str
    name: str
    rank: tuple  # among the variants of this solver, the best first: (index, number)
    x: np.ndarray  # the first is 0, the start
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    crosses: np.ndarray  # costs at which runs diverged
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
        Key of `X_AXES`.

    Returns
    -------
    list of Curve
    """
    results = prepare(results)
    rows = results[results["problem"] == problem]
    runs = split_runs(rows, X_AXES[axis][0], METRICS[metric].column)
    counted = {name: _that_count(own) for name, own in runs.items()}
    drawn = {
        name: [
            run for run in own if len(np.unique(run.cost[run.cost > 0])) >= MIN_POINTS
        ]
        for name, own in counted.items()
    }
    if not any(drawn.values()):
        return []
    ends = ends_by_variant(results)
    lowest = accuracy_of_reference(rows) if metric == "suboptimality" else -np.inf
    points = {name: aggregate(own, lowest) for name, own in drawn.items()}
    highest = _highest(
        points, [name for name in points if not ends[problem, name].all_failed]
    )
    first = rows.drop_duplicates("variant").set_index("variant")
    label, solver = first["label"].to_dict(), first["solver"].to_dict()
    siblings = {}
    for name in summary(results, problem)["name"]:
        if name in runs:
            siblings.setdefault(solver[name], []).append(name)
    found = []
    for name, (x, y, low, high) in points.items():
        if ends[problem, name].all_failed:
            kept = slice(np.argmax(np.append(y, np.inf) > highest))
            x, y, low, high = x[kept], y[kept], low[kept], high[kept]
        stops = [run.stop for run in runs[name] if run.end == "diverged"]
        curve = Curve(
            *(label[name], solver[name], name),
            (siblings[solver[name]].index(name), len(siblings[solver[name]])),
            *(x, y, low, high),
            np.sort(stops),
            ends[problem, name],
            len(counted[name]) - len(drawn[name]),
        )
        found.append(curve)
    return found


def unknown(results, problem):
    """Titles of the metrics that `problem` has, at too few points for any curve."""
    rows = results[results["problem"] == problem]
    return [
        metric_on(results, problem, name).title
        for name, metric in METRICS.items()
        if rows[metric.column].notna().any()
        and not curves(results, problem, name, "seconds")
    ]


def left_out(results):
    """A line for each problem with metrics that have no figure for want of points."""
    return [
        f"{problem}: no curves of {'; '.join(titles)} (known at fewer than {MIN_POINTS} "
        "points of each run that was not cut)"
        for problem in results["problem"].unique()
        if (titles := unknown(results, problem))
    ]


def split_runs(rows, axis_column, column):
    """From each variant in `rows` with the metric to the list of its `Run`.

    Points without the metric (it may be costly, and thinned) are left out, and so are
    variants without any.
    """
    known = rows.groupby("variant", sort=False)[column].count()
    rows = rows[rows["variant"].isin(known.index[known > 0])]
    runs = {}
    columns = [axis_column, column, "objective_iterations"]
    keys = ["variant", "idx_rep", "end"]
    for (name, _, end), run in runs_of(rows, keys, columns):
        x, y, iterations = run.T
        # A plain solver counts none: its points are those of benchopt's schedule.
        point = np.where(np.isnan(iterations), np.arange(len(x)), iterations)
        # benchopt's clock shows some microseconds before the first iteration.
        x = np.where(iterations == 0, 0.0, x)
        stop = x[-1]
        finite = np.isfinite(x) & np.isfinite(y)
        # Plain solvers run anew for each point: a longer run may take less time.
        order = np.argsort(x[finite], kind="stable")
        found = Run(*(part[finite][order] for part in (x, y, point)), stop, end)
        runs.setdefault(name, []).append(found)
    return runs


def _that_count(runs):
    """Those of `runs` that spent their budget, or, if there is none, that diverged."""
    for wanted in ("budget", "diverged"):
        counted = [run for run in runs if run.end == wanted]
        if counted:
            return counted
    return []


def aggregate(runs, lowest=-np.inf):
    """Medians and quantiles at the points where most runs were evaluated.

    Nothing is interpolated. Runs end after different numbers of iterations: the last
    point is at the median of the costs of their ends, with the quantiles of their last
    values, and before it those points are taken that more than half of the runs have.

    Parameters
    ----------
    runs : list of Run
    lowest : float
        Values below it say nothing, and are raised to it.

    Returns
    -------
    x, median, low, high : arrays
        Empty without any run.
    """
    if not runs:
        return (np.empty(0),) * 4
    points = {}
    for run in runs:
        for point, *pair in zip(run.point, run.cost, run.value, strict=True):
            points.setdefault(point, []).append(pair)
    by_size = {}
    for pairs in points.values():
        if len(pairs) > len(runs) / 2:
            by_size.setdefault(len(pairs), []).append(pairs)
    found = [_quantiles(groups) for groups in by_size.values()]
    before = np.concatenate([np.empty((4, 0)), *found], axis=1)
    end = _quantiles([[(run.cost[-1], run.value[-1]) for run in runs]])
    before = before[:, before[0] < end[0]]
    order = np.argsort(before[0], kind="stable")
    x, *values = np.concatenate([before[:, order], end], axis=1)
    return x, *np.maximum(values, lowest)


def _quantiles(groups):
    """Costs, medians, low and high quantiles of groups of as many (cost, value) each."""
    costs, values = np.moveaxis(np.array(groups, float), 2, 0)
    low, median, high = np.quantile(values, (QUANTILES[0], 0.5, QUANTILES[1]), axis=1)
    return np.stack([np.median(costs, axis=1), median, low, high])


def _highest(points, usual):
    """Far above all starts and the medians of the `usual` variants."""
    tops = [y[0] for _, y, *_ in points.values() if y.size]
    tops += [points[name][1].max() for name in usual if points[name][1].size]
    return far_above(max(tops))


def far_above(top):
    """`HEADROOM` times as far up as `top`, which may be negative."""
    return top + (HEADROOM - 1) * abs(top)
