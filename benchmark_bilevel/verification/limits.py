"""The check of long runs: where x rests."""

import numpy as np

from benchmark_bilevel.methods.facts import Penalised
from benchmark_bilevel.verification import Failed, NotDeclared
from benchmark_bilevel.verification.cases import (
    CONSTANT,
    EXACT,
    FULL,
    RAGGED,
    model_of,
    relative,
    small_quadratic,
)
from benchmark_bilevel.verification.means import advance, mean_and_error
from benchmark_bilevel.verification.predictions import fixed_point

# Pairs (step_size, outer_ratio): the second for methods that are stable for less.
STEPS = ((0.2, 4.0), (0.05, 40.0))
# Iterations with constant steps before they decrease, and of one look at x.
LIMIT, CHUNK = 40_000, 2000
# A run that leads further from 0 than this diverges.
FAR = 1e9


def limit(subject):
    """A long run on a quadratic ends at the minimum, up to the declared bias."""
    texts = [_limit(subject, FULL)]
    if subject.solver.variance_reduced:
        texts.append(_limit(subject, RAGGED))
    return "; ".join(texts)


def _limit(subject, batches):
    problem = small_quadratic()
    minimiser = problem.minimiser()
    for pair in STEPS:
        runtime, parameters = _start(subject, batches, *pair)
        estimate = subject.estimate(**parameters)
        if estimate is not None and estimate.noisy:
            return _mean_limit(subject, runtime, parameters)
        if estimate is not None and estimate.use == "vanishing":
            return _vanishing_limit(subject, pair)
        x = _rest(runtime, estimate)
        if np.linalg.norm(x) < FAR:
            break
    else:
        raise Failed(f"the run diverges at step_size={pair[0]}, outer_ratio={pair[1]}")
    target = minimiser
    if estimate is not None:
        estimate = subject.estimate(runtime.t - 1, **parameters)
        step = runtime.schedule.inner
        target = fixed_point(estimate, model_of(problem), step)
    distance = np.linalg.norm(x - target)
    if distance <= EXACT * np.linalg.norm(target):
        return f"{_place(target, minimiser)}, to {distance:.0e}"
    start = problem.value_function(problem.initial_point()[1])
    best, value = problem.value_function(minimiser), problem.value_function(x)
    falls = f"h − h* falls from {start - best:.2g} to {value - best:.2g}"
    if estimate is None and not subject.solver.unbiased and value < start:
        raise NotDeclared(f"{falls}; a static method estimate says where it has to end")
    # Steps of its own that decrease leave a method on its way after any number of them.
    on_its_way = runtime.t > LIMIT and value - best <= 1e-3 * (start - best)
    if estimate is None and on_its_way:
        return falls
    where = "the minimum" if estimate is None else "the predicted limit"
    raise Failed(
        f"after {runtime.t} iterations x is {distance:.2g} from {where} "
        f"(h − h* = {value - best:.2g}, at the start {start - best:.2g})"
    )


def rests_at_the_minimum(subject):
    """Whether long runs with full batches reach the minimum of h."""
    runtime, _ = _start(subject, FULL, *STEPS[0])
    return relative(_rest(runtime, None), small_quadratic().minimiser()) <= EXACT


def _start(subject, batches, step, ratio):
    """A runtime for a long run, and the parameters of its steps."""
    parameters = {"step_size": step, "linear_step": step}
    estimate = subject.estimate(**parameters)
    if isinstance(estimate, Penalised):
        ratio *= max(1.0, estimate.penalty)
    parameters["outer_ratio"] = ratio
    return subject.runtime(
        small_quadratic(), **parameters, **batches, **CONSTANT
    ), parameters


def _rest(runtime, estimate):
    """x when it moves no more, or when steps have become small.

    Constant steps may end in a cycle as large as they are (Adam's, normalised ones);
    after `LIMIT` iterations they decrease: x's alone where z is declared to need no
    more. Normalised steps of x do not become shorter on their own, and with shorter ones
    z and v would not keep up.
    """
    truncations = 0 if estimate is None else estimate.truncations
    keeps_up = estimate is not None and estimate.inner_use == "plain"
    decreasing = ("outer",) if keeps_up else ("inner", "linear", "outer")
    while runtime.t < LIMIT + 12 * CHUNK:
        if runtime.t >= LIMIT:
            steps = runtime.schedule._asdict()
            runtime.schedule = runtime.schedule._replace(
                **{name: steps[name] / 4 for name in decreasing}
            )
        # Between neighbours: a cycle's length may divide that of a chunk.
        advance(runtime, runtime.t + CHUNK - 1, truncations)
        _, x_old = runtime.variables()
        advance(runtime, runtime.t + 1, truncations)
        _, x = runtime.variables()
        if not np.linalg.norm(x - x_old) > 1e-11 or not np.linalg.norm(x) < FAR:
            break
    return x


def _mean_limit(subject, runtime, parameters, chunk=1000, n_chunks=200):
    """A method that stays noisy with full batches: the mean of x at the end.

    On a quadratic an iteration is affine, so that the mean rests where D = 0.
    """
    problem = small_quadratic()
    estimate = subject.estimate(**parameters)
    target = fixed_point(estimate, model_of(problem), runtime.schedule.inner)
    runtime.advance(20_000)
    means = []
    for _ in range(n_chunks):
        points = []
        for _ in range(10):
            runtime.advance(runtime.t + chunk // 10)
            points.append(runtime.variables()[1])
        means.append(np.mean(points, axis=0))
    mean, error = mean_and_error(means)
    score = np.abs((mean - target) / error).max()
    if not score <= 5:
        raise Failed(
            f"after {runtime.t} iterations the mean of x is {score:.0f} standard errors "
            "from the predicted limit"
        )
    place = _place(target, problem.minimiser())
    return f"{place}, to {score:.1f} standard errors of {np.linalg.norm(error):.0e}"


def _vanishing_limit(subject, pair):
    """A method that rests near its limit, at a distance that falls with the steps."""
    step, ratio = pair
    problem, distances = small_quadratic(), []
    for size in (step, step / 4):
        runtime, parameters = _start(subject, FULL, size, ratio)
        runtime.advance(round(20_000 * step / size))
        target = fixed_point(
            subject.estimate(**parameters), model_of(problem), runtime.schedule.inner
        )
        distances.append(np.linalg.norm(runtime.variables()[1] - target))
    shown = ", ".join(f"{distance:.1e}" for distance in distances)
    if not distances[1] <= distances[0] / 2:
        raise Failed(
            f"with steps ρ and ρ / 4 x ends {shown} from the predicted limit, and that "
            "was to vanish with ρ"
        )
    return (
        f"{_place(target, problem.minimiser())}, within {shown} for steps ρ and ρ / 4"
    )


def _place(target, minimiser):
    bias = np.linalg.norm(target - minimiser)
    return "the minimum" if bias < 1e-9 else f"its bias of {bias:.2g} away"
