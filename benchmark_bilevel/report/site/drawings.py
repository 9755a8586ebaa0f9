"""The pages' figures: vectors that a browser shows without any script."""

import numpy as np

from benchmark_bilevel.report.curves import AXES, METRICS, curves
from benchmark_bilevel.report.figures import (
    GREY,
    add_legend,
    curve_figure,
    draw_curves,
    in_look,
    new_figure,
    save,
    share_figure,
)
from benchmark_bilevel.report.styles import style
from benchmark_bilevel.report.tables import summary
from benchmark_bilevel.report.targets import empirical_distribution

WIDE = (4.4, 2.9)
PANEL = (2.7, 2.1)  # inches, of one of many


def main_metric(results, problem):
    """The metric of a problem's curves: suboptimality, else h, else None.

    Other metrics than h may rank the solvers another way round.
    """
    for metric in ("suboptimality", "value"):
        if curves(results, problem, metric, "seconds"):
            return metric
    return None


@in_look
def draw_problem(results, problem, folder, names):
    """The curves of all solvers against both costs, or the ends of their runs.

    Parameters
    ----------
    results : DataFrame
    problem : str
    folder : Path
    names : FileNames

    Returns
    -------
    list of str
        Names of the files; empty where h is not known at all.
    """
    metric = main_metric(results, problem)
    if metric is None:
        figures = {"ends": ends_figure(results, problem, WIDE)}
    else:
        found = {axis: curves(results, problem, metric, axis) for axis in AXES}
        figures = {
            axis: curve_figure(found[axis], metric, axis, METRICS[metric].title, WIDE)
            for axis in AXES
            if found[axis]
        }
    return [
        _saved(figure, folder, names("problem", problem, kind))
        for kind, figure in figures.items()
        if figure
    ]


@in_look
def draw_solver(results, solver, problem, folder, names):
    """This solver on `problem` in colour, all others in grey; the file's name or ""."""
    metric = main_metric(results, problem)
    if metric is None:
        figure = ends_figure(results, problem, PANEL, highlight=solver)
    else:
        found = curves(results, problem, metric, "seconds")
        figure, ax = new_figure(PANEL)
        draw_curves(ax, found, metric, "seconds", highlight=solver)
        ax.minorticks_off()
        own = [curve for curve in found if curve.solver == solver]
        if len(own) > 1 or any(curve.title != curve.label for curve in own):
            add_legend(figure, ax)
    return _saved(figure, folder, names("solver", solver, problem)) if figure else ""


@in_look
def draw_shares(results, folder, names):
    """The distribution over targets against both costs; names of the files."""
    return [
        _saved(
            share_figure(shares, AXES[axis][1], "share of targets reached", size=WIDE),
            folder,
            names("targets", axis),
        )
        for axis in AXES
        if (shares := empirical_distribution(results, axis))
    ]


def _saved(figure, folder, name):
    save(figure, folder / f"{name}.svg")
    return f"{name}.svg"


def ends_figure(results, problem, size, highlight=None):
    """h at the end of each run, a row of dots a solver, the lowest median on top.

    For problems on which h is known at too few points for curves. Runs that diverged
    or that a deadline cut have no dot: the solver's name says how many. None if no run
    has h at its end.
    """
    table = summary(results, problem)
    if table["value"].isna().all():
        return None
    rows = results[(results["problem"] == problem) & (results["end"] == "budget")]
    figure, ax = new_figure(size)
    for k, solver in table.iterrows():
        runs = rows[rows["variant"] == solver["name"]]
        values = runs.drop_duplicates("idx_rep", keep="last")["objective_value"]
        look = style(solver["solver"])
        shown = highlight in (None, solver["solver"])
        color = look.color if shown else GREY
        ax.plot(values, np.full(len(values), k), look.symbol, color=color, alpha=0.7)
        ax.plot([solver["value"]], [k], "|", color=color, markersize=12)
    labels = [solver["ends"].title(solver["label"]) for _, solver in table.iterrows()]
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlabel("h(x) at the end")
    return figure
