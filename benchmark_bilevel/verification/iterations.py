"""The checks of single iterations: each as derived, and unbiased over the batches."""

import numpy as np

from benchmark_bilevel.methods.facts import Penalised
from benchmark_bilevel.verification import Failed, NotDeclared
from benchmark_bilevel.verification.cases import (
    CONSTANT,
    EXACT,
    FULL,
    ShiftedQuadratic,
    model_of,
    percent,
    quadratic_data,
    relative,
    small_problems,
    small_quadratic,
)
from benchmark_bilevel.verification.means import (
    advance,
    is_random,
    mean_and_error,
)
from benchmark_bilevel.verification.predictions import iteration


def directions(subject, problems=None):
    """With full batches every iteration is the one derived by autograd and algebra.

    On all small problems without a constraint, unless `problems` are given.
    """
    estimate = subject.estimate()
    if estimate is None:
        raise NotDeclared(
            "add a static method estimate(t, linear_step, …) that returns one of the "
            "kinds in `benchmark_bilevel.methods.facts`: what is behind x's step"
        )
    follows = not isinstance(estimate, Penalised) and estimate.inner_use == "plain"
    if not follows or estimate.noisy or estimate.use == "vanishing":
        return "judged by where it rests"
    problems = problems or [p for p in small_problems() if p.project is None]
    errors = [_follow(subject, problem, n_iterations=9) for problem in problems]
    return f"largest relative error {max(errors):.0e}"


def _follow(subject, problem, n_iterations):
    """Compare a run with `predictions.iteration`; the largest relative error."""
    step, outer_step = 0.3, 0.15
    steps = {"step_size": step, "outer_ratio": step / outer_step, "linear_step": 0.4}
    name = subject.preferred if problem is small_quadratic() else "torch"
    runtime = subject.runtime(problem, runtime=name, **steps, **FULL, **CONSTANT)
    model, worst = model_of(problem), 0.0
    z, x = runtime.variables()
    v = np.zeros_like(z)
    for t in range(n_iterations):
        estimate = subject.estimate(t, **steps)
        advance(runtime, t + 1, estimate.truncations)
        z_found, x_found = runtime.variables()
        direction, z_end, v = iteration(estimate, model, z, v, x, x_found, step)
        compared = [("z", z_found, z_end)]
        if estimate.use == "plain":
            found = (x - x_found) / outer_step
            compared.insert(0, ("the direction of x", found, direction))
        z, x = z_found, x_found
        for what, found, right in compared:
            error = relative(found, right)
            if not error <= EXACT:
                raise Failed(
                    f"{problem.name}, full batches: {what} after iteration {t} is off "
                    f"what autograd and algebra give by {percent(error)}: found "
                    f"{_show(found)}…, expected {_show(right)}…"
                )
            worst = max(worst, error)
    return worst


def bias(subject, sampling="with-replacement"):
    """With small independent batches the mean of the iterates is the full-batch run.

    On a quadratic every derivative is linear in (z, v, x), so that unbiased estimates
    from independent samples make the mean over repetitions follow the run with full
    batches exactly; a sample used in two factors of a product does not.
    """
    if not subject.solver.unbiased:
        raise NotDeclared("declared biased (unbiased = False)")
    if subject.has_full_batches:
        return "its batches are full"
    batches = {"sampling": sampling, "batch_size": 10}
    # Large steps show what is wrong in products of Hessians; the noise of f hides it.
    scores = (
        _bias(subject, 0.4, {**batches, "outer_batch_size": 10}),
        _bias(subject, 0.8, {**batches, "outer_batch_size": "full"}),
    )
    return f"{max(scores):.1f} standard errors at most"


def _bias(subject, step, batches, n_repetitions=4000, n_iterations=3):
    """Largest deviation of the mean, in standard errors."""
    problem = small_quadratic()
    steps = {"step_size": step, "linear_step": step, "outer_ratio": 1.0, **CONSTANT}

    def mean(n, **settings):
        runtime = subject.runtime(problem, **steps, **settings)
        ends = []
        for seed in range(n):
            runtime.start(seed)
            runtime.advance(n_iterations)
            ends.append(np.concatenate(runtime.variables()))
        return mean_and_error(ends)

    random = is_random(subject, problem, **steps, **FULL)
    expected, expected_error = mean(n_repetitions if random else 1, **FULL)
    found, found_error = mean(n_repetitions, **batches)
    error = np.hypot(found_error, expected_error)
    scores = np.abs(found - expected) / error
    worst = scores.argmax()
    if not scores[worst] <= 5:
        if found_error.max() <= 1e-12:
            raise Failed(
                "all repetitions are alike, and not the full-batch run: always "
                "the same batches are used, none is drawn"
            )
        if not _is_affine(subject, n_iterations, {**steps, **batches}):
            raise NotDeclared(
                "its steps are not linear in the estimates (scaled or normalised): the "
                "mean of the iterates says nothing"
            )
        raise Failed(
            f"after {n_iterations} iterations the mean of {n_repetitions} repetitions is "
            f"off the full-batch run by {found[worst] - expected[worst]:.2g} ± "
            f"{error[worst]:.1g} in {'z' if worst < problem.dim_z else 'x'} "
            f"({scores[worst]:.0f} standard errors): are samples reused in a product, or "
            "drawn unevenly?"
        )
    return scores[worst]


def _is_affine(subject, n_iterations, parameters):
    """Whether runs with equal batches from a, b and (a + b) / 2 end likewise."""
    problems = [ShiftedQuadratic(quadratic_data()) for _ in range(3)]
    for problem, shift in zip(problems, (0.0, 1.0, 0.5), strict=True):
        problem.shift = shift
    for seed in range(20):
        ends = []
        for problem in problems:
            runtime = subject.runtime(problem, seed=seed, **parameters)
            runtime.advance(n_iterations)
            ends.append(np.concatenate(runtime.variables()))
        if not relative((ends[0] + ends[1]) / 2, ends[2]) <= 1e-9:
            return False
    return True


def _show(vector):
    return np.array2string(vector[:4], precision=4, suppress_small=True)
