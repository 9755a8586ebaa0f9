"""Checks of how a solver works: runtimes, counts, seeds, samples, ends of runs."""

from collections import defaultdict

import numpy as np
from benchopt.utils.run_context import RunContext

from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.verification import Failed, NotDeclared
from benchmark_bilevel.verification.cases import (
    FULL,
    RAGGED,
    BoxedQuadratic,
    SmallQuadratic,
    quadratic_data,
    small_problems,
    small_quadratic,
)

STEPS = {"step_size": 0.1, "outer_ratio": 2.0}


def runtimes(subject):
    """The numba and the torch runtime make the same iterates and the same counts."""
    worst, n_problems = 0.0, 0
    for problem in small_problems():
        if problem.kernels is None:
            continue
        ends = []
        for name in ("torch", "numba"):
            before = _digest(problem)
            runtime = subject.runtime(problem, seed=5, runtime=name, **STEPS, **RAGGED)
            runtime.advance(12)
            if _digest(problem) != before:
                raise Failed(f"{problem.name}: the run changes the data in place")
            ends.append((*runtime.variables(), runtime.counts.copy()))
        (z, x, counts), (z_numba, x_numba, counts_numba) = ends
        error = max(_relative(z_numba, z), _relative(x_numba, x))
        if not error <= 1e-10:
            raise Failed(
                f"{problem.name}: after 12 iterations the two runtimes differ by "
                f"{error:.1e} (relative, float64)"
            )
        if (counts != counts_numba).any():
            raise Failed(
                f"{problem.name}: torch counts {counts} calls, numba {counts_numba}"
            )
        worst, n_problems = max(worst, error), n_problems + 1
    return f"{n_problems} problems, largest relative difference {worst:.0e}"


def counts(subject):
    """The oracle calls of each iteration are those of the declared formula."""
    problem = small_quadratic()
    n, m = problem.n_inner, problem.n_outer
    for b, c in ((10, 8), (n, m), (10, m)):
        batches = {"batch_size": b, "outer_batch_size": c}
        runtime = subject.runtime(problem, **STEPS, **batches)
        before = runtime.counts.copy()
        for t in range(9):
            declared = subject.declared("oracle_calls", t, b, c, n, m)
            if declared is None:
                raise NotDeclared(
                    "add a static method oracle_calls(t, b, c, n, m, …) that returns "
                    f"the calls of iteration t ({', '.join(COUNTS)})"
                )
            runtime.advance(t + 1)
            counted = runtime.counts - before
            before = runtime.counts.copy()
            declared = _of_every_kind(declared)
            if tuple(counted) != declared:
                raise Failed(
                    f"iteration {t} with batches of {b} of {n} and {c} of {m}: counted "
                    f"{_named(counted)}; declared {_named(declared)}"
                )
    return _named(counted)


def _of_every_kind(calls):
    """`calls` in the order of `COUNTS`; of those that most methods make if it has four."""
    if len(calls) == len(COUNTS):
        return tuple(calls)
    outer_gradients, inner_gradients, *products = calls
    return outer_gradients, inner_gradients, 0, *products, 0


def seeds(subject):
    """One seed gives one run, bit for bit, and each repetition has its own."""
    problem = small_quadratic()
    runs = []
    for seed in (1, 1, 2):
        runtime = subject.runtime(problem, seed=seed, **STEPS, **RAGGED)
        runtime.advance(7)
        runs.append(np.concatenate(runtime.variables()))
    runtime.start(1)
    runtime.advance(7)
    again = np.concatenate(runtime.variables())
    if not (np.array_equal(runs[0], runs[1]) and np.array_equal(runs[0], again)):
        raise Failed("two runs with the same seed differ")
    if np.array_equal(runs[0], runs[2]):
        raise Failed("runs with different seeds are identical: batches are not drawn")
    given = {_seed_of_repetition(subject, k) for k in range(3)}
    if len(given) < 3:
        raise Failed("repetitions share a seed: get_seed needs use_repetition=True")


def _seed_of_repetition(subject, repetition):
    solver = subject.instance()
    RunContext().set_run_context(
        "objective", "dataset", solver, repetition, base_seed=0
    )
    solver.set_objective(small_quadratic())
    return solver.seed


def divergence(subject):
    """NaN in the data and huge steps end as a run recorded as diverged."""
    data = quadratic_data()
    data["A"][3, 0] = np.nan
    broken = SmallQuadratic(data)
    cases = [
        ("NaN in the data", broken, STEPS),
        ("a step of 1e30", None, _huge("step_size")),
    ]
    if subject.estimate() is not None:  # it has steps on a linear system
        cases.append(("a linear step of 1e30", None, _huge("linear_step")))
    for what, problem, steps in cases:
        runtime = subject.runtime(problem or small_quadratic(), **steps, **RAGGED)
        with np.errstate(all="ignore"):
            runtime.advance(60)
        if not runtime.diverged:
            raise Failed(f"{what}: after 60 iterations all variables are finite still")


def _huge(name):
    return {**STEPS, "step_exponent": 0.0, "outer_exponent": 0.0, name: 1e30}


def samples(subject):
    """No sample serves two kinds of derivative, if the method says so."""
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
    for kind in ("grad", "hvp", "cross", "grad_hvp_cross"):
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
        if not np.abs(x).max() <= problem.radius:
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


def _digest(problem):
    arrays = (*problem.inner_samples, *problem.outer_samples, *problem.initial_point())
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def _relative(value, right):
    return np.linalg.norm(value - right) / max(np.linalg.norm(right), 1e-3)


def _named(calls):
    return ", ".join(f"{int(k)} {kind}" for k, kind in zip(calls, COUNTS, strict=True))
