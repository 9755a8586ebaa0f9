"""Reference minima of h, found by a deterministic solver; `published` keeps them."""

import numpy as np
from scipy.optimize import Bounds, minimize
from scipy.special import expit, logit

from benchmark_bilevel.exact import exact_of
from benchmark_bilevel.exact.feasible import box_of
from benchmark_bilevel.exact.linear_systems import CHEAP_HESSIAN, conjugate_gradients
from benchmark_bilevel.exact.solve import InnerSolveError
from benchmark_bilevel.notices import Fault

# u = σ(x) is kept this far from 0 and 1: exp(x) in [1e-13, 1e13] instead of [0, ∞].
MARGIN = 1e-13
# Above this many variables (hyper-cleaning) one start has to do, in rounds of so many
# evaluations until one gains less than so much, and the minimiser is not stored.
MANY, ROUND, MANY_GAIN = 500, 60, 1e-8
AGREEMENT = 1e-6  # of the ends of descents, which are not polished
LEAST_ACCURACY = 1e-10  # no suboptimality is told apart from zero below
SMALL_GAP = 1e-11
DIFFERENCE = 1e-3  # of x, between the gradients that make a Hessian-vector product


def find_reference(problem, starts=(), log=print):
    """Infimum of h over the closure of its domain, by L-BFGS-B over u = σ(x) ∈ [0, 1].

    With the regularisation exp(x_j), h has no minimiser: some x_j go to ±∞ along the
    way down. u/(1 − u) = exp(x), so that the box [0, 1] is the closure exp(x) ∈ [0, ∞].
    Where the problem's `project` leaves a smaller box, that is u's.

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
        What goes into the JSON file. Besides what says which problem it is of:

        - ``value``: h at the point found, ``value_error``: a bound of its error;
        - ``local_gap``: Σ_j max over w_j in u's box of ∂h/∂u_j (u_j − w_j), a bound of
          the way down from there to any minimum that h is convex on the way to;
        - ``accuracy``: the sum of both, 1e-10 at least. **Nothing bounds how far a
          better minimum, beyond a hill, may be below**; for that there are
        - ``n_starts``: descents from points far apart, and ``n_agreeing``: how many of
          them ended within 1e-6 of ``value``; ``n_flips``: further ones from the best
          point with one coordinate at its other end, that led no lower;
        - ``sigmoid_x``: the point u, null where it has thousands of entries; ``method``.

    Raises
    ------
    Fault
        If the feasible set is no box, or if h still falls where the search ends.
    """
    problem = problem.in_logarithms()
    exact, is_large = exact_of(problem), problem.dim_x > MANY
    box = box_of(problem)
    if box is None:
        raise Fault(
            f"{problem.name} has a feasible set that is no box: a reference minimum of h "
            "cannot be searched in it (has_reference = False says so)"
        )
    edges = expit(box)  # of u
    ends, n_flips = [], 0

    def descend(name, u):
        end = _descend_from(exact, u, edges)
        log(f"{name}: h = {end.fun:.15g}")
        return end

    for name, x in [
        *_starts(problem),
        *((f"given {k}", x) for k, x in enumerate(starts)),
    ]:
        ends.append(descend(name, expit(x)))
    best = min(ends, key=lambda end: end.fun)
    # From a local minimum, try the other end of each coordinate in turn. Not on covtype:
    # each takes minutes, and from its infimum, without a ridge, leads nowhere. A ridge on
    # one class is then met by moving the weights of all classes by the same amount.
    value, is_cheap = np.inf, problem.n_inner * problem.dim_z**2 <= CHEAP_HESSIAN
    while best.fun < value - 1e-12 and is_cheap and not is_large:
        value, u, n_flips = best.fun, best.x, best.x.size
        for j in range(u.size):
            end = descend(f"flip of {j}", np.where(np.arange(u.size) == j, 1 - u, u))
            best = min(best, end, key=lambda end: end.fun)
    u, evaluation, gap = _polished(exact, best.x, edges)
    is_cut = np.minimum(u, 1 - u) <= 2 * MARGIN
    if not np.abs(evaluation.hypergradient[is_cut]).sum() <= AGREEMENT:
        raise Fault(
            f"{problem.name}: h still falls at |x| = {-logit(MARGIN):.3g}, where the "
            "search for a reference ends, as x is taken for logarithms; a box as its "
            "`project` bounds x, and has_reference = False says that there is none"
        )
    log(f"polished: h = {evaluation.value:.15g}, local gap {gap:.1e}")
    agreeing = [end for end in ends if end.fun <= evaluation.value + AGREEMENT]
    return {
        "problem": problem.name,
        "settings": list(problem.settings()),
        "split_seed": problem.split_seed,
        "fingerprint": problem.fingerprint,
        "value": evaluation.value,
        "accuracy": max(LEAST_ACCURACY, evaluation.error + gap),
        "value_error": evaluation.error,
        "local_gap": gap,
        "n_starts": len(ends),
        "n_agreeing": len(agreeing),
        "n_flips": n_flips,
        "sigmoid_x": None if is_large else u.tolist(),
        "method": _LARGE_METHOD if is_large else _METHOD if is_cheap else _SLOW_METHOD,
    }


