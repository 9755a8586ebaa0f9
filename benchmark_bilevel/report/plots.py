"""What the benchopt plugins in ``plots/`` share: traces, tables, titles, options."""

import math

import numpy as np
from benchopt import BasePlot

from benchmark_bilevel.report.curves import BAND, curves, far_above
from benchmark_bilevel.report.distributions import (
    empirical_distribution,
    performance_profile,
)
from benchmark_bilevel.report.metrics import AXES, metric_on
from benchmark_bilevel.report.results import prepare, problems, titles
from benchmark_bilevel.report.styles import style
from benchmark_bilevel.report.tables import sensitivity, summary
from benchmark_bilevel.report.targets import TARGETS, target_text, with_reference


def trace(
    label,
    solver,
    x,
    y,
    low=None,
    high=None,
    rank=(0, 1),
    crosses=(),
    shape="linear",
    name=None,
):
    """A curve as benchopt wants it, with what our pages draw and say besides.

    ``symbol``, ``dash``, ``shape`` and ``crosses`` (where runs diverged), ``solver`` and
    ``name`` (with all parameters) are for `site`; benchopt's own page does without.
    """
    look = style(solver, *rank)
    found = {
        "label": label,
        "x": _numbers(x),
        "y": _numbers(y),
        "color": (*look.color, 1.0),
        "marker": look.marker,
        "symbol": look.symbol,
        "dash": look.dash,
        "shape": shape,
        "crosses": _numbers(crosses),
        "solver": solver,
        "name": name or solver,
    }
    if low is not None:
        found.update(y_low=_numbers(low), y_high=_numbers(high))
    return found


def _numbers(values):
    return np.asarray(values, float).tolist()


def describe(problem, text):
    """A figure's title: the problem, and below it what is drawn."""
    return f"{problem}\n{text}"


class CurvePlot(BasePlot):
    """A metric against seconds or oracle calls; a plugin names the metric."""

    type = "scatter"
    metric = None
    options = {"problem": problems, "x_axis": list(AXES)}

    def plot(self, df, problem, x_axis):
        found = curves(df, problem, self.metric, x_axis)
        # plotly.js fits its axes to bands, too.
        highest = far_above(max((c.y.max() for c in found if c.y.size), default=0))
        return [
            trace(
                curve.title,
                curve.solver,
                *(curve.x, curve.y, curve.low, np.minimum(curve.high, highest)),
                rank=curve.rank,
                crosses=curve.crosses[np.isfinite(curve.crosses)],
                name=curve.name,
            )
            for curve in found
        ]

    def get_metadata(self, df, problem, x_axis):
        metric = metric_on(prepare(df), problem, self.metric)
        return {
            "title": describe(titles(df)[problem], BAND),
            "xlabel": AXES[x_axis][1],
            "ylabel": metric.line,
            "scale": metric.scale,
        }


class SharePlot(BasePlot):
    """Shares over all problems, one step curve for each solver."""

    type = "scatter"

    def traces(self, shares):
        return [
            trace(ends.title(solver), solver, x, share, shape="hv")
            for solver, (x, share, ends, _) in shares.items()
        ]

    def title(self, df, text):
        n_problems = with_reference(df)["problem"].nunique()
        n_all = prepare(df)["problem"].nunique()
        without = n_all - n_problems
        left_out = f" ({without} without reference left out)" if without else ""
        return describe(
            text,
            f"{n_problems} problem{'s' if n_problems > 1 else ''}{left_out}, "
            "best parameters of each solver",
        )


class ProfilePlot(SharePlot):
    """Performance profile of Dolan and Moré."""

    options = {"target": [f"{target:.0e}" for target in TARGETS], "cost": list(AXES)}

    def plot(self, df, target, cost):
        # Of a single problem it would be the ranking once more.
        if with_reference(df)["problem"].nunique() < 2:
            return []
        return self.traces(performance_profile(df, float(target), cost))

    def get_metadata(self, df, target, cost):
        return {
            "title": self.title(df, f"{target} of the initial suboptimality"),
            "xlabel": f"{cost}, relative to the fastest solver",
            "ylabel": "share of runs that reach the target",
            "scale": "semilog-x",
        }


class DistributionPlot(SharePlot):
    """Empirical distribution of the targets reached, as in COCO."""

    options = {"cost": list(AXES)}

    def plot(self, df, cost):
        return self.traces(empirical_distribution(df, cost))

    def get_metadata(self, df, cost):
        return {
            "title": self.title(df, "targets from 1e-1 to 1e-6 of the initial gap"),
            "xlabel": AXES[cost][1],
            "ylabel": "share of targets reached",
            "scale": "semilog-x",
        }


class SensitivityPlot(BasePlot):
    """Final suboptimality against the step size."""

    type = "scatter"
    options = {"problem": problems}

    def plot(self, df, problem):
        found = sensitivity(df, problem)
        traces = []
        medians = [own.median[np.isfinite(own.median)] for own in found.values()]
        highest = far_above(max(map(max, filter(len, medians)), default=0))
        for solver, (steps, *values, ends) in found.items():
            alive = np.isfinite(values[0])
            own = (np.minimum(part[alive], highest) for part in values)
            label, crosses = ends.title(solver), steps[~alive]
            traces.append(trace(label, solver, steps[alive], *own, crosses=crosses))
        return traces

    def get_metadata(self, df, problem):
        return {
            "title": describe(titles(df)[problem], f"end of the budget, {BAND}"),
            "xlabel": "step size",
            "ylabel": "final suboptimality h(x) − h*",
            "scale": "loglog",
        }


class SummaryPlot(BasePlot):
    """Table of a problem: values at the end, costs of the targets."""

    type = "table"
    options = {"problem": problems, "cost": list(AXES)}

    def plot(self, df, problem, cost):
        return [
            [
                row["rank"],
                row["label"],
                row["ends"].text or row["ends"].n_runs,
                *(row[name] for name in ("value", "test_accuracy", "test_loss")),
                _log10(row.get("median", math.nan)),
                *(row.get((cost, target), math.nan) for target in TARGETS),
                row["name"],
            ]
            for _, row in summary(df, problem).iterrows()
        ]

    def get_metadata(self, df, problem, cost):
        unit = "s" if cost == "seconds" else "calls"
        return {
            "title": describe(
                titles(df)[problem],
                f"medians at the end of the budget; {cost} to reach 1e-1 … 1e-6 "
                "of the initial suboptimality",
            ),
            "columns": [
                "Rank",
                "Solver",
                "Repetitions",
                "h(x)",
                "Test accuracy of z",
                "Test loss of z",
                "log10 of h − h*",
                *(f"{unit} to {target_text(target)}" for target in TARGETS),
                "All parameters",
            ],
            "default_order_column": "Rank",
        }


def _log10(value):
    return math.log10(value) if value > 0 else value
