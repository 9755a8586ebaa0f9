"""The check with x held fixed: where z rests, and along what x would then move."""

from typing import NamedTuple

import numpy as np

from benchmark_bilevel.verification import Failed, NotDeclared
from benchmark_bilevel.verification.cases import (
    CONSTANT,
    EXACT,
    FULL,
    RAGGED,
    bent_quadratic,
    model_of,
    percent,
    relative,
    small_quadratic,
)
from benchmark_bilevel.verification.limits import rests_at_the_minimum
from benchmark_bilevel.verification.means import advance, is_random, mean_and_error
from benchmark_bilevel.verification.predictions import settled

STEP = 0.1
STEPS = {"step_size": STEP, "linear_step": STEP}
HELD = "with x held fixed and full batches,"
DECLARE = (
    "only a declared truncation is forgiven (a static method estimate, see "
    "docs/add-a-solver.md)"
)


class Held(NamedTuple):
    """What a run does with x held fixed, after many iterations."""

    z: np.ndarray
    direction: np.ndarray  # of x
    error: np.ndarray  # its standard error
    step: float  # the last step of z
    t: int  # the next iteration


def settled_hypergradient(subject):
    """With x held fixed, z settles at z*(x) and x's direction at the hypergradient."""
    estimate = subject.estimate(**STEPS)
    if estimate is not None and estimate.use == "vanishing":
        return "judged by where it rests"
    judge = _judge_undeclared if estimate is None else _judge_declared
    noisy = estimate is None or estimate.noisy
    noisy = noisy and is_random(subject, small_quadratic(), **STEPS, **FULL, **CONSTANT)
    cases = [(small_quadratic(), 1000, FULL)]
    if subject.solver.variance_reduced:
        cases.append((small_quadratic(), 6000, RAGGED))
    # Second derivatives that vary show where they are taken; `directions` has seen plain
    # estimates on such problems, and a noisy one would take minutes by autograd.
    plain = estimate is not None and estimate.use == estimate.inner_use == "plain"
    if not (plain or noisy):
        cases.append((bent_quadratic(), 1000, FULL))
    return "; ".join(
        judge(subject, problem, _hold(subject, problem, noisy, *rest))
        for problem, *rest in cases
    )


def _hold(subject, problem, noisy, n_iterations, batches):
    """`Held` after `n_iterations`."""
    estimate = subject.estimate(**STEPS)
    truncations = 0 if estimate is None else estimate.truncations
    model, (_, x) = model_of(problem), problem.initial_point()
    solution = model.inner_solution(model.z0, x)
    runtime = subject.runtime(problem, **STEPS, **batches, **CONSTANT)
    runtime.schedule = runtime.schedule._replace(outer=0.0)

    advance(runtime, n_iterations, truncations)
    held = _measure(runtime, truncations, noisy)
    if relative(held.z, solution) > EXACT and (
        estimate is None or estimate.inner_use in ("scaled", "normalised")
    ):
        # Where z moves by steps like Adam's, it ends in a cycle of their size.
        for k in range(1, 9):
            runtime.schedule = runtime.schedule._replace(
                inner=STEP / 4**k, linear=STEP / 4**k
            )
            advance(runtime, runtime.t + 1000, truncations)
        if relative(runtime.variables()[0], solution) <= EXACT:
            held = _measure(runtime, truncations, noisy)
    if not (np.isfinite(held.direction).all() and np.isfinite(held.z).all()):
        raise Failed(f"the run diverges at step_size={STEP} with x held fixed")
    return held


def _measure(runtime, truncations, noisy):
    """`Held` at the state of `runtime`, whose outer step is 0."""
    (z, _), t = runtime.variables(), runtime.t
    n_samples = 4000 if noisy else 1
    samples = [_direction(runtime, truncations) for _ in range(n_samples)]
    return Held(z, *mean_and_error(samples), runtime.schedule.inner, t)


def _direction(runtime, truncations):
    """The direction of x in the next iteration, after which x is put back."""
    schedule, size = runtime.schedule, 1e-3
    _, x = runtime.variables()
    runtime.schedule = schedule._replace(outer=size)
    advance(runtime, runtime.t + 1, truncations)
    _, x_end = runtime.variables()
    runtime.state[1][:] = runtime._variable(x)
    runtime.schedule = schedule
    return (x - x_end) / size


