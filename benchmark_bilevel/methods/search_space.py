"""Where the search looks for a solver's parameters, in units of the problem."""

import math
from typing import NamedTuple


class LogUniform(NamedTuple):
    """A range on the logarithmic scale.

    Parameters
    ----------
    low, high : float
        The edges, in `unit`.
    unit : {"", "1/L", "u", "epoch"}
        1; 1 / L_g, with L_g the largest eigenvalue of ∇²zz g at (z*(x0), x0); 1 /
        ‖∇h(x0)‖∞; iterations in one pass over the inner samples.
    integer : bool
        Whether values are rounded to integers ≥ 1.
    """

    low: float
    high: float
    unit: str = ""
    integer: bool = False

    def at(self, share, units):
        """The value at `share` ∈ [0, 1] of the way; `units` has ``of(unit)``."""
        value = self.low * (self.high / self.low) ** share * units.of(self.unit)
        return max(round(value), 1) if self.integer else float(value)

    def share(self, value, units):
        """How far `value` is on the way from the lower to the upper edge."""
        relative = value / units.of(self.unit) / self.low
        return math.log(relative) / math.log(self.high / self.low)


STEP = LogUniform(2**-6, 2.0, "1/L")  # of z
LINEAR_STEP = LogUniform(2**-4, 1.5, "1/L")  # of v, and η of a Neumann series
OUTER_STEP = LogUniform(1e-4, 1e3, "u")  # of x
COUNT = LogUniform(1, 100, integer=True)  # steps or terms
PERIOD = LogUniform(0.1, 10.0, "epoch", integer=True)
WEIGHT = LogUniform(0.01, 1.0)  # of a moving average
