"""What the benchopt plugins in ``plots/`` share: traces, tables, titles, options."""

import math

import numpy as np
from benchopt import BasePlot

from benchmark_bilevel.report.curves import AXES, BAND, METRICS, curves
from benchmark_bilevel.report.figures import SUPERSCRIPTS
from benchmark_bilevel.report.results import prepare, problems
from benchmark_bilevel.report.styles import style
from benchmark_bilevel.report.targets import (
    TARGETS,
    empirical_distribution,
    performance_profile,
    sensitivity,
    summary,
    with_reference,
)

# Five significant digits are more than a screen has, and keep the pages small.
DIGITS = 5


def trace(
    label,
    solver,
    x,
    y,
    low=None,
    high=None,
    rank=(0, 1),
    diverged=False,
    shape="linear",
):
    """A curve as benchopt wants it, with what our pages draw besides.

    ``dash``, ``shape`` and ``diverged`` (the curve ends with a cross) are for `site`;
    benchopt's own page does without.
    """
    look = style(solver, *rank)
    found = {
        "label": label,
        "x": _rounded(x),
        "y": _rounded(y),
        "color": (*look.color, 1.0),
        "marker": look.marker,
        "dash": look.dash,
        "shape": shape,
        "diverged": bool(diverged),
    }
    if low is not None:
        found.update(y_low=_rounded(low), y_high=_rounded(high))
    return found


def _rounded(values):
    return [float(f"{value:.{DIGITS}g}") for value in np.asarray(values, float)]


def describe(problem, text):
    """A figure's title: the problem, and below it what is drawn."""
    return f"{problem}\n{text}"


class CurvePlot(BasePlot):
    """A metric against seconds or oracle calls; a plugin names the metric."""

    type = "scatter"
    metric = None
    options = {"problem": problems, "x_axis": list(AXES)}

    def plot(self, df, problem, x_axis):
        return [
            trace(
                curve.title,
                curve.solver,
                *(curve.x, curve.y, curve.low, curve.high),
                rank=curve.rank,
                diverged=curve.diverged,
            )
            for curve in curves(df, problem, self.metric, x_axis)
        ]

    def get_metadata(self, df, problem, x_axis):
        metric = METRICS[self.metric]
        return {
            "title": describe(problem, BAND),
            "xlabel": AXES[x_axis][1],
            "ylabel": metric.title,
            "scale": metric.scale,
        }


class SharePlot(BasePlot):
    """Shares over all problems, one step curve for each solver."""

    type = "scatter"

    def traces(self, shares):
        return [
            trace(solver, solver, *curve, shape="hv")
            for solver, curve in shares.items()
        ]

    def title(self, df, text):
        n_problems = with_reference(df)["problem"].nunique()
        n_all = prepare(df)["problem"].nunique()
        left_out = f" ({n_all - n_problems} without reference left out)"
        return describe(
            text,
            f"{n_problems} problems{left_out if n_all > n_problems else ''}, "
            "best parameters of each solver",
        )


class ProfilePlot(SharePlot):
    """Performance profile of Dolan and Moré."""

    options = {"target": [f"{target:.0e}" for target in TARGETS], "cost": list(AXES)}

    def plot(self, df, target, cost):
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
        # Where runs diverged, the curve is at the top.
        ends = [y[np.isfinite(y)] for _, y, *_ in found.values()]
        top = 10 * np.max(np.concatenate([*ends, np.zeros(1)]))
        traces = []
        for solver, (steps, *values) in found.items():
            diverged = ~np.isfinite(values[0])
            label = f"{solver} (diverged for some)" if diverged.any() else solver
            if diverged.all():
                label = f"{solver} (diverged)"
            y, low, high = (np.minimum(part, top) for part in values)
            traces.append(
                trace(label, solver, steps, y, low, high, diverged=diverged[-1])
            )
        return traces

    def get_metadata(self, df, problem):
        return {
            "title": describe(problem, f"end of the budget, {BAND}"),
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
                row["label"],
                row["n_runs"],
                row["n_diverged"],
                *(row[name] for name in ("value", "test_accuracy", "test_loss")),
                *(_log10(row.get(name, math.nan)) for name in ("best", "median")),
                *(row.get((cost, target), math.nan) for target in TARGETS),
                row["name"],
            ]
            for _, row in summary(df, problem).iterrows()
        ]

    def get_metadata(self, df, problem, cost):
        return {
            "title": describe(
                problem,
                f"medians at the end of the budget; {cost} to reach 1e-1 … 1e-6 "
                "of the initial suboptimality",
            ),
            "columns": [
                "Solver",
                "Runs",
                "Diverged",
                "h(x)",
                "Test accuracy",
                "Test loss",
                "log10 of best h − h*",
                "log10 of median h − h*",
                *(
                    "10" + f"{round(math.log10(t))}".translate(SUPERSCRIPTS)
                    for t in TARGETS
                ),
                "All parameters",
            ],
            "default_order_column": "log10 of median h − h*",
        }


def _log10(value):
    return math.log10(value) if value > 0 else value
