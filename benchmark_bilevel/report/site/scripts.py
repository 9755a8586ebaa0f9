"""What scripts of the site are given: JSON, and lists of numbers each of them once."""

import json

import numpy as np

# A screen shows no more digits, and forty solvers have to stay below 300 kB.
DIGITS, DIGITS_OF_BANDS = 4, 2


def as_script_text(value):
    """JSON as in a page: no text in it ends a script or begins a comment."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", r"\u003c")


class Pool:
    """Lists of rounded numbers, each kept once."""

    def __init__(self):
        self.lists, self._known = [], {}

    def index(self, values, digits):
        """Where the list of `values`, with as many `digits`, is among ``lists``."""
        numbers = tuple(_number(value, digits) for value in values)
        if numbers not in self._known:
            self._known[numbers] = len(self.lists)
            self.lists.append(list(numbers))
        return self._known[numbers]


def _number(value, digits):
    """Rounded, for JSON and as short as can be; None if it is no number."""
    if not np.isfinite(value):
        return None
    number = float(f"{value:.{digits}g}")
    return int(number) if number.is_integer() else number
