"""Groups of methods, by what their solvers declare to estimate."""

import inspect

from benchmark_bilevel.exact_solver import ExactSolver
from benchmark_bilevel.methods import Implicit, Penalised, Unrolled
from benchmark_bilevel.parameters import defaults

WARM = "Implicit differentiation, the linear system going on"
ANEW = "Implicit differentiation, the linear system anew each time"
UNROLLED = "Differentiation through inner steps"
PENALTY = "Penalty methods, first order"
YARDSTICK = "Yardsticks, on exact values of h"
OTHER = "Others"
GROUPS = (WARM, ANEW, UNROLLED, PENALTY, YARDSTICK, OTHER)


def group_of(solver):
    """The one of `GROUPS` that a solver class belongs to; `OTHER` if it declares nothing.

    Parameters
    ----------
    solver : type or None
    """
    if isinstance(solver, type) and issubclass(solver, ExactSolver):
        return YARDSTICK
    found = estimate_of(solver)
    if isinstance(found, Implicit):
        return WARM if found.warm_v else ANEW
    return {Unrolled: UNROLLED, Penalised: PENALTY}.get(type(found), OTHER)


def estimate_of(solver):
    """What a solver class declares to estimate, with its defaults; None if nothing."""
    estimate = getattr(solver, "estimate", None)
    if estimate is None:
        return None
    known = {**defaults(solver.parameters), "t": 0}
    step = known.get("linear_step") or known.get("step_size")
    try:
        names = inspect.signature(estimate).parameters
        return estimate(**{**{n: known[n] for n in names}, **_given(names, step)})
    except Exception:  # whatever a plugin's declaration leads to
        return None


def _given(names, step):
    """The arguments that have no default of their own."""
    return {"linear_step": step} if "linear_step" in names else {}