_POLISH = (
    "then Newton's method in the coordinates off the bounds, with Hessian-vector products "
    "from differences of gradients, while that halves the local gap"
)
_METHOD = (
    "L-BFGS-B over u = sigmoid(x) in [0, 1], restarted until it gains less than 1e-13, "
    "from fixed and random starts, then from flips of single coordinates of the best "
    f"end; {_POLISH}"
)
_SLOW_METHOD = (
    "L-BFGS-B over u = sigmoid(x) in [0, 1], restarted until it gains less than 1e-13, "
    f"from fixed and random starts; {_POLISH}"
)
_LARGE_METHOD = (
    f"L-BFGS-B over u = sigmoid(x) in [0, 1], restarted every {ROUND} evaluations until "
    f"that gains less than {MANY_GAIN:g}, from u = 1/2 and the initial point; {_POLISH}"
)


def _starts(problem):
    _, x0 = problem.initial_point()
    yield "initial point", x0
    if x0.size > MANY:
        yield "u = 1/2", np.zeros_like(x0)
        return
    for constant in (-6.0, -2.0, 2.0):
        if (x0 != constant).any():
            yield f"x = {constant:g}", np.full(x0.size, constant)
    generator = np.random.default_rng(0)
    # covtype takes seconds an evaluation.
    for k in range(10 if problem.dim_z <= 100 else 3):
        yield f"random {k}", generator.uniform(-10, 4, x0.size)


def _descend_from(exact, u, edges):
    """Result of L-BFGS-B from `u` between `edges`, restarted until it gains nothing.

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
    edges = np.clip(edges, MARGIN, 1 - MARGIN)
    for _ in range(10):
        u = np.clip(u, *edges)
        result = minimize(
            value_and_gradient,
            u,
            jac=True,
            method="L-BFGS-B",
            bounds=Bounds(*edges),
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
    return result


def _polished(exact, u, edges):
    """`u` after Newton steps off the bounds, the evaluation there and its local gap."""
    evaluation = exact.evaluate(logit(u))
    gap = _local_gap(u, evaluation, edges)
    while gap > SMALL_GAP:
        try:
            moved = _newton_point(exact, u, evaluation, edges)
            new = exact.evaluate(logit(moved), evaluation.z, evaluation.v)
        except InnerSolveError:
            break
        new_gap = _local_gap(moved, new, edges)
        if not new_gap < 0.5 * gap:
            break
        u, evaluation, gap = moved, new, new_gap
    return u, evaluation, gap


def _local_gap(u, evaluation, edges):
    gradient = evaluation.hypergradient / (u * (1 - u))
    return float((gradient * (u - np.where(gradient > 0, *edges))).sum())


def _newton_point(exact, u, evaluation, edges):
    lower, upper = np.clip(edges, MARGIN, 1 - MARGIN)
    free = (u > lower + MARGIN) & (u < upper - MARGIN)
    start = {"z": evaluation.z, "v": evaluation.v}

    def product(d):
        step = np.zeros_like(u)
        step[free] = d * (DIFFERENCE / np.abs(d).max())
        ends = [exact.evaluate(logit(u) + s * step, **start) for s in (1, -1)]
        change = ends[0].hypergradient - ends[1].hypergradient
        return change[free] * (np.abs(d).max() / (2 * DIFFERENCE))

    direction = conjugate_gradients(
        product,
        -evaluation.hypergradient[free],
        lambda r: r.copy(),
        rtol=1e-2,
        max_iterations=200,
    )[0]
    moved = u.copy()
    moved[free] += direction * (u * (1 - u))[free]
    return np.clip(moved, lower, upper)
