"""The figures of a result page, by matplotlib: vectors at a paper's column width."""

import re
from fnmatch import fnmatch
from functools import partial, wraps
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

from benchmark_bilevel.report.curves import AXES, METRICS, curves, title_of
from benchmark_bilevel.report.names import FileNames
from benchmark_bilevel.report.results import problems
from benchmark_bilevel.report.styles import style
from benchmark_bilevel.report.tables import sensitivity
from benchmark_bilevel.report.targets import (
    TARGETS,
    empirical_distribution,
    performance_profile,
)

COLUMN = 3.35  # inches: the column of a two-column page
HEIGHT = 2.3  # inches, of the axes with their labels
LOOK = {
    "font.size": 8,
    "font.family": "sans-serif",
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "benchmark_bilevel",
    "text.parse_math": False,  # a dollar in a name is a dollar
}
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
GREY = "#c4c4c4"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def in_look(function):
    """Decorator: run `function` with the settings of all figures."""

    @wraps(function)
    def in_context(*args, **kwargs):
        with plt.rc_context(LOOK):
            return function(*args, **kwargs)

    return in_context


@in_look
def save_figures(results, folder, formats=("pdf",), only=("*",)):
    """Draw what `results` has, a file for each figure and format.

    Parameters
    ----------
    results : DataFrame
    folder : path-like
    formats : sequence of str
        Endings that matplotlib knows.
    only : sequence of str
        Patterns; a figure is drawn if its file's name matches one.

    Returns
    -------
    list of Path
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in all_figures(results):
        if not any(fnmatch(name, pattern) for pattern in only):
            continue
        figure = draw()
        for ending in formats:
            paths.append(folder / f"{name}.{ending}")
            save(figure, paths[-1])
    return paths


def save(figure, path):
    """Write `figure`; equal figures give equal files."""
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    figure.savefig(path, dpi=200, metadata=undated.get(path.suffix[1:]))


def all_figures(results):
    """Pairs (file name, function without arguments that returns the figure)."""
    file_name = FileNames()
    for problem in problems(results):
        for metric in METRICS:
            for axis in AXES:
                found = curves(results, problem, metric, axis)
                title = title_of(results, problem, metric)
                if found:
                    yield (
                        file_name(problem, metric, axis),
                        partial(curve_figure, found, metric, axis, title),
                    )
        points = sensitivity(results, problem)
        if points:
            yield (
                file_name(problem, "step size"),
                lambda p=points: sensitivity_figure(p),
            )
    for axis in AXES:
        shares = empirical_distribution(results, axis)
        if shares:
            yield (
                file_name("targets reached", axis),
                lambda s=shares, a=axis: share_figure(
                    s, AXES[a][1], "share of targets reached"
                ),
            )
        for target in TARGETS:
            shares = performance_profile(results, target, axis)
            if shares:
                yield (
                    file_name("profile", f"{target:.0e}", axis),
                    lambda s=shares, a=axis, t=target: share_figure(
                        s, f"{a}, relative to the fastest", f"share of runs at {t:.0e}"
                    ),
                )


def curve_figure(found, metric, axis, title, size=(COLUMN, HEIGHT)):
    """Medians and bands of `found`, the result of `curves.curves`."""
    figure, ax = new_figure(size)
    draw_curves(ax, found, metric, axis)
    ax.set_ylabel(title)
    add_legend(figure, ax)
    return figure


def new_figure(size):
    """A figure that no window manager knows, and its axes."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()


