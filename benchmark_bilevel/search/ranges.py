"""Where the search looks for parameters: one range a name, in units of the problem."""

import math
from numbers import Real
from typing import NamedTuple

import click

from benchmark_bilevel.parameters import Integer, Number

MAX_FREE = 5  # parameters of a solver
OUTER_STEP = "outer_step"  # searched in place of its quotient `outer_ratio`


class LogUniform(NamedTuple):
    """A range on the logarithmic scale.

    Parameters
    ----------
    low, high : float
        The edges, in `unit`.
    unit : {"", "1/L", "u", "epoch", "1/epoch"}
        1; 1 / L_g, with L_g the largest eigenvalue of ∇²zz g at (z*(x0), x0); 1 /
        ‖∇h(x0)‖∞; iterations in one pass over the inner samples, and its inverse.
    integer : bool
        Whether values are rounded to integers ≥ 1.
    at_most : float
        Bound on the value, whatever the unit is.
    """

    low: float
    high: float
    unit: str = ""
    integer: bool = False
    at_most: float = math.inf

    def at(self, share, units):
        """The value at `share` ∈ [0, 1] of the way; `units` has ``of(unit)``."""
        value = self.low * (self.high / self.low) ** share * units.of(self.unit)
        value = min(value, self.at_most)
        return max(round(value), 1) if self.integer else float(value)

    def share(self, value, units):
        """How far `value` is on the way from the lower to the upper edge."""
        relative = value / units.of(self.unit) / self.low
        return math.log(relative) / math.log(self.high / self.low)


COUNT = LogUniform(1, 100, integer=True)
# The same for all solvers on all problems.
RANGES = {
    "step_size": LogUniform(2**-6, 2.0, "1/L"),
    "linear_step": LogUniform(2**-4, 1.5, "1/L"),
    OUTER_STEP: LogUniform(1e-4, 1e3, "u"),
    "n_inner": COUNT,
    "n_linear": COUNT,
    "n_neumann": COUNT,
    "n_perturbations": COUNT,
    "n_steps": COUNT,
    "n_terms": COUNT,
    "period": LogUniform(0.1, 10.0, "epoch", integer=True),
    "probability": LogUniform(0.1, 10.0, "1/epoch", at_most=1.0),
    "weight": LogUniform(1e-3, 1.0),
    "penalty": LogUniform(1.0, 1e4),
    "smoothing": LogUniform(1e-4, 1.0),
}
# Of x, where a method divides its direction by its own size: such a step is a length.
SCALED_STEP = LogUniform(1e-4, 10.0)


def ranges_of(solver):
    """The ranges in which a solver's parameters are searched.

    Parameters
    ----------
    solver : subclass of BilevelSolver
        Its `search_space` has names of `RANGES`, or ``(name, low, high)``.

    Returns
    -------
    dict
        `LogUniform` by name, in the order of `search_space`.

    Raises
    ------
    click.UsageError
        Where `search_space` is none, in one line.
    """
    ranges = {}
    try:
        if isinstance(solver.search_space, str):
            raise ValueError(f"{solver.search_space!r} is no list")
        for entry in solver.search_space:
            name, *edges = [entry] if isinstance(entry, str) else entry
            if name in ranges:
                raise ValueError(f"{name!r} is there twice")
            ranges[name] = _range(solver, name, edges)
        if {OUTER_STEP, "outer_ratio"} <= ranges.keys():
            raise ValueError(f"{OUTER_STEP!r} and 'outer_ratio' are one step of x")
        if len(ranges) > MAX_FREE:
            raise ValueError(f"{len(ranges)} parameters, of {MAX_FREE} at most")
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"{solver.name}: search_space: {error}.") from None
    return ranges


def _range(solver, name, edges):
    """The range of the parameter `name`; `ValueError` where it cannot be one."""
    if name == OUTER_STEP and not edges:
        return SCALED_STEP if solver.scales_steps else RANGES[name]
    if name not in (OUTER_STEP, *solver.parameters):
        raise ValueError(f"{name!r} is no parameter of this solver")
    legal = Number(above=0) if name == OUTER_STEP else solver.ranges.get(name)
    if not isinstance(legal, Number):
        raise ValueError(f"{name!r} is no number")
    if len(edges) == 2:
        low, high = edges
        if not all(isinstance(edge, Real) for edge in edges):
            raise ValueError(f"{name!r} needs numbers as edges, not {edges!r}")
        found = LogUniform(low, high, integer=isinstance(legal, Integer))
        if not (0 < low < high and high / low < math.inf):
            raise ValueError(f"{name!r} from {low!r} to {high!r} is no positive range")
    elif name in RANGES and not edges:
        found = RANGES[name]
    else:
        raise ValueError(f"{name!r} needs its edges: ({name!r}, low, high)")
    for edge in (found.low, found.high) if not found.unit else ():
        try:
            legal(edge)
        except ValueError as error:
            raise ValueError(
                f"{name}={edge!r} is not valid; expected {error}"
            ) from None
    return found
