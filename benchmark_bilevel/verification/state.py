"""Checks of what an iteration changes: the variables of its state, and nothing else."""

import random

import numpy as np
from benchopt.utils.run_context import RunContext

from benchmark_bilevel.faults import line_of
from benchmark_bilevel.fingerprint import cached_njit
from benchmark_bilevel.runtimes import arrays
from benchmark_bilevel.verification import Failed, Unusable
from benchmark_bilevel.verification.cases import RAGGED, STEPS, small_quadratic
from benchmark_bilevel.verification.text import Text


def variables_move(subject):
    """An iteration changes its variables in place, z and x among them."""
    runtime = subject.runtime(small_quadratic(), runtime="torch", **STEPS, **RAGGED)
    text = Text(subject.solver.step)
    named = list(_named(runtime.state, text.names))
    for name, array in named:
        if not hasattr(array, "new_zeros"):
            raise Unusable(
                f"init makes {name} by itself ({type(array).__name__} of shape "
                f"{tuple(np.shape(array))}): make variables by zeros_like, copy or an "
                "oracle's memory, which give each runtime its own kind"
            )
    start = [array.clone() for _, array in named]
    try:
        runtime.advance(12)
    except AttributeError as error:
        if error.obj not in (runtime.inner, runtime.outer):
            raise
        raise Unusable(
            f"{line_of(error)}. Data come through the oracles' calls alone, and no step "
            "may change them"
        ) from error
    still = [
        name
        for (name, array), before in zip(named, start, strict=True)
        if array.equal(before)
    ]
    found = [text.rebound[name] for name in still if name in text.rebound]
    if found:
        raise Failed("\n".join(found))
    for name, array in zip("zx", runtime.state, strict=False):
        if any(array is y for (k, y) in named if k in still):
            raise Failed(f"{name} never changes in 12 iterations")


def _named(state, names):
    """Pairs (name in the text, array) of the variables of `state`."""
    for k, part in enumerate(state):
        name = names[k] if k < len(names) else f"variable {k} of the state"
        if isinstance(part, tuple):
            yield from _named(part, name if isinstance(name, tuple) else ())
        elif arrays(part):
            yield name if isinstance(name, str) else f"variable {k} of the state", part


def data_stay(subject):
    """A run leaves the data as they are, in both runtimes."""
    problem = small_quadratic()
    for name in ("torch", "numba"):
        before = _digest(problem)
        runtime = subject.runtime(problem, runtime=name, **STEPS, **RAGGED)
        z, x = (runtime._variable(y) for y in problem.initial_point())
        values = _compiled_values if name == "numba" else _values
        losses = {"g": runtime.inner, "f": runtime.outer}
        right = {loss: values(oracle, z, x) for loss, oracle in losses.items()}
        runtime.start(0)
        runtime.advance(12)
        for loss, oracle in losses.items():
            if not np.array_equal(values(oracle, z, x), right[loss]):
                raise Failed(
                    f"runtime={name}: step changes the data of {loss} in place; data are "
                    "for the oracles' calls to read"
                )
        if _digest(problem) != before:
            raise Failed(f"runtime={name}: step changes the arrays of the problem")


def _values(oracle, z, x):
    values = np.empty(oracle.n_blocks)
    for i in range(values.size):
        values[i] = oracle.value(z, x, i)
    return values


_compiled_values = cached_njit(_values)


def _digest(problem):
    samples = (*problem.inner_samples, *problem.outer_samples, *problem.initial_point())
    return b"".join(np.ascontiguousarray(array).tobytes() for array in samples)


def seeds(subject):
    """One seed gives one run, bit for bit, and each repetition has its own."""
    problem = small_quadratic()
    for name in ("torch", "numba"):
        ends = []
        for k, seed in enumerate((1, 1, 2)):
            np.random.seed(k)  # noqa: NPY002 (what a plugin may draw from)
            random.seed(k)
            runtime = subject.runtime(
                problem, seed=seed, runtime=name, **STEPS, **RAGGED
            )
            runtime.advance(12)
            ends.append(np.concatenate(runtime.variables()))
        if not np.isfinite(ends).all():
            raise Failed(
                f"runtime={name}: after 12 iterations at step_size=0.1 with short batches "
                "z or x is not finite"
            )
        if not np.array_equal(ends[0], ends[1]):
            where = Text(subject.solver.step).line_with("random")
            raise Failed(
                f"runtime={name}: two runs with the same seed differ: {where} draws random "
                "numbers that no seed governs (inner.draw, inner.uniform and inner.normal "
                "are governed), or keeps something outside the state"
            )
        runtime.start(1)
        runtime.advance(12)
        if not np.array_equal(ends[0], np.concatenate(runtime.variables())):
            raise Failed(
                f"runtime={name}: a second run differs from the first with the same "
                "seed: step keeps something outside its state"
            )
    if np.array_equal(ends[0], ends[2]):
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
