"""One colour and one marker a solver, in all figures and on all pages."""

from typing import NamedTuple
from zlib import crc32

from matplotlib.colors import to_rgb

# After Okabe and Ito's palette for all kinds of colour vision; each has a contrast to
# white of at least 3.
COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#C0588F", "#BF7800"),
    *("#2E8BC0", "#000000", "#6A3D9A", "#7A4B00", "#5C6670"),
)
# Numbers of plotly's symbols and the same shapes in matplotlib; "x" is for divergence.
MARKERS = (
    (0, "o"),
    (1, "s"),
    (2, "D"),
    (5, "^"),
    (6, "v"),
    (17, "*"),
    (13, "p"),
    (3, "P"),
    (7, "<"),
    (8, ">"),
    (14, "h"),
)
DASHES = ("solid", "dash", "longdash", "dashdot")
# The order gives the styles and never changes: new solvers go to the end.
SOLVERS = (
    *("SOBA", "SABA", "AmIGO", "stocBiO", "BSGM", "MRBO", "VRBO"),
    *("ALSET", "BSA", "TTSA", "FSLA", "SUSTAIN", "SRBA", "SPABA", "MA-SOBA", "F2SA"),
    *("AID-CG", "AID-FP", "ALSET-LS", "ALSET-dagger", "BOME", "BiAdam", "F2BA"),
    *("F2SA-p", "F3SA", "FO-ITD", "ITD", "MSEBA", "PZOBO", "SFFBA", "SMB"),
    *("SOBA-Adam", "STABLE", "SVRB", "T1-T2", "V-PBGD", "VR-BiAdam"),
)


class Style(NamedTuple):
    """How to draw a curve."""

    color: tuple  # red, green, blue in [0, 1]
    marker: int  # plotly's number
    symbol: str  # matplotlib's
    dash: str


def style(solver, rank=0, number=1):
    """The style of a solver; variants differ by their shade and dashes.

    Parameters
    ----------
    solver : str
        Name without parameters.
    rank, number : int
        Which of how many variants in the figure.

    Returns
    -------
    Style
    """
    n_styles = len(COLORS) * len(MARKERS)  # coprime: all pairs occur
    if solver in SOLVERS:
        index = SOLVERS.index(solver)
    else:  # the same on every page, whatever else is drawn there
        free = n_styles - len(SOLVERS)
        index = len(SOLVERS) + crc32(solver.encode()) % free
    marker, symbol = MARKERS[index % len(MARKERS)]
    color = _shade(to_rgb(COLORS[index % len(COLORS)]), rank / max(1, number - 1))
    return Style(color, marker, symbol, DASHES[rank % len(DASHES)])


def _shade(color, fraction):
    """From the colour itself at 0 to nearly a middle grey, no fainter, at 1."""
    return tuple(part + 0.7 * fraction * (0.42 - part) for part in color)
