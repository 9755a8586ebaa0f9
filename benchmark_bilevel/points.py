"""The iterations at which a run is evaluated."""

import math


def evaluation_points(stop, per_decade=8):
    """Increasing iterations up to `stop`, about `per_decade` a decade, ending there."""
    point, k = 0, 0
    while point < stop:
        following = min(round(10 ** (k / per_decade)), stop)
        k += 1
        if following > point:
            point = following
            yield point


def expected_points(solver, t, oracle_calls):
    """How many points a run will have; None if no more than a clock ends it.

    Parameters
    ----------
    solver : BilevelSolver or ExactSolver
        Its limits count.
    t, oracle_calls : int
        Done so far: what remains is taken to cost the same.
    """
    stops = [solver.max_iterations]
    if solver.max_oracle_calls and oracle_calls:
        stops.append(math.ceil(solver.max_oracle_calls * t / oracle_calls))
    stop = min(filter(None, stops), default=None)
    return None if stop is None else 1 + len(list(evaluation_points(stop)))
