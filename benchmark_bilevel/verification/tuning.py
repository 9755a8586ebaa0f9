"""The checks of what a solver declares of its parameters."""

import click
import numpy as np

from benchmark_bilevel.methods.facts import Implicit
from benchmark_bilevel.search.ranges import ranges_of
from benchmark_bilevel.solver import BilevelSolver
from benchmark_bilevel.verification import Failed
from benchmark_bilevel.verification.cases import CONSTANT, FULL, small_quadratic


def search_space(subject):
    """What the search tunes are at most five parameters, in legal ranges."""
    try:
        return ", ".join(ranges_of(subject.solver)) or "nothing"
    except click.UsageError as error:
        raise Failed(error.message) from None


def parameters_matter(subject):
    """Every parameter that the solver declares is one that its methods take."""
    solver, named = subject.solver, set()
    for base in solver.mro()[: solver.mro().index(BilevelSolver)]:
        for item in vars(base).values():
            code = getattr(getattr(item, "__func__", item), "__code__", None)
            if code is not None:
                named.update(code.co_varnames, code.co_names)
    own = set(solver.parameters) - set(BilevelSolver.parameters)
    if idle := sorted(own - named):
        raise Failed(
            f"{', '.join(idle)}: in no method of the class, so that all values of it "
            "give the same run; `step` gets what it names behind t"
        )
    return ", ".join(sorted(own)) or "it has none of its own"


def steps_matter(subject):
    """The steps of z and of x, and a declared one of v, are those that a user sets."""
    step, ratio, linear = 0.1, 2.0, 0.08
    changed = {
        "step_size": ("z", (step / 2, ratio / 2, linear)),
        "outer_ratio": ("x", (step, 2 * ratio, linear)),
    }
    estimate = subject.estimate(step_size=step, linear_step=linear)
    if isinstance(estimate, Implicit) and estimate.step:
        changed["linear_step"] = "x", (step, ratio, linear / 2)
    ends = _ends(subject, step, ratio, linear)
    for name, (variable, steps) in changed.items():
        if np.array_equal(_ends(subject, *steps)[variable], ends[variable]):
            raise Failed(
                f"{name} makes no difference to {variable}: `step` has to move by "
                "steps.inner, steps.linear and steps.outer"
            )
    return ", ".join(changed)


def _ends(subject, step, ratio, linear):
    """z and x after a few iterations with full batches."""
    steps = {"step_size": step, "outer_ratio": ratio, "linear_step": linear}
    runtime = subject.runtime(small_quadratic(), **steps, **FULL, **CONSTANT)
    runtime.advance(3)
    return dict(zip("zx", runtime.variables(), strict=True))
