"""Checks of how a solver works: runtimes, problems, counts, samples, ends of runs."""

from collections import defaultdict
from collections.abc import Mapping

import click
import numpy as np

from benchmark_bilevel.faults import line_of
from benchmark_bilevel.methods.directions import Moved
from benchmark_bilevel.methods.facts import Implicit
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.oracles.tasks import NoMinimisation
from benchmark_bilevel.runtimes import arrays
from benchmark_bilevel.verification import Failed, NotDeclared
from benchmark_bilevel.verification.cases import (
    CONSTANT,
    FULL,
    RAGGED,
    BoxedQuadratic,
    SmallQuadratic,
    quadratic_data,
    relative,
    small_problems,
    small_quadratic,
    small_sparse,
    small_task_problems,
)
from benchmark_bilevel.verification.means import mean_and_error

STEPS = {"step_size": 0.1, "outer_ratio": 2.0}


def runtimes(subject, problems=None):
    """The numba and the torch runtime make the same iterates and the same counts.

    On a quadratic, unless `problems` are given: kernels are proven elsewhere.
    """
    worst, problems = 0.0, problems or [small_quadratic()]
    batches = FULL if subject.has_full_batches else RAGGED
    for problem in problems:
        ends = []
        for name in ("torch", "numba"):
            runtime = subject.runtime(problem, seed=5, runtime=name, **STEPS, **batches)
            runtime.advance(12)
            ends.append((*runtime.variables(), runtime.counts.copy()))
        (z, x, counts), (z_numba, x_numba, counts_numba) = ends
        error = max(relative(z_numba, z), relative(x_numba, x))
        if not error <= 1e-10:
            raise Failed(
                f"{problem.name}: after 12 iterations the two runtimes differ by "
                f"{error:.1e} (relative, float64)"
            )
        if (counts != counts_numba).any():
            raise Failed(
                f"{problem.name}: torch counts {counts} calls, numba {counts_numba}"
            )
        worst = max(worst, error)
    return f"largest relative difference {worst:.0e}"


def problems(subject):
    """Every kind of problem runs under torch, and x stays feasible.

    Sparse data are among them, on which directions refer to where they were taken, and
    what is made of tasks. A text that uses a direction later, or g where there is none,
    is right elsewhere: it is refused there. Where a solver is skipped nothing is asked.
    """
    names, solver = [], subject.instance(runtime="torch", **STEPS, **RAGGED)
    for problem in (*small_problems(), small_sparse(), *small_task_problems()):
        if solver.skip(problem)[0]:
            continue
        runtime = subject.runtime(problem, runtime="torch", **STEPS, **RAGGED)
        try:
            runtime.advance(12)
        except (Moved, NoMinimisation) as error:
            names.append(f"{problem.name} refused: {line_of(error)}")
            continue
        _, x = runtime.state[:2]
        if problem.project is not None and runtime.diverged is False:
            moved = float(abs(problem.project(x) - x).max())
            if not moved <= 1e-9:
                raise Failed(f"{problem.name}: x is {moved:.1e} outside its set")
        names.append(problem.name)
    return ", ".join(names)


def counts(subject):
    """The oracle calls of each iteration are those of the declared formula."""
    problem = small_quadratic()
    n, m = problem.n_inner, problem.n_outer
    for b, c in ((10, 8), (n, m), (10, m)):
        batches = {"batch_size": b, "outer_batch_size": c}
        declared = [
            _declared(subject.declared("oracle_calls", t, b, c, n, m)) for t in range(9)
        ]
        runtime = subject.runtime(problem, **STEPS, **batches)
        runs = np.array([_counted(runtime, seed, 9) for seed in range(3)])
        if (runs != runs[0]).any():  # a random number of calls: right in the mean
            runs = np.array([_counted(runtime, seed, 9) for seed in range(400)])
        mean, error = mean_and_error(runs)
        wrong = np.abs(mean - declared).max(1) > 5 * error.max(1)
        if wrong.any():
            t = wrong.argmax()
            raise Failed(
                f"iteration {t} with batches of {b} of {n} and {c} of {m}: counted "
                f"{_named(mean[t])}; declared {_named(declared[t])}"
            )
    return _named(mean[-1])


def _counted(runtime, seed, n_iterations):
    """Calls of each kind in each iteration."""
    runtime.start(seed)
    totals = [runtime.counts.copy()]
    for t in range(n_iterations):
        runtime.advance(t + 1)
        totals.append(runtime.counts.copy())
    return np.diff(totals, axis=0)


def _declared(calls):
    """What `oracle_calls` returned, in the order of `COUNTS`."""
    if calls is None:
        raise NotDeclared(
            "add a static method oracle_calls(t, b, c, n, m, …) that returns the calls "
            "of iteration t: Calls(outer_gradients=c, …), see docs/add-a-solver.md"
        )
    if isinstance(calls, Mapping):
        unknown = ", ".join(set(calls) - set(COUNTS))
        if unknown:
            raise Failed(f"oracle_calls names {unknown}; the kinds are {COUNTS}")
        return [calls.get(kind, 0) for kind in COUNTS]
    if len(calls) != len(COUNTS):
        raise Failed(
            f"oracle_calls returns {len(calls)} numbers for {len(COUNTS)} kinds: name "
            "them, as in Calls(outer_gradients=c, inner_gradients=b)"
        )
    return list(calls)


