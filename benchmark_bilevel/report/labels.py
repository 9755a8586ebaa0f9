"""Names beside what they name: at the ends of curves, none over another."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

LINE = 0.125  # inches from one line of names to the next
CHARACTER = 0.062  # inches, of a name at most


class Name(NamedTuple):
    """The name of a curve that ends at the height `y`, in the data's units."""

    text: str
    y: float
    color: tuple
    artist: object  # for a legend


def wrapped(text):
    """`text` with its remarks on a second line."""
    return text.replace(" (", "\n(", 1)


def inches(texts):
    """Inches that the longest line of `texts` takes."""
    lines = [line for text in texts for line in wrapped(text).splitlines()]
    return CHARACTER * max(map(len, lines), default=0)


def name_ends(ax, names):
    """Write `names` to the right of `ax`, each with a line to the end of its curve."""
    if not names:
        return
    height = ax.get_position().height * ax.figure.get_figheight()
    ends = ax.transAxes.inverted().transform(
        [ax.transData.transform((ax.get_xlim()[1], name.y)) for name in names]
    )[:, 1]
    ends = np.clip(np.nan_to_num(ends, nan=1.0), 0.0, 1.0)
    n_lines = np.array([wrapped(name.text).count("\n") + 1 for name in names])
    order = np.argsort(ends, kind="stable")
    places = spread(ends[order], n_lines[order] * LINE / height)
    for k, place in zip(order, places, strict=True):
        ax.annotate(
            wrapped(names[k].text),
            xy=(1.0, ends[k]),
            xytext=(1.0 + 0.13 / _inches_wide(ax), place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=legible(names[k].color),
            fontsize=7,
            linespacing=0.95,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": names[k].color,
                "linewidth": 0.6,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def _inches_wide(ax):
    return ax.get_position().width * ax.figure.get_figwidth()


def spread(ends, heights):
    """Centres of boxes of these `heights`, as near as can be to `ends`, none overlapping.

    Parameters
    ----------
    ends : array, increasing
        In [0, 1], where all boxes are if there is room.
    heights : array

    Returns
    -------
    array
    """
    above = np.cumsum(heights) - heights / 2
    # Then the boxes are in order and apart if these numbers increase.
    free = isotonic_regression(ends - above).x
    room = 1.0 - heights.sum()
    return np.clip(free, min(0.0, room / 2), max(room, room / 2)) + above


def luminance(color):
    """Relative luminance of a colour, as WCAG defines it."""
    parts = np.asarray(color, float)
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(color):
    """Contrast of a colour to white, from 1 to 21."""
    return 1.05 / (luminance(color) + 0.05)


def legible(color, least=4.5):
    """`color`, darker if need be for small text on white."""
    while contrast(color) < least:
        color = tuple(0.95 * part for part in color)
    return color
