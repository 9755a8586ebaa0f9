"""What all figures have in common: fonts, sizes, the scales of axes and their labels."""

import math
from functools import wraps

import matplotlib.pyplot as plt
from matplotlib.ticker import (
    LogFormatterSciNotation,
    LogLocator,
    MaxNLocator,
    NullLocator,
)

from benchmark_bilevel.report.svg import shorter

COLUMN = 3.35  # inches: the column of a two-column page
HEIGHT = 2.2  # inches, of a panel
LOOK = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.2,
    "lines.markeredgewidth": 0.3,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "benchmark_bilevel",
    "text.parse_math": False,  # a dollar in a name is a dollar
}
# Faces with all signs that are used here; STIX is the Times of papers.
FONTS = {"sans": ["DejaVu Sans"], "serif": ["STIXGeneral", "DejaVu Serif"]}
NO_METADATA = {
    "pdf": {"CreationDate": None},
    "svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
}
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def in_look(function):
    """Decorator: run `function` with the settings of all figures."""

    @wraps(function)
    def in_context(*args, font="sans", **kwargs):
        with plt.rc_context({**LOOK, "font.family": FONTS[font]}):
            return function(*args, **kwargs)

    return in_context


def save(figure, path):
    """Write `figure`; equal figures give equal files."""
    figure.savefig(path, dpi=200, metadata=NO_METADATA.get(path.suffix[1:]))
    if path.suffix == ".svg":
        path.write_text(shorter(path.read_text(encoding="utf-8")), encoding="utf-8")


def power(exponent):
    """Text of a power of ten."""
    return "10" + str(exponent).translate(SUPERSCRIPTS)


class PowerFormatter(LogFormatterSciNotation):
    """Powers of ten as text with superscripts; plain numbers within a decade or two."""

    def __init__(self, plain):
        super().__init__()
        self.plain = plain

    def __call__(self, x, pos=None):
        if x <= 0:  # a linear step below the axis
            return ""
        exponent = math.floor(math.log10(x) + 1e-9)
        if self.plain and -3 <= exponent <= 3:
            return f"{x:g}"
        factor = f"{x / 10.0**exponent:.3g}"
        return (f"{factor}×" if factor != "1" else "") + power(exponent)


def set_log(ax, which, low, high):
    """A logarithmic axis from `low` to `high`, with two to seven numbers on it."""
    getattr(ax, f"set_{which}scale")("log")
    getattr(ax, f"set_{which}lim")(low, high)
    axis = getattr(ax, f"{which}axis")
    n_decades = math.log10(high / low)
    if n_decades > 2.2:
        axis.set_major_locator(LogLocator(numticks=7))
        axis.set_major_formatter(PowerFormatter(plain=False))
    else:
        subs = (1, 2, 5) if n_decades < 1.3 else (1, 3)
        wide = LogLocator(subs=subs, numticks=20)
        axis.set_major_locator(wide if n_decades > 0.7 else MaxNLocator(4))
        axis.set_major_formatter(PowerFormatter(plain=True))
    axis.set_minor_locator(NullLocator())  # they take longer than all else together


def set_linear(ax, which, low, high):
    """A linear axis from `low` to `high`, with few numbers on it and no offset."""
    getattr(ax, f"set_{which}lim")(low, high)
    getattr(ax, f"{which}axis").set_major_locator(MaxNLocator(5))
    ax.ticklabel_format(axis=which, useOffset=False)
