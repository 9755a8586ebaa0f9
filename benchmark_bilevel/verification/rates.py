"""How fast a solver converges on a quadratic, and how far from the minimum it ends."""

from typing import NamedTuple

import numpy as np

from benchmark_bilevel.verification.cases import (
    CONSTANT,
    FULL,
    RAGGED,
    model_of,
    small_quadratic,
)
from benchmark_bilevel.verification.predictions import fixed_point


class Line(NamedTuple):
    """log10(h − h*) of a run against its iterations, as a straight line."""

    slope: float  # decades an iteration
    deviation: float  # largest distance from the line, in decades
    iterations: int  # until h − h* is below the goal
    end: float  # the last h − h*


def line(subject, goal=1e-12, n_iterations=20_000, chunk=50, **steps):
    """`Line` of a run with small batches and constant steps."""
    problem = small_quadratic()
    runtime = subject.runtime(problem, **{**RAGGED, **CONSTANT, **steps})
    times, gaps = [0], [_gap(problem, runtime)]
    while gaps[-1] > goal and runtime.t < n_iterations:
        runtime.advance(runtime.t + chunk)
        times.append(runtime.t)
        gaps.append(_gap(problem, runtime))
    logarithms = np.log10(gaps)
    fitted = np.polyfit(times, logarithms, 1)
    deviation = np.abs(np.polyval(fitted, times) - logarithms).max()
    return Line(fitted[0], deviation, runtime.t, gaps[-1])


def _gap(problem, runtime):
    """h − h*, without the rounding of a difference."""
    _, x = runtime.variables()
    return 0.5 * problem.hypergradient(x) @ (x - problem.minimiser())


def slope(subject, first=1000, last=30_000, n_repetitions=20, **parameters):
    """Exponent of t in the mean of ‖x − x̄‖², x̄ being where the method rests.

    With its own decreasing steps and small batches, by least squares on the logarithms
    from iteration `first` to `last`.
    """
    problem = small_quadratic()
    runtime = subject.runtime(problem, **{**RAGGED, **parameters})
    estimate = subject.estimate(last, **parameters)
    target = fixed_point(estimate, model_of(problem), runtime.schedule.inner)
    times = np.unique(np.geomspace(first, last, 40).round().astype(int))
    squares = np.zeros(len(times))
    for seed in range(n_repetitions):
        runtime.start(seed)
        for k, t in enumerate(times):
            runtime.advance(int(t))
            _, x = runtime.variables()
            squares[k] += ((x - target) ** 2).sum()
    return np.polyfit(np.log(times), np.log(squares), 1)[0]


class Distances(NamedTuple):
    """Of where a long run ends, on a quadratic."""

    predicted: float  # from the minimum of h to where the estimate has x rest
    found: float  # from the minimum of h to where x is
    apart: float  # from the one point to the other


def distances(subject, n_iterations, **parameters):
    """`Distances` after a run with full batches and constant steps."""
    problem = small_quadratic()
    runtime = subject.runtime(problem, **{**FULL, **CONSTANT, **parameters})
    estimate = subject.estimate(**parameters)
    runtime.advance(n_iterations)
    predicted = fixed_point(estimate, model_of(problem), runtime.schedule.inner)
    minimiser, (_, found) = problem.minimiser(), runtime.variables()
    pairs = (predicted, minimiser), (found, minimiser), (found, predicted)
    return Distances(*(float(np.linalg.norm(a - b)) for a, b in pairs))
