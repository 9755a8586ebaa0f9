"""Checks of how a solver works: runtimes, problems, divergence, constraints."""

import click
import numpy as np

from benchmark_bilevel.faults import line_of
from benchmark_bilevel.methods.directions import Moved
from benchmark_bilevel.methods.facts import Implicit
from benchmark_bilevel.oracles.tasks import NoMinimisation
from benchmark_bilevel.runtimes import arrays
from benchmark_bilevel.verification import Failed
from benchmark_bilevel.verification.cases import (
    CONSTANT,
    FULL,
    RAGGED,
    STEPS,
    BoxedQuadratic,
    SmallQuadratic,
    quadratic_data,
    relative,
    small_problems,
    small_quadratic,
    small_sparse,
    small_task_problems,
)


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
        is_sparse = getattr(problem, "is_sparse", False)
        note = " (diverged)" if runtime.diverged else ""
        names.append(f"{problem.name}{' on sparse data' if is_sparse else ''}{note}")
    return ", ".join(names)


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
                f"{what}: after 60 iterations all variables are moderate still (if the "
                "method bounds v itself, give test_config a bound that is never reached)"
            )


def _huge(name):
    return {**STEPS, **CONSTANT, name: 1e30}


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
