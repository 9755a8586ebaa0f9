"""Figures by matplotlib, of one panel or several: vectors at a paper's width."""

from fnmatch import fnmatch
from pathlib import Path

import click
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from benchmark_bilevel.report.labels import inches, name_ends
from benchmark_bilevel.report.look import COLUMN, HEIGHT, in_look, save
from benchmark_bilevel.report.panels import all_panels

LEGENDS = ("ends", "below", "none")
TOP, BOTTOM, RIGHT = 0.13, 0.42, 0.1  # inches around the axes
TITLE = 0.17
LABEL = 0.43  # inches, of two lines beside an axis and what is between
ROW = 0.15  # inches, of a legend


@in_look
def save_figures(
    results,
    folder,
    formats=("pdf",),
    only=("*",),
    layout=None,
    width=COLUMN,
    legend="ends",
    linear=False,
):
    """Draw what `results` has, a file for each figure and format.

    Parameters
    ----------
    results : DataFrame
    folder : path-like
    formats : sequence of str
        Endings that matplotlib knows.
    only : sequence of str
        Patterns; a figure is drawn if its file's name matches one.
    layout : (int, int), optional
        Rows and columns of figures in one file, ``panels-1`` and so on; alone if None.
    width : float
        Inches.
    legend : str
        One of `LEGENDS`.
    linear : bool
        Whether costs are on a linear axis.
    font : str
        Key of `look.FONTS`.

    Returns
    -------
    list of Path

    Raises
    ------
    click.ClickException
        In a line, where a format or a pattern is none, or the folder cannot be written.
    """
    folder = Path(folder)
    known = FigureCanvasBase.get_supported_filetypes()
    for ending in formats:
        if ending not in known:
            raise click.UsageError(
                f"no format {ending!r}; known are {', '.join(known)}."
            )
    panels = list(all_panels(results, linear))
    chosen = [p for p in panels if any(fnmatch(p.name, pattern) for pattern in only)]
    if panels and not chosen:
        raise click.UsageError(
            f"no figure is called {' or '.join(only)}; there are "
            f"{', '.join(panel.name for panel in panels)}."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"{folder} cannot be written: {error.strerror}."
        ) from None
    size = layout[0] * layout[1] if layout else 1
    paths = []
    for k in range(0, len(chosen), size):
        name = f"panels-{1 + k // size}" if layout else chosen[k].name
        figure = compose(chosen[k : k + size], layout or (1, 1), width, legend)
        for ending in formats:
            paths.append(folder / f"{name}.{ending}")
            save(figure, paths[-1])
    return paths


def compose(panels, layout=(1, 1), width=COLUMN, legend="ends", height=HEIGHT):
    """A figure of `panels`, row by row, all axes of one size.

    Parameters
    ----------
    panels : sequence of Panel
    layout : (int, int)
        Rows and columns.
    width, height : float
        Inches: of the figure, and of a panel without its title.
    legend : str
        Names at the "ends" of curves, one legend "below" all panels, or "none".
    """
    n_rows, n_columns = layout
    figure = Figure()
    all_axes = [figure.add_axes((0, 0, 1, 1), label=str(k)) for k in range(len(panels))]
    all_names = [panel.draw(ax) for panel, ax in zip(panels, all_axes, strict=True)]
    texts = [name.text for names in all_names for name in names]
    left = max(max(panel.left for panel in panels), *map(_left, all_axes))
    right = RIGHT + (0.08 + inches(texts) if legend == "ends" and texts else 0.0)
    top = TOP + (TITLE if len(panels) > 1 else 0.0)
    by_text = {name.text: name.artist for names in all_names for name in names}
    below, n_in_row = _legend_size(by_text, width) if legend == "below" else (0.0, 1)
    total = n_rows * (height + top - TOP) + below
    figure.set_size_inches(width, total)
    across, down = width / n_columns, height + top - TOP
    for k, (panel, ax) in enumerate(zip(panels, all_axes, strict=True)):
        row, column = divmod(k, n_columns)
        x, y = column * across + left, total - (row + 1) * down + BOTTOM
        w, h = across - left - right, down - BOTTOM - top
        ax.set_position((x / width, y / total, w / width, h / total))
        if len(panels) > 1:
            ax.set_title(panel.title)
        if legend == "ends":
            name_ends(ax, all_names[k])
    if below:
        figure.legend(
            *(by_text.values(), by_text.keys()),
            loc="lower center",
            ncols=n_in_row,
            frameon=False,
            handlelength=1.8,
            columnspacing=1.0,
            borderaxespad=0.1,
        )
    return figure


def _left(ax):
    """Inches that the numbers of the vertical axis and its label take."""
    numbers = ax.yaxis.get_major_locator().tick_values(*ax.get_ylim())
    texts = ax.yaxis.get_major_formatter().format_ticks(numbers)
    return LABEL + inches(texts) if ax.get_ylabel() else 0.0


def _legend_size(texts, available):
    """Inches that a legend needs below the panels, and its columns."""
    if not texts:
        return 0.0, 1
    longest = 0.42 + 0.055 * max(map(len, texts))
    n_columns = max(1, min(len(texts), int(available / longest)))
    return 0.1 + ROW * -(-len(texts) // n_columns), n_columns
