"""The panels of which figures are made: what there is to draw in result files."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmark_bilevel.report.curves import curves
from benchmark_bilevel.report.distributions import (
    empirical_distribution,
    performance_profile,
)
from benchmark_bilevel.report.drawing import (
    draw_curves,
    draw_sensitivity,
    draw_shares,
    draw_strips,
)
from benchmark_bilevel.report.labels import inches
from benchmark_bilevel.report.metrics import AXES, FURTHER, METRICS, known, metric_on
from benchmark_bilevel.report.names import FileNames
from benchmark_bilevel.report.results import problems, titles
from benchmark_bilevel.report.tables import best_rows, sensitivity, summary
from benchmark_bilevel.report.targets import TARGETS, target_text

# Solvers in colour; further ones are grey, as their names would have no room.
LEADERS = 10
OTHERS = 5  # in grey behind a single solver
LONGEST = 18  # characters of parameters beside a curve
LEFT = 0.68  # inches, of numbers and the label beside an axis


class Panel(NamedTuple):
    """Something to draw on axes of its own."""

    name: str  # of its file
    title: str
    draw: Callable  # from axes to names
    left: float = LEFT  # inches that the labels of the vertical axis take


def all_panels(results, linear=False):
    """A `Panel` for each figure that `results` has the data for."""
    file_name = FileNames()
    title_of = titles(results)
    for problem in problems(results):
        title = title_of[problem]
        for metric in METRICS:
            for axis in AXES:
                found = curve_panel(results, problem, metric, axis, linear)
                if found:
                    name = file_name(problem, metric, axis)
                    yield found._replace(name=name, title=title)
        for panel in end_panels(results, problem):
            yield panel._replace(name=file_name(problem, panel.name), title=title)
        for panel in variant_panels(results, problem):
            yield panel._replace(
                name=file_name(problem, panel.name), title=f"{title}: {panel.title}"
            )
        found = step_panel(results, problem)
        if found:
            name = file_name(problem, found.name)
            yield found._replace(name=name, title=title)
    for axis in AXES:
        for panels in (target_panels, profile_panels):
            for name, title, draw in panels(results, axis):
                yield Panel(file_name(name), title, draw)


def curve_panel(results, problem, metric, axis, linear=False, solver=None):
    """Curves of all solvers, each with its best parameters; None if there are none.

    The first `LEADERS` of the table are in colour, the others grey; with `solver` it
    alone is in colour, the first of the others are grey, and variants are kept.
    """
    found = curves(results, problem, metric, axis)
    if not found:
        return None
    best = best_rows(results, problem)["name"].tolist()
    by_name = {curve.name: curve for curve in found}
    ordered = [by_name[name] for name in best if name in by_name]
    named = best[:LEADERS]
    if solver is not None:
        own = [curve for curve in found if curve.solver == solver]
        ordered = [curve for curve in ordered if curve.solver != solver]
        ordered = ordered[:OTHERS] + own
        named = [curve.name for curve in own]
    draw = partial(
        draw_curves,
        found=ordered,
        metric=metric_on(results, problem, metric),
        xlabel=AXES[axis][1],
        linear=linear,
        named=named,
        by_label=solver is not None,
    )
    return Panel("", "", draw)


def main_metric(results, problem):
    """The metric of a problem's curves: suboptimality, else h, else None.

    Half of the solvers have to have a curve of it: those without might be the best.
    Other metrics may rank the solvers another way round: they stand in only where
    nothing is known of h.
    """
    rows = results[results["problem"] == problem]
    best = best_rows(results, problem)
    ended = set(best["name"][[not ends.all_failed for ends in best["ends"]]])
    for metric in ("suboptimality", "value"):
        found = curves(results, problem, metric, "seconds")
        drawn = {curve.name for curve in found if curve.x.size} & ended
        if found and 2 * len(drawn) >= len(ended):
            return metric
    if rows["objective_value"].notna().any():
        return None
    return "test_loss" if curves(results, problem, "test_loss", "seconds") else None


def end_panels(results, problem, solver=None):
    """Strips of what is known at the ends of runs only.

    Those of the first `LEADERS` of the table, the best on top, and of `solver`.
    """
    rows = results[results["problem"] == problem]
    metrics = {"value": METRICS["value"], **FURTHER}
    if main_metric(results, problem) or rows["objective_value"].isna().all():
        return []
    spent = rows[rows["end"] == "budget"].drop_duplicates(
        ["variant", "idx_rep"], keep="last"
    )
    panels = []
    for name in known(spent, metrics):
        metric = metric_on(results, problem, name)
        values = spent.groupby("variant")[metric.column].apply(
            lambda own: own.dropna().to_numpy()
        )
        strips = [
            (
                row["solver"],
                row["ends"].title(row["solver"]),
                values.get(row["name"], ()),
            )
            for k, row in best_rows(results, problem).iterrows()
            if k < LEADERS or row["solver"] == solver
        ]
        at_start = rows.loc[rows["objective_iterations"] == 0, metric.column].dropna()
        draw = partial(
            draw_strips,
            strips=strips,
            xlabel=metric.line,
            start=at_start.median() if len(at_start) else None,
            named=None if solver is None else [solver],
        )
        left = inches([text for _, text, _ in strips]) + 0.1
        panels.append(Panel(f"end {name}", metric.title, draw, left))
    return panels


def variant_panels(results, problem):
    """The curves of all parameters of each solver that ran with several, in seconds.

    Of the first `LEADERS` of them in the table.
    """
    metric = main_metric(results, problem)
    if metric is None:
        return []
    by_name = {
        curve.name: curve for curve in curves(results, problem, metric, "seconds")
    }
    table = summary(results, problem)
    panels = []
    for solver, rows in table.groupby("solver", sort=False):
        places = zip(rows.index + 1, rows["name"], strict=True)
        own = [(place, by_name[name]) for place, name in places if name in by_name]
        if len(own) > 1:
            shorter = [
                curve._replace(label=_settings(curve, place)) for place, curve in own
            ]
            draw = partial(
                draw_curves,
                found=shorter,
                metric=metric_on(results, problem, metric),
                xlabel=AXES["seconds"][1],
                by_label=True,
            )
            panels.append(Panel(f"variants {solver}", solver, draw))
    return panels[:LEADERS]


def step_panel(results, problem):
    """The ends against the step size; None if no solver ran with several.

    Those of the first `LEADERS` of the table that did.
    """
    points = sensitivity(results, problem)
    best = [name for name in best_rows(results, problem)["solver"] if name in points]
    shown = {name: points[name] for name in best[:LEADERS]}
    draw = partial(draw_sensitivity, points=shown)
    return Panel("step size", problem, draw) if shown else None


def _settings(curve, place):
    """The parameters that vary if they are short, or the place in the table."""
    text = curve.label.removeprefix(curve.solver).strip()
    return text if 0 < len(text) <= LONGEST else f"no. {place}"


def target_panels(results, axis):
    """The distribution over targets, as triples (file's name, title, function)."""
    shares = empirical_distribution(results, axis)
    if shares:
        draw = _shares(shares, AXES[axis][1], "share of targets reached")
        yield f"targets reached {axis}", "all problems", draw


def profile_panels(results, axis):
    """Performance profiles, likewise, one for each target."""
    for target in TARGETS:
        shares = performance_profile(results, target, axis)
        if shares:
            text, xlabel = target_text(target), f"{axis}, relative to the fastest"
            draw = _shares(shares, xlabel, f"share of runs at {text}")
            yield f"profile {target:.0e} {axis}", f"{text} of the initial gap", draw


def _shares(shares, xlabel, ylabel):
    by_share = sorted(shares, key=lambda name: -shares[name].share.mean())
    named = by_share[:LEADERS]
    return partial(
        draw_shares, shares=shares, xlabel=xlabel, ylabel=ylabel, named=named
    )