def _judge_declared(subject, problem, held):
    estimate = subject.estimate(held.t, **STEPS)
    model, (_, x) = model_of(problem), problem.initial_point()
    zs, expected = settled(estimate, model, x, held.step)
    error = min(relative(held.z, z) for z in zs)
    if not error <= EXACT:
        raise Failed(f"{HELD} z settles {percent(error)} off where the estimate has it")
    found, factor = held.direction, 1.0
    if estimate.use in ("averaged", "normalised"):
        factor = max(found @ expected / (expected @ expected), 0.0)
    if estimate.use == "scaled":
        matters = np.abs(expected) > 1e-3 * np.abs(expected).max()
        if (found * expected)[matters].min() > 0:
            return "of the declared sign in each coordinate"
    elif estimate.noisy:
        score = np.abs((found - factor * expected) / held.error).max()
        if score <= 5:
            share = relative(expected + held.error, expected)
            return f"as declared, to {score:.1f} standard errors of {share:.1%}"
    else:
        error = relative(found, factor * expected)
        if factor > 0 and error <= EXACT:
            return f"as declared, to {error:.0e}"
    off = relative(found, expected)
    what, reason = _weights(model, x, found)
    if reason:
        raise Failed(f"{what}: {reason}")
    raise Failed(f"{what}; it is off the declared estimate by {percent(off)}")


def _judge_undeclared(subject, problem, held):
    model, (_, x) = model_of(problem), problem.initial_point()
    z = model.inner_solution(model.z0, x)
    off, found = relative(held.z, z), held.direction
    exact = sum(model.parts(z, x))
    factor = found @ exact / (exact @ exact)
    error = relative(found / factor, exact) if factor else 1.0
    if off <= EXACT and error <= EXACT and factor > 0:
        is_one = abs(factor - 1) < 1e-3
        longer = "" if is_one else f", {factor:.3g} times as long, as a step may be"
        return f"the exact hypergradient{longer}"
    scaled = off <= EXACT and (found * exact).min() > 0
    if scaled and subject.solver.unbiased and rests_at_the_minimum(subject):
        return "in each coordinate a positive multiple of the exact hypergradient"
    what, reason = _weights(model, x, found)
    if reason and (subject.solver.unbiased or not scaled):
        raise Failed(f"{what}: {reason}")
    z_off, x_off = percent(off), percent(error)
    if not subject.solver.unbiased:
        raise NotDeclared(
            f"{HELD} z settles {z_off} off z*(x), and x's direction is {x_off} off the "
            "hypergradient up to its length, as unbiased = False admits; a static method "
            "estimate says by how much and is held to it"
        )
    if off > EXACT:
        raise Failed(
            f"{HELD} z settles {z_off} off z*(x): it starts afresh every iteration, or "
            f"does not descend along ∇z g; {DECLARE}"
        )
    raise Failed(
        f"{what}: up to its length it is {x_off} off. The linear system is truncated, or "
        f"its warm start forgotten; {DECLARE}"
    )


def _weights(model, x, found):
    """What the direction `found` is made of, and what that shows if anything."""
    parts = np.transpose(model.parts(model.inner_solution(model.z0, x), x))
    weights, *_ = np.linalg.lstsq(parts, found, rcond=None)
    fx_weight, jv_weight = weights
    what = (
        f"{HELD} the direction of x settles at {fx_weight:.3g} ∇x f {jv_weight:+.3g} "
        "J v, where the hypergradient is ∇x f + J v with H v = −∇z f"
    )
    scale = np.abs(weights).max()
    if scale < 1e-12:
        return what, "x does not move"
    if min(weights) < -0.1 * scale and max(weights) > 0.1 * scale:
        return what, "the cross-derivative term J v has the wrong sign"
    if max(weights) <= 0:
        return what, "x climbs, both signs are wrong"
    if fx_weight < 0.1 * scale:
        return what, "∇x f is missing"
    if jv_weight < 0.1 * scale:
        return what, "the implicit term J v is missing"
    return what, None
