"""Runs in the mean over the random numbers that a method draws besides its batches."""

from itertools import count

import numpy as np

from benchmark_bilevel.oracles.samplers import random_below
from benchmark_bilevel.runtimes import arrays


def advance(runtime, stop, truncations=0):
    """Run until iteration `stop`, each the mean over ``inner.uniform(truncations)``.

    From one state every value of that integer makes a step, and the mean of the states
    after it is where the next iteration starts: with full batches, where nothing else is
    drawn, and estimates linear in theirs, the mean of all runs.
    """
    if not truncations:
        runtime.advance(stop)
        return
    # The integer is the first that comes from the generator of the inner sampler.
    generator = runtime.samplers[0].cursor[1:]
    seeds = [_seed_of(p, truncations) for p in range(truncations)]
    variables = arrays(runtime.state)
    for t in range(runtime.t, stop):
        start = [1.0 * y for y in variables]
        mean = [0.0 * y for y in variables]
        for seed in seeds:
            for y, y_start in zip(variables, start, strict=True):
                y[:] = y_start
            generator[0], runtime.t = seed, t
            runtime.advance(t + 1)
            for total, y in zip(mean, variables, strict=True):
                total += y / truncations
        for y, total in zip(variables, mean, strict=True):
            y[:] = total


def _seed_of(p, n):
    """State of the samplers' generator after which its integer below `n` is `p`."""
    for seed in count():
        if random_below(np.array([0, seed], np.uint64), n) == p:
            return np.uint64(seed)


def is_random(subject, problem, **parameters):
    """Whether runs with full batches depend on the seed."""
    ends = []
    for seed in (1, 2):
        runtime = subject.runtime(problem, seed=seed, **parameters)
        runtime.advance(12)
        ends.append(np.concatenate(runtime.variables()))
    return not np.array_equal(*ends)


def mean_and_error(samples):
    """Mean over the first axis of `samples`, independent ones, and its standard error."""
    error = np.std(samples, axis=0) / np.sqrt(len(samples))
    return np.mean(samples, axis=0), np.maximum(error, 1e-12)
