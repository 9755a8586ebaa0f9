"""What figures show, drawn on axes: curves, shares, ends of runs, step sizes.

Each function draws on matplotlib's axes and returns the `Name` of what has one, for
`figures.compose` to write beside the curves or into a legend.
"""

import numpy as np
from matplotlib.ticker import MaxNLocator

from benchmark_bilevel.report.labels import Name
from benchmark_bilevel.report.look import set_linear, set_log
from benchmark_bilevel.report.styles import style

# Dots are for what is unknown.
DASHES = {"solid": "-", "dash": "--", "longdash": (0, (8, 2)), "dashdot": "-."}
AGAIN = (0, (5, 1.5))  # there are fewer colours than solvers
GREY = "#b8bec5"
# Before some curve has gone this share of its way, nothing happens.
BEGINNING = 0.1
EDGE = 0.08  # of an axis, without a number
PAD = 0.06  # of an axis, beyond the data


def draw_curves(ax, found, metric, xlabel, *, linear=False, named=None, by_label=False):
    """Medians with a marker at each measurement, and bands.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    found : list of Curve
    metric : Metric
    xlabel : str
    linear : bool
        Whether the costs are on a linear axis.
    named : collection of str, optional
        `Curve.name` of those in colour; the others are grey. All by default.
    by_label : bool
        Whether names are labels, with parameters, or those of the solvers.

    Returns
    -------
    list of Name
    """
    left, right = _set_costs(ax, [curve for curve in found if curve.x.size], linear)
    is_named = [named is None or curve.name in named for curve in found]
    # The grey of a problem's many may be far off; a solver's own picture has the best in.
    fits = [by_label or own for own in is_named]
    shown = [curve for curve, fit in zip(found, fits, strict=True) if fit] or found
    _set_values(ax, shown, metric.scale == "loglog", left)
    starts = [curve.y[0] for curve in found if curve.x.size]
    if starts and np.ptp(starts) <= 1e-6 * abs(starts[0]):
        ax.axhline(starts[0], color="#6e7781", linewidth=0.7, linestyle=":", zorder=1)
    names, colors = [], set()
    for curve, own in zip(found, is_named, strict=True):
        (x, y, low, high), unknown = _from_start(curve, None if linear else left)
        if not own:
            ax.plot(x, y, color=GREY, linewidth=0.7, zorder=1.5)
            continue
        look = style(curve.solver, *curve.rank)
        dash = AGAIN if look.color in colors else DASHES[look.dash]
        colors.add(look.color)
        ax.plot(*unknown, color=look.color, linewidth=0.7, linestyle=":", zorder=3)
        # What is far beyond the picture has no place in a file of it.
        band = low, np.minimum(high, ax.get_ylim()[1])
        ax.fill_between(x, *band, color=look.color, alpha=0.18, linewidth=0)
        (line,) = ax.plot(
            *(x, y),
            color=look.color,
            linestyle=dash,
            marker=look.symbol,
            markeredgecolor="white",
            markevery=list(range(len(x) - np.sum(curve.x > 0), len(x))),
            zorder=3,
        )
        _cross(ax, np.clip(curve.crosses, left, right), look.color)
        if not (by_label or curve.x.size or curve.crosses.size):
            continue  # a name at the edge would look like that of a line there
        text = curve.title if by_label else curve.ends.title(curve.solver)
        height = curve.y[-1] if curve.x.size and not curve.diverged else np.nan
        names.append(Name(text, height, look.color, line))
    ax.set_xlabel(xlabel)
    ax.set_ylabel(metric.axis)
    return names


def _from_start(curve, left):
    """The costs, medians and quantiles of `curve` as they are drawn, and what is dotted.

    On a logarithmic axis, from `left` on, its start is at the edge; until the first
    measurement nothing is known: the way there is level, and dotted.
    """
    lists = curve.x, curve.y, curve.low, curve.high
    first = np.sum(curve.x <= 0)
    if left is None:
        return lists, ([], [])
    x, *values = np.maximum(curve.x, left), *lists[1:]
    if not 0 < first < len(x):
        return (x, *values), ([], [])
    start, value = curve.y[first - 1 : first + 1]
    unknown = [left, x[first], x[first]], [start, start, value]
    return (x[first:], *(part[first:] for part in values)), unknown


def _cross(ax, costs, color):
    """Crosses at the top edge, where runs diverged."""
    ax.plot(
        *(costs, np.ones_like(costs)),
        "X",
        color=color,
        markersize=5.5,
        markeredgecolor="white",
        transform=ax.get_xaxis_transform(),
        clip_on=False,
        zorder=5,
    )


def _set_costs(ax, found, linear):
    """The axis of costs, from where something happens; its ends."""
    right = max((curve.x[-1] for curve in found), default=1.0)
    if linear:
        set_linear(ax, "x", 0.0, 1.02 * right)
        return ax.get_xlim()
    moved = [cost for curve in found if (cost := _moves(curve)) > 0]
    left = min(min(moved, default=right) / 2, right / 10)
    set_log(ax, "x", left, 1.1 * right)
    return ax.get_xlim()


