"""The pages' figures: vectors that a browser shows without any script."""

from typing import NamedTuple

from benchmark_bilevel.report.figures import compose
from benchmark_bilevel.report.look import in_look, save
from benchmark_bilevel.report.metrics import AXES
from benchmark_bilevel.report.panels import (
    Panel,
    curve_panel,
    end_panels,
    main_metric,
    target_panels,
    variant_panels,
)

WIDE = {"width": 5.0, "height": 3.0}  # inches
SMALL = {"width": 2.9, "height": 2.1}  # one of many
THUMBNAIL = {"width": 3.3, "height": 2.1}
N_ACROSS = 4  # panels of a solver's variants each
PIXELS = 120  # an inch


class Picture(NamedTuple):
    """A figure in a file of the site."""

    file: str
    width: int  # pixels
    height: int


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
    dict of Picture
        By what they show; empty where h is not known at all.
    """
    metric = main_metric(results, problem)
    if metric is None:
        panels = {panel.name: panel for panel in end_panels(results, problem)}
    else:
        panels = {axis: curve_panel(results, problem, metric, axis) for axis in AXES}
    return {
        name: _saved(compose([panel], **WIDE), folder, names("problem", problem, name))
        for name, panel in panels.items()
        if panel
    }


@in_look
def draw_thumbnail(results, problem, folder, names):
    """The first of a problem's figures, small; None if there is none."""
    metric = main_metric(results, problem)
    if metric is None:
        panel = next(iter(end_panels(results, problem)), None)
    else:
        panel = curve_panel(results, problem, metric, "seconds")
    if panel is None:
        return None
    figure = compose([panel], **THUMBNAIL)
    return _saved(figure, folder, names("problem", problem, "small"))


@in_look
def draw_variants(results, problem, folder, names):
    """Small multiples, a panel for each solver that ran with several parameters."""
    panels = variant_panels(results, problem)
    if not panels:
        return None
    n_across = min(N_ACROSS, len(panels))
    layout = (-(-len(panels) // n_across), n_across)
    size = {"width": n_across * SMALL["width"], "height": SMALL["height"]}
    figure = compose(panels, layout, **size)
    return _saved(figure, folder, names("problem", problem, "variants"))


@in_look
def draw_solver(results, solver, problem, folder, names):
    """This solver on `problem` in colour, the others in grey; None if nothing is known."""
    metric = main_metric(results, problem)
    if metric is None:
        panel = next(iter(end_panels(results, problem, solver)), None)
    else:
        panel = curve_panel(results, problem, metric, "seconds", solver=solver)
    if panel is None:
        return None
    figure = compose([panel], legend="none", **SMALL)
    return _saved(figure, folder, names("solver", solver, problem))


@in_look
def draw_shares(results, folder, names):
    """The distribution over targets against both costs, a `Picture` each."""
    panels = [Panel(*found) for axis in AXES for found in target_panels(results, axis)]
    return [
        _saved(compose([panel], **WIDE), folder, names(panel.name)) for panel in panels
    ]


def _saved(figure, folder, name):
    save(figure, folder / f"{name}.svg")
    width, height = (round(PIXELS * inches) for inches in figure.get_size_inches())
    return Picture(f"{name}.svg", width, height)
