"""The pages' figures: vectors that a browser shows without any script."""

from math import isqrt
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from benchmark_bilevel.report.figures import compose
from benchmark_bilevel.report.look import in_look, save
from benchmark_bilevel.report.metrics import AXES
from benchmark_bilevel.report.panels import (
    Panel,
    curve_panel,
    end_panels,
    main_metric,
    step_panel,
    target_panels,
    variant_panels,
)
from benchmark_bilevel.report.search_panels import best_panel, plane_panels

WIDE = {"width": 5.0, "height": 3.0}  # inches
SMALL = {"width": 2.9, "height": 2.1}  # one of many
SLIM = {"width": 3.3, "height": 2.2}  # for telephones, and the index
PIXELS = 120  # an inch


class Picture(NamedTuple):
    """A figure in a file of the site, and a smaller one for telephones."""

    file: str
    width: int  # pixels
    height: int
    small: object = None  # a `Picture`, or None


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
        name: _both(panel, folder, names, "problem", problem, name)
        for name, panel in panels.items()
        if panel
    }


@in_look
def draw_variants(results, problem, folder, names):
    """A small `Picture` for each solver that ran with several parameters, by its name."""
    panels = variant_panels(results, problem)
    return _each(panels, folder, names, "problem", problem, "variants")


@in_look
def draw_steps(results, problem, folder, names):
    """The ends against the step size; None if no solver ran with several."""
    panel = step_panel(results, problem)
    return panel and _both(panel, folder, names, "problem", problem, panel.name)


@in_look
def draw_learnt(results, problem, folder, names):
    """The images that the run with the lowest h at its end has learnt, in a row.

    Returns
    -------
    picture : Picture or None
        None where no run has learnt any.
    label : str
        The run's.
    """
    if "final_results" not in results:
        return None, ""
    runs = results[results["problem"] == problem]
    images = runs["final_results"].map(_images).dropna()
    if images.empty:
        return None, ""
    best = runs.loc[images.index].sort_values("objective_value").iloc[0]
    images = images[best.name]
    side = isqrt(images.shape[1])
    size = WIDE["width"], WIDE["width"] / 8
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(images), squeeze=False)[0]
    for image, axis in zip(images, axes, strict=True):
        axis.imshow(image.reshape(side, side), cmap="gray")
        axis.set_axis_off()
    return _saved(figure, folder, names("problem", problem, "learnt")), best["label"]


def _images(final):
    """Learnt square images, a row each, that a run's final results have, or None.

    Anyone may have written the file: few, of few pixels, all finite.
    """
    found = final.get("images") if isinstance(final, dict) else None
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
        return None
    n_images, n_pixels = found.shape
    is_square = isqrt(n_pixels) ** 2 == n_pixels
    fits = 0 < n_images <= 20 and 0 < n_pixels <= 10_000 and is_square
    return found if fits and np.isfinite(found).all() else None


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
    return [_both(panel, folder, names, panel.name) for panel in panels]


@in_look
def draw_search(search, folder, names):
    """`Picture` of the best after k trials, and of each solver's plane of steps."""
    best = _both(best_panel(search), folder, names, "trials", search.name)
    return best, _each(plane_panels(search), folder, names, "plane", search.name)


def _each(panels, folder, names, *parts):
    """From the titles of `panels` to a small `Picture` of each, under its title."""
    return {
        panel.title: _saved(
            compose([panel], (1, 1), **SMALL), folder, names(*parts, panel.title)
        )
        for panel in panels
    }


def _both(panel, folder, names, *parts):
    """A `Picture` of `panel` that has a smaller one."""
    small = _saved(compose([panel], **SLIM), folder, names(*parts, "small"))
    wide = _saved(compose([panel], **WIDE), folder, names(*parts))
    return wide._replace(small=small)


def _saved(figure, folder, name):
    save(figure, folder / f"{name}.svg")
    width, height = (round(PIXELS * inches) for inches in figure.get_size_inches())
    return Picture(f"{name}.svg", width, height)