def divergence(subject):
    """NaN in the data and huge steps end as a run recorded as diverged."""
    data = quadratic_data()
    data["A"][3, 0] = np.nan
    broken = SmallQuadratic(data)
    cases = [
        ("NaN in the data", broken, STEPS),
        ("a step of 1e30", small_quadratic(), _huge("step_size")),
    ]
    estimate = subject.estimate(**STEPS)
    if isinstance(estimate, Implicit) and estimate.step:
        cases.append(("a linear step of 1e30", small_quadratic(), _huge("linear_step")))
    for what, problem, steps in cases:
        try:
            subject.instance(**steps)
        except click.UsageError:  # some methods refuse a large step
            continue
        runtime = subject.runtime(problem, **steps, **RAGGED)
        with np.errstate(all="ignore"):
            runtime.advance(60)
        # Steps like Adam's are bounded: then some variables are as large as the step.
        largest = max(float(abs(y).max()) for y in arrays(runtime.state))
        if not (runtime.diverged or largest > 1e20):
            raise Failed(
                f"{what}: after 60 iterations all variables are moderate still"
            )


def _huge(name):
    return {**STEPS, **CONSTANT, name: 1e30}


def samples(subject):
    """No sample serves two kinds of derivative, if the method says so."""
    if subject.has_full_batches:
        return "its batches are full"
    shared = _shared_kinds(subject)
    text = "each derivative has its own samples"
    if shared:
        text = f"one sample serves {' and '.join(shared)}"
    declared = subject.solver.shares_samples
    if declared is None:
        raise NotDeclared(f"shares_samples is not set; found: {text}")
    if bool(shared) != declared:
        raise Failed(f"declared shares_samples={declared}, found: {text}")
    return text


def _shared_kinds(subject, n_samples=4000):
    """Kinds of inner derivatives that shared a block within one iteration.

    Blocks of one sample, reshuffled and more than the run needs: a block that comes
    twice was drawn once. Iteration 0 is left out, where methods pass over all data.
    """
    problem = SmallQuadratic(quadratic_data(n_samples, n_samples))
    runtime = subject.runtime(
        problem, runtime="torch", **STEPS, batch_size=1, outer_batch_size=1
    )
    uses = defaultdict(set)
    kinds = "grad grad_x grads hvp cross grad_hvp_cross hessian cross_matrix"
    for kind in kinds.split():
        _watch(runtime.inner, kind, uses)
    shared = set()
    for t in range(4):
        uses.clear()
        runtime.advance(t + 1)
        for kinds in uses.values() if t else ():
            names = {kind for kind, _ in kinds}
            points = [point for kind, point in kinds if kind == "hvp"]
            if len(names) > 1 or "grad_hvp_cross" in names:
                shared |= names
            elif len(points) > len(set(points)):
                shared.add("several Hessian-vector products")
    return sorted(shared)


def _watch(oracle, kind, uses):
    """Record in `uses` which blocks `kind` is asked for, and where."""
    method = getattr(oracle, kind)

    def watched(z, x, *rest):
        uses[int(rest[-1])].add((kind, float(z.sum()) + float(x.sum())))
        return method(z, x, *rest)

    setattr(oracle, kind, watched)


def draws(subject):
    """An epoch has every batch once, in random order, and counts each sample once."""
    problem = small_quadratic()
    runtime = subject.runtime(
        problem, runtime="torch", sampling="reshuffled", **STEPS, **RAGGED
    )
    inner, (z, x) = runtime.inner, runtime.state[:2]
    epochs = []
    for _ in range(3):
        epochs.append([inner.draw() for _ in range(inner.n_blocks)])
        if sorted(epochs[-1]) != list(range(inner.n_blocks)):
            raise Failed(f"the batches of one epoch are {epochs[-1]}")
    if epochs[0] == sorted(epochs[0]) or epochs[0] == epochs[1]:
        raise Failed(f"the first two epochs come in the orders {epochs[:2]}")
    before = runtime.oracle_calls
    for i in epochs[0]:
        inner.grad(z, x, i)
    if runtime.oracle_calls - before != problem.n_inner:
        raise Failed(
            f"an epoch of gradients counts {runtime.oracle_calls - before} samples "
            f"of {problem.n_inner}"
        )


def constraint(subject):
    """Where x is constrained, it is feasible after every iteration."""
    problem = BoxedQuadratic(quadratic_data())
    steps = {"step_size": 0.3, "outer_ratio": 0.3}
    runtime = subject.runtime(problem, runtime="torch", **steps, **FULL)
    for t in range(6):
        runtime.advance(t + 1)
        _, x = runtime.variables()
        # A convex combination of feasible points rounds.
        if not np.abs(x).max() <= problem.radius * (1 + 1e-9):
            raise Failed(
                f"x leaves the feasible set at iteration {t}: it has to move by "
                "outer.descend, which projects"
            )


def budget(subject):
    """A budget of oracle calls is exceeded by less than one iteration."""
    problem = small_quadratic()
    runtime = subject.runtime(problem, **STEPS, **RAGGED)
    totals = []
    for t in range(9):
        runtime.advance(t + 1)
        totals.append(runtime.oracle_calls)
    limit = (totals[4] + totals[5]) // 2
    runtime.start(0)
    runtime.advance(1000, limit)
    if runtime.oracle_calls != totals[5]:
        raise Failed(
            f"a budget of {limit} calls ends at {runtime.oracle_calls}; iteration 5 "
            f"was to end at {totals[5]}"
        )


def _named(calls):
    """The kinds with any calls; six significant digits hold all whole numbers here."""
    named = zip(calls, COUNTS, strict=True)
    return ", ".join(f"{number:g} {kind}" for number, kind in named if number) or "none"
