"""The panels of a search: the plane of steps of each solver, the best after k trials."""

from functools import partial

import numpy as np

from benchmark_bilevel.report.drawing import GREY, set_range
from benchmark_bilevel.report.labels import Name
from benchmark_bilevel.report.look import set_log
from benchmark_bilevel.report.panels import LEADERS, Panel
from benchmark_bilevel.report.styles import style

# Ends within a factor of the best, or within a share of the way from the best to the
# median, from the darkest colour on; then all others.
COLORS = ("#08306b", "#4292c6", "#ffffff")
FACTORS, SHARES = (2.0, 10.0), (0.05, 0.5)
CHOSEN = "#D55E00"
ROUNDING = 1e-16  # of a suboptimality that is drawn, at least


def plane_panels(search):
    """A panel for each solver with both steps among what was searched."""
    return [
        Panel(
            f"plane {one.solver}",
            one.solver,
            partial(draw_plane, one=one, by_factors=search.by_factors),
        )
        for one in search.solvers
        if np.isfinite(one.steps + one.outer_steps).any()
    ]


def draw_plane(ax, one, by_factors):
    """Each trial at its steps, the darker the lower its end; a ring around the choice.

    Crosses diverged. The classes are factors of the best trial's end, not below
    `ROUNDING`, or, without `by_factors`, shares of the way from it to the median trial.
    """
    alive = np.isfinite(one.ends)
    set_range(ax, "x", one.steps[np.isfinite(one.steps)], log=True)
    set_range(ax, "y", one.outer_steps[np.isfinite(one.outer_steps)], log=True)
    ax.plot(
        *(one.steps[~alive], one.outer_steps[~alive]),
        "x",
        color="#6e7781",
        markersize=3,
        markeredgewidth=0.8,
    )
    classes = _classes(one.ends, by_factors)
    for k, color in enumerate(COLORS):
        own = alive & (classes == k)
        ax.plot(
            *(one.steps[own], one.outer_steps[own]),
            "o",
            color=color,
            markersize=4,
            markeredgecolor="#57606a",
            markeredgewidth=0.4,
        )
    if one.chosen is not None:
        ax.plot(
            *(one.steps[one.chosen], one.outer_steps[one.chosen]),
            "o",
            markersize=8,
            markerfacecolor="none",
            markeredgecolor=CHOSEN,
            markeredgewidth=1.4,
        )
    ax.set_xlabel("step size")
    ax.set_ylabel("outer step")
    return []


def _classes(ends, by_factors):
    """Of each end the number of its colour in `COLORS`."""
    alive = ends[np.isfinite(ends)]
    if not alive.size:
        return np.zeros(len(ends), int)
    if by_factors:
        ends, best = ends.clip(ROUNDING), alive.min().clip(ROUNDING)
        return np.searchsorted(FACTORS, ends / best)
    way = max(np.median(alive) - alive.min(), 1e-300)
    return np.searchsorted(SHARES, (ends - alive.min()) / way)


def best_panel(search):
    """What to expect of the best of k trials, the first solvers in colour."""
    return Panel("expected best", search.name, partial(draw_best, search=search))


def draw_best(ax, search):
    """Medians and 20–80 % bands of the best end after k trials in random order.

    What is compared by factors is drawn at `ROUNDING` where it is below, a suboptimality
    may be negative, and the axis fits the solvers in colour.
    """
    least = ROUNDING if search.by_factors else -np.inf
    medians = [one.best.median for one in search.solvers[:LEADERS]]
    known = np.concatenate([y[np.isfinite(y)].clip(least) for y in medians])
    values = known if known.size else np.ones(1)
    set_range(ax, "y", values, log=search.by_factors)
    set_log(ax, "x", 0.9, 1.1 * max(*search.n_trials, 2))
    names = []
    for rank, one in enumerate(search.solvers):
        k = np.arange(1, len(one.ends) + 1)
        known = np.isfinite(one.best.median)
        x, y = k[known], one.best.median[known].clip(least)
        if rank >= LEADERS:
            ax.plot(x, y, color=GREY, linewidth=0.7)
            continue
        look = style(one.solver)
        low, high = (
            np.where(np.isfinite(edge), edge, one.best.median)[known].clip(least)
            for edge in (one.best.low, one.best.high)
        )
        ax.fill_between(x, low, high, color=look.color, alpha=0.15, linewidth=0)
        (line,) = ax.plot(
            x, y, color=look.color, marker=look.symbol, markeredgecolor="white"
        )
        names.append(Name(one.solver, y[-1] if y.size else np.nan, look.color, line))
    ax.set_xlabel("trials")
    what = "suboptimality" if search.has_reference else "score"
    ax.set_ylabel(f"best {what} so far\n↓ better")
    return names