def _moves(curve):
    """The first cost at which the median has gone `BEGINNING` of its way."""
    way = np.abs(curve.y - curve.y[0])
    return curve.x[np.argmax(way >= BEGINNING * way.max())]


def _set_values(ax, found, log, left):
    """The axis of values, which holds all medians that are in the picture."""
    found = [curve for curve in found if curve.x.size]
    usual = [curve for curve in found if not curve.diverged] or found
    values = [curve.y[curve.x >= left] for curve in usual]
    values += [curve.y[:1] for curve in usual]
    values = np.concatenate(values) if values else np.ones(1)
    positive = values[values > 0]  # a zero has no place on a logarithmic axis
    log = log and positive.size > 0
    set_range(ax, "y", positive if log else values, log)


def set_range(ax, which, values, log):
    """The axis `which` ("x" or "y") from below the least of `values` to above the most."""
    values = np.log10(values) if log else values
    low, high = values.min(), values.max()
    pad = PAD * (high - low) or (0.3 if log else PAD * abs(high) or 1.0)
    if log:
        set_log(ax, which, 10 ** (low - pad), 10 ** (high + pad))
    else:
        set_linear(ax, which, low - pad, high + pad)


def draw_shares(ax, shares, xlabel, ylabel, named=None):
    """Step curves of shares between 0 and 1, from a dict of `Distribution`.

    A tick on a curve is where a budget of the solver's problems ended.
    """
    highest = max(found.share[-1] for found in shares.values())
    any_x = next(iter(shares.values())).x
    set_log(ax, "x", any_x[0], any_x[-1])
    set_linear(ax, "y", 0.0, min(1.0, max(1.1 * highest, 0.1)))
    names = []
    for solver, found in shares.items():
        if named is not None and solver not in named:
            ax.step(found.x, found.share, where="post", color=GREY, linewidth=0.7)
            continue
        look = style(solver)
        (line,) = ax.step(
            found.x, found.share, where="post", color=look.color, zorder=3
        )
        at = np.searchsorted(found.x, [b for b in found.budgets if b <= found.x[-1]])
        ax.plot(found.x[at], found.share[at], look.symbol, color=look.color, zorder=4)
        text = found.ends.title(solver)
        names.append(Name(text, found.share[-1], look.color, line))
    ax.set_xlabel(xlabel)
    ax.set_ylabel(f"{ylabel}\n↑ better")
    return names


def draw_strips(ax, strips, xlabel, start=None, named=None):
    """One row of dots a solver, a dot a run and a bar at their median.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    strips : list of (str, str, array)
        Solver, what it is called, and its runs' values, from the top row down.
    xlabel : str
    start : float, optional
        A dotted line there.
    named : collection of str, optional
        Solvers in colour. All by default.
    """
    for k, (solver, _, values) in enumerate(strips):
        look = style(solver)
        color = look.color if named is None or solver in named else GREY
        heights = [k] if len(values) == 1 else k + np.linspace(-0.2, 0.2, len(values))
        ax.plot(
            *(values, heights),
            look.symbol,
            color=color,
            markersize=4,
            markeredgecolor="white",
            zorder=3,
        )
        if len(values):
            median = np.median(values)
            ax.plot([median] * 2, [k - 0.35, k + 0.35], color=color, linewidth=1.8)
    if start is not None:
        ax.axvline(start, color="#6e7781", linewidth=0.8, linestyle=":")
        ax.annotate(
            "start",
            (start, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=6.5,
        )
    ax.set_yticks(range(len(strips)), [text for _, text, _ in strips])
    ax.set_ylim(len(strips) - 0.4, -0.6)
    # Numbers may differ in the last digit only, and those at an edge would leave it.
    low, high = ax.get_xlim()
    room = EDGE * (high - low)
    ticks = MaxNLocator(3).tick_values(low, high)
    ax.set_xticks([tick for tick in ticks if low + room <= tick <= high - room])
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel(xlabel)
    return []


def draw_sensitivity(ax, points):
    """Final suboptimality against the step size; crosses at the top where all diverged."""
    medians = np.concatenate([found.median for found in points.values()])
    alive = medians[np.isfinite(medians) & (medians > 0)]
    set_range(ax, "y", alive if alive.size else np.ones(1), log=True)
    steps = np.concatenate([found.steps for found in points.values()])
    set_range(ax, "x", steps, log=True)
    names = []
    for solver, (steps, y, low, high, ends) in points.items():
        look = style(solver)
        alive = np.isfinite(y)
        color = {"color": look.color}
        (line,) = ax.plot(
            steps[alive], y[alive], marker=look.symbol, markeredgecolor="white", **color
        )
        band = low[alive], np.minimum(high[alive], ax.get_ylim()[1])
        ax.fill_between(steps[alive], *band, alpha=0.18, linewidth=0, **color)
        _cross(ax, steps[~alive], look.color)
        height = y[alive][-1] if alive.any() and alive[-1] else np.nan
        names.append(Name(ends.title(solver), height, look.color, line))
    ax.set_xlabel("step size")
    ax.set_ylabel("suboptimality at the end\n↓ better")
    return names
