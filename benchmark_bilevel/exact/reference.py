"""Reference minima of h, found by a deterministic solver; `published` keeps them."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from benchmark_bilevel.exact.linear_systems import CHEAP_HESSIAN
from benchmark_bilevel.exact.solve import Exact, InnerSolveError

# u = σ(x) is kept this far from 0 and 1: exp(x) in [1e-13, 1e13] instead of [0, ∞].
MARGIN = 1e-13
# Above this many variables (hyper-cleaning) one start has to do, in rounds of so many
# evaluations until one gains less than so much, and the minimiser is not stored.
MANY, ROUND, MANY_GAIN = 500, 60, 1e-8


def find_reference(problem, starts=(), log=print):
    """Infimum of h over the closure of its domain, by L-BFGS-B over u = σ(x) ∈ [0, 1].

    With the regularisation exp(x_j), h has no minimiser: some x_j go to ±∞ along the
    way down. u/(1 − u) = exp(x), so that the box [0, 1] is the closure exp(x) ∈ [0, ∞].

    Parameters
    ----------
    problem : Problem
    starts : sequence of arrays of shape (dim_x,)
        Points to start from besides the deterministic ones, such as the best point of
        any run. h is not convex in x: the lowest of all ends is the reference.
    log : callable
        Told of each start.

    Returns
    -------
    dict
        What goes into the JSON file.
    """
    exact = Exact(problem)
    best, ends, gain = None, [], 0.0
    is_large = problem.dim_x > MANY

    def descend(name, u):
        nonlocal best, gain
        end, last_gain = _descend_from(exact, u)
        ends.append(end.fun)
        log(f"{name}: h = {end.fun:.15g}")
        if best is None or end.fun < best.fun - 1e-12:
            best, gain = end, last_gain

    for name, x in [
        *_starts(problem),
        *((f"given {k}", x) for k, x in enumerate(starts)),
    ]:
        descend(name, expit(x))
    # From a local minimum, try the other end of each coordinate in turn. Not on covtype:
    # each takes minutes, and from its infimum, without a ridge, leads nowhere. A ridge on
    # one class is then met by moving the weights of all classes by the same amount.
    value, is_cheap = np.inf, problem.n_inner * problem.dim_z**2 <= CHEAP_HESSIAN
    while best.fun < value and is_cheap and not is_large:
        value, u = best.fun, best.x
        for j in range(u.size):
            descend(f"flip of {j}", np.where(np.arange(u.size) == j, 1 - u, u))
    u_best, value = best.x, float(best.fun)
    evaluation = exact.evaluate(logit(u_best))
    gradient = evaluation.hypergradient / (u_best * (1 - u_best))
    projected = u_best - np.clip(u_best - gradient, MARGIN, 1 - MARGIN)
    return {
        "problem": problem.name,
        "settings": list(problem.settings()),
        "split_seed": problem.split_seed,
        "fingerprint": problem.fingerprint,
        "value": value,
        "accuracy": max(1e-10, 10 * gain, 10 * MARGIN * np.abs(gradient).max()),
        "projected_gradient_norm": float(np.linalg.norm(projected)),
        "sigmoid_x": None if is_large else u_best.tolist(),
        "n_starts": len(ends),
        "method": _LARGE_METHOD if is_large else _METHOD if is_cheap else _SLOW_METHOD,
    }


_METHOD = (
    "L-BFGS-B over u = sigmoid(x) in [0, 1], restarted until it gains less than 1e-13, "
    "from fixed and random starts, then from flips of single coordinates of the best "
    "end; inner problem by Newton in float64"
)
_SLOW_METHOD = (
    "L-BFGS-B over u = sigmoid(x) in [0, 1], restarted until it gains less than 1e-13, "
    "from fixed and random starts; inner problem by Newton with preconditioned "
    "conjugate gradients in float64"
)
_LARGE_METHOD = (
    f"L-BFGS-B over u = sigmoid(x) in [0, 1] from u = 1/2, restarted every {ROUND} "
    f"evaluations until that gains less than {MANY_GAIN:g}; inner problem by Newton "
    "with conjugate gradients in float64; the minimiser is too long to be stored"
)


def _starts(problem):
    _, x0 = problem.initial_point()
    if x0.size > MANY:
        yield "u = 1/2", np.zeros_like(x0)
        return
    yield "initial point", x0
    for constant in (-6.0, -2.0, 2.0):
        if (x0 != constant).any():
            yield f"x = {constant:g}", np.full(x0.size, constant)
    generator = np.random.default_rng(0)
    # covtype takes seconds an evaluation.
    for k in range(10 if problem.dim_z <= 100 else 3):
        yield f"random {k}", generator.uniform(-10, 4, x0.size)


def _descend_from(exact, u):
    """Result of L-BFGS-B from `u`, restarted until it gains nothing; the last gain.

    A restart forgets the curvature, and often finds the way on where the first ended.
    """
    warm_start = {}

    def value_and_gradient(u):
        try:
            evaluation = exact.evaluate(logit(u), **warm_start)
        except InnerSolveError:
            return np.inf, np.zeros_like(u)
        warm_start.update(z=evaluation.z, v=evaluation.v)
        return evaluation.value, evaluation.hypergradient / (u * (1 - u))

    value, is_large = np.inf, u.size > MANY
    for _ in range(10):
        u = np.clip(u, MARGIN, 1 - MARGIN)
        result = minimize(
            value_and_gradient,
            u,
            jac=True,
            method="L-BFGS-B",
            bounds=[(MARGIN, 1 - MARGIN)] * u.size,
            options={
                "maxiter": 2000,
                "maxfun": ROUND if is_large else 20000,
                "ftol": 0,
                "gtol": 1e-12,
                "maxcor": 30,
            },
        )
        gain, value, u = value - float(result.fun), float(result.fun), result.x
        if gain < (MANY_GAIN if is_large else 1e-13):
            break
    return result, max(gain, 0.0)
