"""The base class of solvers of h itself: each evaluation is exact, and counted."""

import time

import numpy as np
from benchopt import BaseSolver

from benchmark_bilevel.ends import BUDGET, DEADLINE, OwnEnds
from benchmark_bilevel.exact.feasible import box_of
from benchmark_bilevel.exact.newton import Evaluation
from benchmark_bilevel.exact.solve import Exact, InnerSolveError
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.parameters import LARGEST, CheckedParameters, Number
from benchmark_bilevel.points import evaluation_points, expected_points
from benchmark_bilevel.solver import BilevelSolver

LIMITS = ("max_iterations", "max_oracle_calls", "max_seconds")


class _Over(Exception):
    """The run has ended."""


class ExactSolver(CheckedParameters, BaseSolver):
    """A yardstick: a method that solves the inner problem for each x that it tries.

    A plugin derives from it and writes ``minimise(self, evaluate, x)``, which calls
    ``evaluate(x)`` as often as it likes, at x0 first, and gets an `Evaluation`; h is
    infinite there where it cannot be found. The run is at the lowest point so far. An
    iteration is an evaluation, and what its inner solves cost is counted. A run whose
    method finds nothing lower any more ends before its budget, and counts as spent.

    Parameters
    ----------
    max_iterations, max_oracle_calls, max_seconds
        As of `BilevelSolver`.
    """

    parameters = {name: [None] for name in LIMITS}
    ranges = {name: BilevelSolver.ranges[name] for name in LIMITS}

    sampling_strategy = "callback"
    stopping_criterion = OwnEnds(strategy="callback")

    def __init_subclass__(cls, **kwargs):
        # A subclass's `parameters` replaces its base's, so the shared ones are merged.
        own = vars(cls).get("parameters", {})
        cls.parameters = {**super(cls, cls).parameters, **own}
        super().__init_subclass__(**kwargs)

    def minimise(self, evaluate, x):
        """Look for the minimum of h from `x`; it may return or go on for ever."""
        raise NotImplementedError

    def lack(self, problem):
        """What `problem` lacks that this solver needs; None if nothing."""
        if problem.h_unknown is not None:
            return f"{self.name} needs h, and of {problem.name} {problem.h_unknown}"
        if problem.made_of_tasks:
            return (
                f"{self.name} counts what exact inner solves cost, which is not known of "
                f"the tasks of {problem.name}"
            )
        return None

    # --- benchopt's protocol --------------------------------------------------------

    def skip(self, problem):
        reason = self.lack(problem)
        return reason is not None, reason

    def set_objective(self, problem):
        # Called for every repetition, also where the result is cached: nothing is built.
        if problem is not getattr(self, "problem", None):
            self.problem, self._exact = problem, None
        self.seed = self.get_seed(use_repetition=True)

    def warm_up(self):
        """Build and compile what evaluations need, outside benchopt's clock."""
        self._exact = Exact(self.problem)
        self._evaluation(self.problem.initial_point()[1], {})

    def pre_run_hook(self, callback):
        if getattr(self, "_exact", None) is None:
            self.warm_up()
        self._exact.forget()
        self._exact.counts[:] = 0

    def run(self, callback):
        self._run(callback)
        # benchopt keeps every solver until its command ends, and data go with `Exact`.
        self._last, self._exact = self.get_result(), None

    def _run(self, callback):
        limits = getattr(callback, "stopping_criterion", None)
        if not isinstance(limits, OwnEnds):
            limits = OwnEnds().get_runner_instance(max_runs=LARGEST)
        self._callback, self._limits, self._clock = callback, limits, 0.0
        self._points = evaluation_points(self.max_iterations or LARGEST)
        (self._z, self._x), self._t = self.problem.initial_point(), 0
        self._lowest, self._warm_start = np.inf, {}
        try:
            self._look()
            self.minimise(self._evaluate, self._x)
            self._finish(BUDGET)
        except _Over:
            pass

    def _look(self):
        """Let benchopt evaluate the run."""
        self._end = self._limits.end(self._clock)
        if not self._callback():
            if self._end is None:  # some other criterion stops the run
                self._finish(DEADLINE)
            raise _Over
        self._point, self._resumed = next(self._points), time.perf_counter()

    def _finish(self, end):
        """Let benchopt evaluate the run for the last time."""
        self._end = end
        self._callback()
        raise _Over

    def _evaluate(self, x):
        evaluation = self._evaluation(np.array(x, float), self._warm_start)
        self._t += 1
        if evaluation.value < self._lowest:
            self._lowest, self._z, self._x = evaluation.value, evaluation.z, x.copy()
            self._warm_start = {"z": evaluation.z, "v": evaluation.v}
        now = time.perf_counter()
        self._clock, self._resumed = self._clock + now - self._resumed, now
        end = self._reached()
        if end is not None:
            self._finish(end)
        if self._t == self._point:
            self._look()
        return evaluation

    def _evaluation(self, x, warm_start):
        try:
            evaluation = self._exact.evaluate(x, **warm_start)
        except InnerSolveError:
            evaluation = None
        if evaluation is None or not np.isfinite(evaluation.hypergradient).all():
            return Evaluation(np.inf, np.inf, np.zeros_like(x), None, None)
        return evaluation

    def _reached(self):
        """What ends the run now; None if nothing does."""
        max_seconds = self.max_seconds or self.problem.solver_seconds
        if (
            self._t == self.max_iterations
            or self._exact.counts.sum() >= (self.max_oracle_calls or LARGEST)
            or self._clock >= max_seconds
        ):
            return BUDGET
        return DEADLINE if self._limits.is_late(self._clock) else None

    def get_result(self):
        if self._exact is None:  # the run is over
            return self._last
        calls = self._exact.counts.sum()
        return {
            "z": self._z,
            "x": self._x,
            "iterations": self._t,
            "counts": dict(zip(COUNTS, self._exact.counts.tolist(), strict=True)),
            "ended": self._end,
            "expected_points": expected_points(self, self._t, calls),
        }

    def get_next(self, stop_val):
        return stop_val + 1  # every call of the callback is an evaluation point


class BoxSearch(ExactSolver):
    """A yardstick that tries points of a box.

    Parameters
    ----------
    low, high : float
        Its edges where x has no bounds of its own: for logarithms of penalties, four
        decades in all. A set that is no box has none, and points are projected on it.
    """

    parameters = {"low": [-5.0], "high": [5.0]}
    ranges = {"low": Number(), "high": Number()}

    def invalid(self):
        if self.low < self.high:
            return None
        return f"low={self.low:g} is not below high={self.high:g}"

    def lack(self, problem):
        reason = super().lack(problem)
        if reason is not None:
            return reason
        lower, upper = self.box(problem)
        if (lower >= upper).any():
            return (
                f"{problem.name} has no x from low={self.low:g} to high={self.high:g}"
            )
        return None

    def box(self, problem):
        """Arrays of the lower and upper edges."""
        box = box_of(problem) or np.full((2, problem.dim_x), np.nan)
        return [
            np.where(np.isfinite(edges), edges, given)
            for edges, given in zip(box, (self.low, self.high), strict=True)
        ]