def draw_curves(ax, found, metric, axis, highlight=None):
    """Draw `found` on `ax`; with `highlight`, all solvers but this one in grey."""
    metric = METRICS[metric]
    set_scale(ax, metric.scale)
    for k, curve in enumerate(found):
        if highlight not in (None, curve.solver):
            ax.plot(curve.x, curve.y, color=GREY, linewidth=0.8, zorder=1)
            continue
        look = style(curve.solver, *curve.rank)
        drawn = curve.x > 0  # the axis is logarithmic for every metric
        x, y, low, high = (
            part[drawn] for part in (curve.x, curve.y, curve.low, curve.high)
        )
        ax.fill_between(x, low, high, color=look.color, alpha=0.2, linewidth=0)
        ax.plot(
            *(x, y),
            color=look.color,
            linestyle=DASHES[look.dash],
            marker=look.symbol,
            markevery=(k % 8, 8),
            label=curve.title,
            zorder=3,
        )
        if curve.diverged:
            ax.plot(x[-1:], y[-1:], "X", color=look.color, markersize=8, zorder=4)
    ax.set_xlabel(AXES[axis][1])
    ax.set_ylabel(metric.title)


class PowerFormatter(LogFormatterSciNotation):
    """Powers of ten as text with superscripts, much faster than as mathematics."""

    def __call__(self, x, pos=None):
        text = super().__call__(x, pos)
        parts = re.search(r"(?:([\d.]+)\\times)?10\^\{(-?\d+)\}", text)
        if not parts:
            return text
        factor = f"{parts[1]}×" if parts[1] else ""
        return f"{factor}10{parts[2].translate(SUPERSCRIPTS)}"


def set_scale(ax, scale):
    """Scales by benchopt's names."""
    for axis, set_axis_scale, single in (
        (ax.xaxis, ax.set_xscale, "semilog-x"),
        (ax.yaxis, ax.set_yscale, "semilog-y"),
    ):
        if scale in ("loglog", single):
            set_axis_scale("log")
            axis.set_major_formatter(PowerFormatter())
            axis.set_minor_formatter(PowerFormatter(labelOnlyBase=False))


def add_legend(figure, ax):
    """All labels below the axes; the figure grows by their rows."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    longest = max(map(len, labels))
    width, height = figure.get_size_inches()
    n_columns = max(1, min(len(labels), int(width / (0.42 + 0.05 * longest))))
    n_rows = -(-len(labels) // n_columns)
    figure.set_size_inches(width, height + 0.16 * n_rows)
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=n_columns,
        frameon=False,
        handlelength=1.8,
        columnspacing=1.0,
    )


def share_figure(shares, xlabel, ylabel, size=(COLUMN, HEIGHT)):
    """Step curves of shares between 0 and 1."""
    figure, ax = new_figure(size)
    for k, (solver, (x, share, ends)) in enumerate(shares.items()):
        look = style(solver)
        every = max(1, len(x) // 8)
        ax.plot(
            *(x, share),
            drawstyle="steps-post",
            color=look.color,
            marker=look.symbol,
            markevery=(k % every, every),
            label=ends.title(solver),
        )
    set_scale(ax, "semilog-x")
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    add_legend(figure, ax)
    return figure


def sensitivity_figure(points, size=(COLUMN, HEIGHT)):
    """Final suboptimality against the step size; at crosses at the top all diverged."""
    figure, ax = new_figure(size)
    set_scale(ax, "loglog")
    top = top_of(points)
    for solver, (steps, y, low, high, ends) in points.items():
        look = style(solver)
        alive = np.isfinite(y)
        ax.plot(
            *(steps[alive], y[alive]),
            color=look.color,
            marker=look.symbol,
            label=ends.title(solver),
        )
        ax.fill_between(
            *(steps[alive], low[alive], high[alive]),
            color=look.color,
            alpha=0.2,
            linewidth=0,
        )
        ax.plot(steps[~alive], np.full((~alive).sum(), top), "X", color=look.color)
    ax.set_xlabel("step size")
    ax.set_ylabel("final suboptimality h(x) − h*")
    add_legend(figure, ax)
    return figure


def top_of(points):
    """Where to draw what diverged, above all medians of `tables.sensitivity`."""
    medians = np.concatenate([solver.median for solver in points.values()])
    return 10 * max(medians[np.isfinite(medians)], default=1.0)
