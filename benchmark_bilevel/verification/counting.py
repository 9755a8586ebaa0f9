"""Checks of what is counted: the calls of an iteration, and budgets of them."""

from collections.abc import Mapping

import numpy as np

from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.verification import Failed, NotDeclared
from benchmark_bilevel.verification.cases import RAGGED, STEPS, small_quadratic
from benchmark_bilevel.verification.means import mean_and_error

SEEDS = 400  # where the number of calls is random


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
        if (runs != runs[0]).any() or np.remainder(declared, 1).any():
            # A random number of calls, right in the mean.
            runs = np.array([_counted(runtime, seed, 9) for seed in range(SEEDS)])
        mean, error = mean_and_error(runs)
        # What happens with probability p, not seen in so many runs, may cost a pass.
        rare = (runs == runs[0]).all(0) & (np.remainder(declared, 1) > 0)
        unseen = np.sqrt(np.abs(mean - declared) * (n + m) / SEEDS)
        error = np.where(rare, np.maximum(error, unseen), error)
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
    if not isinstance(calls, tuple | list):
        raise Failed(
            f"oracle_calls returns {type(calls).__name__}; it has to return Calls("
            "outer_gradients=c, inner_gradients=b, …)"
        )
    if len(calls) != len(COUNTS):
        raise Failed(
            f"oracle_calls returns {len(calls)} numbers for {len(COUNTS)} kinds: name "
            "them, as in Calls(outer_gradients=c, inner_gradients=b)"
        )
    return list(calls)


def _named(calls):
    """The kinds with any calls; six significant digits hold all whole numbers here."""
    named = zip(calls, COUNTS, strict=True)
    return ", ".join(f"{number:g} {kind}" for number, kind in named if number) or "none"


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
