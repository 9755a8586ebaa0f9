"""What scripts of the site are given: JSON, and lists of numbers each of them once."""

import json
import math
from decimal import Decimal

import numpy as np

# A screen shows no more, and forty solvers have to stay below 300 kB.
DIGITS = 4  # of costs
LEVELS = 2000  # of values, from the lowest to the highest
FEWEST, MOST = 3, 15  # digits


def digits_of(values, log=False):
    """Significant digits with which the axis of `values` has so many `LEVELS`, or more."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not values.size or np.ptp(values) == 0:
        return DIGITS
    # The share of the axis that a change by the factor 1 + ε takes, over ε.
    slope = 1 / np.ptp(np.log(values)) if log else abs(values).max() / np.ptp(values)
    return min(max(math.ceil(math.log10(LEVELS * slope)), FEWEST), MOST)


def as_script_text(value):
    """JSON as in a page: no text in it ends a script or begins a comment."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", r"\u003c")


class Pool:
    """Lists of rounded numbers, each kept once."""

    def __init__(self):
        self._known = {}

    def index(self, values, digits):
        """Where the list of `values`, with as many `digits`, is among the lists."""
        numbers = ",".join(_number(value, digits) for value in values)
        return self._known.setdefault(numbers, len(self._known))

    @property
    def text(self):
        """The lists as JSON."""
        return f"[{','.join(f'[{numbers}]' for numbers in self._known)}]"


def _number(value, digits):
    """Rounded, for JSON and as short as can be; null if it is no number."""
    if not np.isfinite(value):
        return "null"
    number = Decimal(f"{value:.{digits}g}").normalize()
    sign, figures, exponent = number.as_tuple()
    short = f"{'-' * sign}{''.join(map(str, figures))}e{exponent}"
    return min(f"{number:f}", short, key=len)
