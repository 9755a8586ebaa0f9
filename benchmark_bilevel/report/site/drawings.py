"""The pages' figures: vectors that a browser shows without any script."""

from benchmark_bilevel.report.curves import AXES, curves
from benchmark_bilevel.report.figures import (
    add_legend,
    curve_figure,
    draw_curves,
    file_name,
    in_look,
    new_figure,
    save,
    share_figure,
)
from benchmark_bilevel.report.targets import empirical_distribution

WIDE = (4.4, 2.9)
PANEL = (2.7, 2.1)  # inches, of one of many


def main_curves(results, problem, axis):
    """Curves of the suboptimality, and the metric's name.

    Without a reference minimum those of the test loss at z: unlike h, which costs much
    there, it is known at every point.
    """
    found = curves(results, problem, "suboptimality", axis)
    if found:
        return found, "suboptimality"
    return curves(results, problem, "test_loss", axis), "test_loss"


@in_look
def draw_problem(results, problem, folder):
    """The curves of all solvers against both costs."""
    for axis in AXES:
        found, metric = main_curves(results, problem, axis)
        figure = curve_figure(found, metric, axis, size=WIDE)
        save(figure, folder / f"{file_name('problem', problem, axis)}.svg")


@in_look
def draw_solver(results, solver, folder):
    """A panel for each problem, with this solver in colour and all others in grey."""
    names = results.loc[results["solver"] == solver, "problem"].unique()
    for problem in names:
        found, metric = main_curves(results, problem, "seconds")
        figure, ax = new_figure(PANEL)
        draw_curves(ax, found, metric, "seconds", highlight=solver)
        ax.minorticks_off()
        if sum(curve.solver == solver for curve in found) > 1:
            add_legend(figure, ax)
        save(figure, folder / f"{file_name('solver', solver, problem)}.svg")


@in_look
def draw_shares(results, folder):
    """The distribution over targets against both costs; names of the files."""
    names = []
    for axis in AXES:
        shares = empirical_distribution(results, axis)
        if shares:
            figure = share_figure(
                shares, AXES[axis][1], "share of targets reached", size=WIDE
            )
            names.append(f"{file_name('targets', axis)}.svg")
            save(figure, folder / names[-1])
    return names
