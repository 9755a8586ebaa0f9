"""How runs end, and how benchopt's limits come to bear on them.

benchopt counts its timeout from before a solver is compiled, and sees that it has passed
only after an evaluation, which then was not known to be the last. Here the clock starts
after the warm-up, and the last row of a run says why it is the last.
"""

import math
import time

import numpy as np
from benchopt.stopping_criterion import EPS, StoppingCriterion

BUDGET, DIVERGED, DEADLINE = ENDS = ("budget", "diverged", "deadline")
_COLUMN = "objective_end"  # as benchopt calls it
# Evaluations without a fall of h: threefold iterations, a hundredth of the tolerance.
PATIENCE = {"iteration": 3, "tolerance": 12}


def has_norm(array):
    """Whether ‖array‖² is a number: else it holds NaN or inf, or will do so soon."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.vdot(array, array)))


class OwnEnds(StoppingCriterion):
    """For solvers that ask before an evaluation whether it is their last.

    The timeout is on the solver's own clock, without compilation and evaluation.
    """

    def get_runner_instance(self, solver=None, **limits):
        criterion = super().get_runner_instance(solver=solver, **limits)
        if getattr(solver, "compiles", False):  # next, when benchopt warms it up
            criterion.progress("compiling")
        return criterion

    def is_late(self, clock):
        """Whether a run has passed benchopt's timeout after `clock` seconds."""
        return self.timeout is not None and clock >= self.timeout

    def end(self, clock):
        """Why the next evaluation is the last of a run; None if it is not."""
        if self.is_late(clock):
            return DEADLINE
        return BUDGET if self.n_eval >= self.max_runs else None

    def should_stop(self, stop_val, curve):
        end = curve[-1][_COLUMN]
        if end is None:
            self.n_eval += 1
            self.progress(self.n_eval / self.max_runs)
            return False, "running", self.get_next_stop_val(stop_val)
        if end == DEADLINE:
            return True, "timeout", stop_val
        return True, "max_runs" if self.n_eval >= self.max_runs else "done", stop_val


class _Once(int):
    """What a solver that runs once is given; a text for callbacks may call it, too."""

    def __call__(self):
        return True


class AnyEnds(StoppingCriterion):
    """For benchopt's own kind of solvers, whatever their sampling strategy.

    One that is run with more and more iterations, or smaller and smaller tolerances,
    ends when h no longer falls; a row without h is no sign of divergence.
    """

    def get_runner_instance(self, **limits):
        # benchopt writes the first solver's strategy into the criterion that all share.
        return super(AnyEnds, type(self)()).get_runner_instance(**limits)

    def init_stop_val(self):
        if self.timeout is not None:
            self._deadline = time.time() + self.timeout
        first = super().init_stop_val()
        return _Once(1) if self.strategy == "run_once" else first

    def should_stop(self, stop_val, curve):
        stop, status, stop_val = super().should_stop(stop_val, curve)
        if status == "timeout":
            curve[-1][_COLUMN] = DEADLINE
        return stop, status, stop_val

    def check_convergence(self, curve):
        patience = PATIENCE.get(self.strategy)
        if patience is None:
            return self.strategy == "run_once", 0.0
        values = [row["objective_value"] for row in curve]
        values = [value for value in values if math.isfinite(value)]
        before, recent = values[:-patience], values[-patience:]
        fall = values[0] - min(values) if before else 0.0
        return fall > 0 and min(before) - min(recent) <= EPS * fall, 0.0
