"""The benchopt base class of every solver: parameters, seeds, budgets, evaluation."""

import time

import click
import numpy as np
from benchopt import BaseSolver
from benchopt.stopping_criterion import NoCriterion

from benchmark_bilevel.methods.schedules import Schedule
from benchmark_bilevel.oracles import COUNTS, MATRIX_LIMIT
from benchmark_bilevel.oracles.samplers import SAMPLINGS
from benchmark_bilevel.runtimes import DTYPES, RUNTIMES, make_runtime, option_names

SHARED_PARAMETERS = {
    "step_size": [0.1],
    "outer_ratio": [1.0],
    "linear_step": [None],
    "step_exponent": [0.0],
    "outer_exponent": [0.0],
    "batch_size": [64],
    "outer_batch_size": [64],
    "sampling": ["reshuffled"],
    "runtime": ["auto"],
    "dtype": ["float64"],
    "device": ["cpu"],
    "max_iterations": [10**12],
    "max_oracle_calls": [np.inf],
    "max_seconds": [None],
}


class BilevelSolver(BaseSolver):
    """A stochastic bilevel solver; a plugin derives from it and writes two functions.

    ``init(inner, outer, z, x, …)`` returns the state, a tuple of variables (nested
    tuples are fine) that starts with z and x. ``step(inner, outer, state, steps, t, …)``
    does iteration t = 0, 1, … by changing the state's variables in place. Both are
    static methods; the arguments after the named ones are the solver's own parameters,
    by name. `inner` and `outer` are oracles (`benchmark_bilevel.oracles`), `steps` has
    the step sizes ``inner`` (of z), ``linear`` (of v) and ``outer`` (of x) at iteration
    t, and variables move by the verbs of `benchmark_bilevel.methods`. The text has to
    run as it is under torch and, compiled, under numba.

    A plugin may declare what its paper promises, for `benchmark_bilevel.verification`:
    ``oracle_calls(t, b, c, n, m, …)``, the per-sample calls of iteration t in the order
    of `COUNTS`, with batches of b of n samples of g and of c of m samples of f;
    ``estimate(t, linear_step, …)``, the `Estimate` behind x's step; the attributes below.

    Parameters
    ----------
    step_size : float
        Step of z, ρ; at iteration t it is ρ (t + 1)^−step_exponent.
    outer_ratio : float
        Step of x = step_size / outer_ratio · (t + 1)^−outer_exponent.
    linear_step : float or None
        Step of the linear system's variable v; None means step_size.
    step_exponent, outer_exponent : float
    batch_size, outer_batch_size : int or "full"
        Samples of g and of f in a mini-batch.
    sampling : {"reshuffled", "with-replacement"}
    runtime : {"auto", "numba", "torch"}
        "auto": numba where the problem ships kernels, else torch.
    dtype : {"float64", "float32"}
    device : str
        A torch device.
    max_iterations : int
    max_oracle_calls : float
        Per-sample evaluations of all kinds; exceeded by one iteration at most.
    max_seconds : float or None
        On the solver's clock: without compilation and evaluation. None means the
        problem's `solver_seconds`, which exceed what exact evaluation takes.

    Attributes
    ----------
    unbiased : bool
        With batches drawn with replacement, the mean of the iterates on a quadratic is
        the run with full batches. False for a method whose paper states a bias.
    shares_samples : bool or None
        Whether one batch serves several kinds of derivative; None is not declared.
    variance_reduced : bool
        Constant steps and small batches reach the minimum.
    needs_matrices : bool
        It asks for H and J as matrices: a problem whose z is large is skipped.
    scales_steps : bool
        It moves x by `outer.scaled_descend`: a problem that has no projection in such a
        metric is skipped.
    """

    unbiased = True
    shares_samples = None
    variance_reduced = False
    needs_matrices = False
    scales_steps = False

    sampling_strategy = "callback"
    stopping_criterion = NoCriterion(strategy="callback")

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # A subclass's `parameters` replaces its base's, so the shared ones are merged.
        cls.parameters = {**SHARED_PARAMETERS, **cls.parameters}

    @classmethod
    def get_instance(cls, **parameters):
        solver = super().get_instance(**parameters)
        solver._validate()
        return solver

    def _validate(self):
        """Refuse what cannot run, in one line, before anything runs."""
        for name, allowed in (
            ("sampling", SAMPLINGS),
            ("runtime", RUNTIMES),
            ("dtype", DTYPES),
        ):
            self._require(name, getattr(self, name) in allowed, f"one of {allowed}")
        for name in ("batch_size", "outer_batch_size"):
            size = getattr(self, name)
            valid = size == "full" or (isinstance(size, int) and size >= 1)
            self._require(name, valid, "a positive integer or 'full'")
        for name in ("step_size", "outer_ratio", "max_oracle_calls"):
            valid = _is_number(getattr(self, name)) and getattr(self, name) > 0
            self._require(name, valid, "a positive number")
        for name in ("step_exponent", "outer_exponent"):
            valid = _is_number(getattr(self, name)) and getattr(self, name) >= 0
            self._require(name, valid, "a number ≥ 0")
        for name in ("linear_step", "max_seconds"):
            value = getattr(self, name)
            valid = value is None or (_is_number(value) and value > 0)
            self._require(name, valid, "a positive number or None")
        valid = isinstance(self.max_iterations, int) and self.max_iterations >= 1
        self._require("max_iterations", valid, "a positive integer")
        for name in set(self.parameters) - set(SHARED_PARAMETERS):
            default = self.parameters[name][0]
            value = getattr(self, name)
            if isinstance(default, bool):
                self._require(name, isinstance(value, bool), "True or False")
            elif isinstance(default, int) and default >= 1:
                valid = isinstance(value, int) and value >= 1
                self._require(name, valid, "a positive integer")
            else:  # compiled code takes nothing else
                self._require(name, isinstance(value, int | float), "a number")
        if self.runtime == "numba" and self.device != "cpu":
            raise click.UsageError(
                f"{self.name}: device={self.device!r} needs runtime='torch'; "
                "the numba runtime runs on the CPU."
            )

    def _require(self, name, valid, expected):
        if not valid:
            raise click.UsageError(
                f"{self.name}: {name}={getattr(self, name)!r} is not valid; "
                f"expected {expected}."
            )

    # --- benchopt's protocol --------------------------------------------------------

    def skip(self, problem):
        if self.runtime == "numba" and problem.kernels is None:
            return True, f"{problem.name} ships no numba kernels: runtime=torch"
        if self.needs_matrices and problem.dim_z > MATRIX_LIMIT:
            return True, (
                f"{self.name} needs ∇²zz g as a matrix, up to dim z = {MATRIX_LIMIT}; "
                f"here it is {problem.dim_z}"
            )
        if self.scales_steps and problem.project and not problem.project_scaled:
            return True, (
                f"{problem.name} has no projection for steps that differ between "
                "entries (project_scaled)"
            )
        return False, None

    def set_objective(self, problem):
        # Called for every repetition, also where the result is cached: nothing is built.
        if problem is not getattr(self, "problem", None):
            self.problem, self._runtime = problem, None
        self.seed = self.get_seed(use_repetition=True)

    def warm_up(self):
        """Build the oracles and compile, outside benchopt's clock."""
        self._runtime = self.make_runtime(self.problem)
        self._runtime.advance(1)

    def pre_run_hook(self, callback):
        # benchopt warms an instance up once and then hands it the next data set too.
        if getattr(self, "_runtime", None) is None:
            self.warm_up()
        self._runtime.start(self.seed)

    def run(self, callback):
        run = self._runtime
        self._ended = False
        clock, max_seconds = 0.0, self.max_seconds or self.problem.solver_seconds
        for point in evaluation_points(self.max_iterations):
            if not callback():
                return
            while run.t < point:
                started = time.perf_counter()
                before = run.t
                # Chunks of a tenth of the point keep the overshoot of max_seconds small.
                run.advance(
                    min(point, before + max(1, point // 10)), self.max_oracle_calls
                )
                clock += time.perf_counter() - started
                if (
                    run.oracle_calls >= self.max_oracle_calls
                    or clock >= max_seconds
                    or run.diverged
                ):
                    self._ended = True
                    callback()  # the last point would be lost otherwise
                    return
        self._ended = True
        callback()

    def get_result(self):
        run = self._runtime
        z, x = run.variables()
        return {
            "z": z,
            "x": x,
            "iterations": run.t,
            "counts": dict(zip(COUNTS, run.counts.tolist(), strict=True)),
            "diverged": run.diverged,
            "ended": self._ended,
        }

    def get_next(self, stop_val):
        return stop_val + 1  # every call of the callback is an evaluation point

    # --- the same without benchopt --------------------------------------------------

    def make_runtime(self, problem):
        """The runtime of this solver on `problem`, at iteration 0."""
        names = {*option_names(self.step, 5), *option_names(self.init, 4)}
        unknown = sorted(names - set(self._parameters))
        if unknown:
            raise click.UsageError(
                f"{self.name}: init or step asks for {', '.join(unknown)}, which its "
                "`parameters` do not name."
            )
        options = {name: self.option(name) for name in names}
        schedule = Schedule(
            float(self.step_size),
            self.option("linear_step"),
            float(self.step_size / self.outer_ratio),
            float(self.step_exponent),
            float(self.outer_exponent),
        )
        return make_runtime(
            self,
            problem,
            schedule,
            options,
            runtime=self.runtime,
            batch_size=self.batch_size,
            outer_batch_size=self.outer_batch_size,
            sampling=self.sampling,
            dtype=self.dtype,
            device=self.device,
        )

    def option(self, name):
        """Value of a parameter as `init` and `step` get it."""
        value = getattr(self, name)
        if name == "linear_step":
            return float(self.step_size if value is None else value)
        default = self.parameters[name][0]
        is_float = isinstance(default, float) and not isinstance(value, bool)
        return float(value) if is_float else value


def evaluation_points(stop, per_decade=8):
    """Increasing iterations up to `stop`, about `per_decade` a decade, ending there."""
    point, k = 0, 0
    while point < stop:
        following = min(round(10 ** (k / per_decade)), stop)
        k += 1
        if following > point:
            point = following
            yield point


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)
