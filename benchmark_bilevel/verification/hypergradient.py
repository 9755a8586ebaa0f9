"""Checks of where a solver goes: its directions, its limits, its bias."""

import numpy as np

from benchmark_bilevel.verification import Failed, NotDeclared
from benchmark_bilevel.verification.cases import (
    CONSTANT,
    FULL,
    RAGGED,
    model_of,
    small_problems,
    small_quadratic,
)

# A hypergradient that its author calls exact has to be; an undeclared truncation may
# leave this relative error.
EXACT, TOLERATED = 1e-6, 0.3


def directions(subject):
    """With full batches every iteration is the one derived by autograd and algebra."""
    if subject.estimate() is None:
        raise NotDeclared(
            "add a static method estimate(t, linear_step, …) that returns the "
            "`benchmark_bilevel.methods.facts.Estimate` behind x's step"
        )
    problems = [problem for problem in small_problems() if problem.project is None]
    worst = max(_follow(subject, problem, n_iterations=9) for problem in problems)
    return f"largest relative error {worst:.0e}"


def _follow(subject, problem, n_iterations):
    """Compare a run with `Model.iteration`; the largest relative error."""
    step, outer_step = 0.3, 0.15
    steps = {"step_size": step, "outer_ratio": step / outer_step, "linear_step": 0.4}
    runtime = subject.runtime(problem, **steps, **FULL, **CONSTANT)
    model, worst = model_of(problem), 0.0
    z, x = runtime.variables()
    v = np.zeros_like(z)
    for t in range(n_iterations):
        estimate = subject.estimate(t, **steps)
        expected, z_end, v = model.iteration(estimate, z, v, x, step, outer_step)
        runtime.advance(t + 1)
        z, x_end = runtime.variables()
        compared = (
            ("the direction of x", (x - x_end) / outer_step, expected),
            ("z", z, z_end),
        )
        x = x_end
        for what, found, right in compared:
            error = np.linalg.norm(found - right) / max(np.linalg.norm(right), 1e-3)
            if not error <= EXACT:
                raise Failed(
                    f"{problem.name}, full batches: {what} after iteration {t} is off "
                    f"what autograd and algebra give by {error:.1%}: found "
                    f"{_show(found)}…, expected {_show(right)}…"
                )
            worst = max(worst, error)
    return worst


def settled_hypergradient(subject):
    """With x held fixed, z and v settle and the direction of x is the hypergradient."""
    problem, step = small_quadratic(), 0.1
    steps = {"step_size": step, "linear_step": step}
    texts = []
    for batches in (FULL, RAGGED) if subject.solver.variance_reduced else (FULL,):
        n_iterations = 1500 if batches is FULL else 6000
        found = settled_direction(subject, problem, n_iterations, **steps, **batches)
        if not np.isfinite(found).all():
            raise Failed(f"the run diverges at step_size={step} with x held fixed")
        texts.append(_judge(subject, problem, found, step, steps))
    return "; ".join(texts)


def settled_direction(subject, problem, n_iterations, **parameters):
    """The direction of x after `n_iterations` with outer step 0."""
    runtime = subject.runtime(problem, **parameters, **CONSTANT)
    schedule = runtime.schedule
    runtime.schedule = schedule._replace(outer=0.0)
    runtime.advance(n_iterations)
    _, x = runtime.variables()
    runtime.schedule = schedule._replace(outer=1e-3)
    runtime.advance(n_iterations + 1)
    return (x - runtime.variables()[1]) / 1e-3


def _judge(subject, problem, found, step, steps):
    model = model_of(problem)
    z0, x = problem.initial_point()
    estimate = subject.estimate(**steps)
    if estimate is not None:
        expected = model.settled_direction(estimate, x, step)
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        if error <= EXACT:
            return f"as declared, to {error:.0e}"
    parts = np.transpose(model.parts(model.inner_solution(z0, x), x))
    weights, *_ = np.linalg.lstsq(parts, found, rcond=None)
    fx_weight, jv_weight = weights
    what = (
        "with x held fixed and full batches, the direction of x settles at "
        f"{fx_weight:.3g} ∇x f {jv_weight:+.3g} J v, where the hypergradient is "
        "∇x f + J v with H v = −∇z f"
    )
    scale = np.abs(weights).max()
    if scale < 1e-12:
        raise Failed(f"{what}: x does not move")
    if min(weights) < -0.1 * scale and max(weights) > 0.1 * scale:
        raise Failed(f"{what}: the cross-derivative term J v has the wrong sign")
    if max(weights) <= 0:
        raise Failed(f"{what}: x climbs, both signs are wrong")
    if fx_weight < 0.1 * scale:
        raise Failed(f"{what}: ∇x f is missing")
    if jv_weight < 0.1 * scale:
        raise Failed(f"{what}: the implicit term J v is missing")
    if estimate is not None:
        raise Failed(f"{what}; it is off the declared estimate by {error:.1%}")
    exact = parts.sum(1)
    factor = found @ exact / (exact @ exact)
    error = np.linalg.norm(found / factor - exact) / np.linalg.norm(exact)
    if error > TOLERATED:
        raise Failed(f"{what}: a relative error of {error:.0%} up to its length")
    multiple = "" if abs(factor - 1) < 1e-3 else f"{factor:.3g} times "
    if error <= EXACT:
        return f"{multiple}the exact hypergradient"
    return f"{multiple}the hypergradient to {error:.1%}: a truncated method?"


def limit(subject):
    """A long run on a quadratic reaches the minimum, up to the declared bias."""
    problem, step, ratio = small_quadratic(), 0.2, 4.0
    steps = {"step_size": step, "outer_ratio": ratio, "linear_step": step}
    estimate = subject.estimate(**steps)
    minimiser = problem.minimiser()
    target = minimiser
    if estimate is not None:
        target = model_of(problem).fixed_point(estimate, step)
    texts = []
    for batches in (FULL, RAGGED) if subject.solver.variance_reduced else (FULL,):
        runtime = subject.runtime(problem, **steps, **batches, **CONSTANT)
        x = _run_until_still(runtime)
        distance = np.linalg.norm(x - target)
        if distance <= EXACT * np.linalg.norm(target):
            bias = np.linalg.norm(target - minimiser)
            where = "the minimum" if bias < 1e-9 else f"its bias of {bias:.2g} away"
            texts.append(f"{where}, to {distance:.0e}")
            continue
        start = problem.value_function(problem.initial_point()[1])
        best = problem.value_function(minimiser)
        value = problem.value_function(x)
        if estimate is None and value - best <= 0.05 * (start - best):
            texts.append(f"h − h* falls from {start - best:.2g} to {value - best:.2g}")
            continue
        where = "the predicted limit" if estimate else "the minimum"
        raise Failed(
            f"after {runtime.t} iterations x is {distance:.2g} from {where} "
            f"(h − h* = {value - best:.2g}, at the start {start - best:.2g})"
        )
    return "; ".join(texts)


def _run_until_still(runtime, chunk=2000, limit=40_000):
    """x when a chunk of iterations moves it no more, or after `limit` iterations."""
    _, x = runtime.variables()
    while runtime.t < limit:
        runtime.advance(runtime.t + chunk)
        x_old, x = x, runtime.variables()[1]
        if not np.linalg.norm(x - x_old) > 1e-11:
            break
    return x


def bias(subject, sampling="with-replacement"):
    """With small independent batches the mean of the iterates is the full-batch run.

    On a quadratic every derivative is linear in (z, v, x), so that unbiased estimates
    from independent samples make the mean over repetitions follow the run with full
    batches exactly; a sample used in two factors of a product does not.
    """
    if not subject.solver.unbiased:
        raise NotDeclared("declared biased (unbiased = False)")
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
    full = subject.runtime(problem, **steps, **FULL)
    full.advance(n_iterations)
    expected = np.concatenate(full.variables())
    runtime = subject.runtime(problem, **steps, **batches)
    samples = np.empty((n_repetitions, expected.size))
    for seed in range(n_repetitions):
        runtime.start(seed)
        runtime.advance(n_iterations)
        samples[seed] = np.concatenate(runtime.variables())
    deviation = samples.mean(0) - expected
    error = np.maximum(samples.std(0) / np.sqrt(n_repetitions), 1e-12)
    scores = np.abs(deviation) / error
    worst = scores.argmax()
    if not scores[worst] <= 5:
        raise Failed(
            f"after {n_iterations} iterations the mean of {n_repetitions} repetitions "
            f"is off the full-batch run by {deviation[worst]:.2g} ± {error[worst]:.1g} "
            f"in {'z' if worst < problem.dim_z else 'x'} ({scores[worst]:.0f} standard "
            "errors): are samples reused in a product, or drawn unevenly?"
        )
    return scores[worst]


def _show(vector):
    return np.array2string(vector[:4], precision=4, suppress_small=True)
