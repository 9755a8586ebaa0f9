"""The benchopt base class of every solver: parameters, seeds, budgets, evaluation."""

import time

from benchopt import BaseSolver

from benchmark_bilevel.ends import BUDGET, DEADLINE, DIVERGED, OwnEnds
from benchmark_bilevel.methods.schedules import Schedule
from benchmark_bilevel.needs import device_error, lack_of
from benchmark_bilevel.notices import Fault
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.oracles.samplers import SAMPLINGS
from benchmark_bilevel.parameters import (
    LARGEST,
    Boolean,
    CheckedParameters,
    Choice,
    Integer,
    Number,
    defaults,
    require_declared,
)
from benchmark_bilevel.points import evaluation_points, expected_points
from benchmark_bilevel.runtimes import (
    DTYPES,
    RUNTIMES,
    TASK_STATES,
    chosen,
    make_runtime,
)
from benchmark_bilevel.runtimes.gate import ARGUMENTS, fault_of, own_options

CHUNK_SECONDS = 0.1  # between looks at the clock, and for Ctrl-C


def _implied_range(default):
    """The range of a plugin's parameter that declares none."""
    if isinstance(default, bool):
        return Boolean()
    if isinstance(default, int):
        return Integer(at_least=1) if default >= 1 else Integer()
    return Number(also=(None,)) if default is None else Number()


class BilevelSolver(CheckedParameters, BaseSolver):
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
    ``oracle_calls(t, b, c, n, m, …)``, the per-sample `Calls` of iteration t, with
    batches of b of n samples of g and of c of m samples of f; ``estimate(t,
    linear_step, …)``, the kind of `Estimate` behind x's step (`methods.facts`); the
    attributes below.

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
    task_state : {"kept", "fresh"}
        Where a problem is made of tasks, of which `batch_size` are drawn at a time for
        both losses: whether z and what else belongs to a task go on where they were at
        its last visit, which takes memory for each task, or start afresh.
    runtime : {"auto", "numba", "torch"}
        "auto": numba where the problem ships kernels, else torch.
    dtype : {"float64", "float32"}
    device : str
        A torch device.
    max_iterations, max_oracle_calls : int or None
        Of oracle calls, per-sample evaluations of all kinds, a run has an iteration's
        more at most. None means any number.
    max_seconds : float or None
        On the solver's clock: without compilation and evaluation. None means the
        problem's `solver_seconds`, which exceed what exact evaluation takes.

    Attributes
    ----------
    ranges : dict
        What a plugin's own parameters may be (`benchmark_bilevel.parameters`); where it
        says nothing, what is of the kind of the default: a number, a positive integer
        or integer, True or False.
    search_space : list
        At most five parameters that `benchmark_bilevel.search` tunes: names for which
        it has ranges, ``"outer_step"`` for step_size / outer_ratio among them, or
        ``(name, low, high)`` with the edges of a logarithmic range.
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
    needs_all_of_z : bool
        It compares directions of z at two points, keeps them for later, takes their
        inner products, or prepares z at first: a problem made of tasks is skipped, as an
        iteration has the rows of some tasks only, which are of different ages.
    needs_minimisation : bool
        It uses g itself or ∇x g, or that ∇²zz g is symmetric: a problem whose inner
        problem is a fixed point is skipped.
    """

    parameters = {
        "step_size": [0.1],
        "outer_ratio": [1.0],
        "linear_step": [None],
        "step_exponent": [0.0],
        "outer_exponent": [0.0],
        "batch_size": [64],
        "outer_batch_size": [64],
        "sampling": ["reshuffled"],
        "task_state": ["kept"],
        "runtime": ["auto"],
        "dtype": ["float64"],
        "device": ["cpu"],
        "max_iterations": [None],
        "max_oracle_calls": [None],
        "max_seconds": [None],
    }
    ranges = {
        "step_size": Number(above=0),
        "outer_ratio": Number(above=0),
        "linear_step": Number(above=0, also=(None,)),
        "step_exponent": Number(at_least=0),
        "outer_exponent": Number(at_least=0),
        "batch_size": Integer(at_least=1, also=("full",)),
        "outer_batch_size": Integer(at_least=1, also=("full",)),
        "sampling": Choice(*SAMPLINGS),
        "task_state": Choice(*TASK_STATES),
        "runtime": Choice(*RUNTIMES),
        "dtype": Choice(*DTYPES),
        "max_iterations": Integer(at_least=1, also=(None,)),
        "max_oracle_calls": Integer(at_least=1, also=(None,)),
        "max_seconds": Number(above=0, also=(None,)),
    }
    search_space = ["step_size", "outer_step"]
    unbiased = True
    shares_samples = None
    variance_reduced = False
    needs_matrices = False
    scales_steps = False
    needs_all_of_z = False
    needs_minimisation = False

    sampling_strategy = "callback"
    stopping_criterion = OwnEnds(strategy="callback")
    _end = None  # what ended the run

    def __init_subclass__(cls, **kwargs):
        # benchopt needs a name to go on to the other solvers; `skip` says what is missing.
        cls._is_named = isinstance(cls.name, str)
        if not cls._is_named:
            cls.name = cls.__module__.rpartition(".")[2]
        # A subclass's `parameters` replaces its base's, so the shared ones are merged.
        own, base = vars(cls), super(cls, cls)
        parameters, ranges = own.get("parameters", {}), own.get("ranges", {})
        require_declared(cls.name, parameters, ranges, base.parameters)
        cls.parameters = {**base.parameters, **parameters}
        implied = {
            name: _implied_range(default)
            for name, default in defaults(parameters).items()
            if name not in base.ranges
        }
        cls.ranges = {**implied, **ranges}
        super().__init_subclass__(**kwargs)

    def invalid(self):
        if self.device == "cpu":
            return None
        named = f"device={self.device!r}"
        if self.runtime == "numba":
            return f"{named} needs runtime='torch'; the numba runtime runs on the CPU"
        error = device_error(self.device)
        return error and f"{named} is none that torch has here ({error})"

    # --- benchopt's protocol --------------------------------------------------------

    def skip(self, problem):
        if not self._is_named:
            return True, f"{self._module_filename} gives its solver no name"
        reason = fault_of(type(self)) or lack_of(self, problem)
        return reason is not None, reason

    def set_objective(self, problem):
        # Called for every repetition, also where the result is cached: nothing is built.
        if problem is not getattr(self, "problem", None):
            self.problem, self._runtime = problem, None
        self.seed = self.get_seed(use_repetition=True)

    @property
    def compiles(self):
        """Whether a warm-up would compile."""
        return (
            getattr(self, "_runtime", None) is None
            and chosen(self.runtime, self.problem, self.device) == "numba"
        )

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
        self._run(callback)
        # benchopt keeps every solver until its command ends, and data go with a runtime.
        self._last, self._runtime = self.get_result(), None

    def _run(self, callback):
        limits = getattr(callback, "stopping_criterion", None)
        if not isinstance(limits, OwnEnds):
            limits = OwnEnds().get_runner_instance(max_runs=LARGEST)
        self._limits, self._clock, self._chunk = limits, 0.0, 1
        for point in evaluation_points(self.max_iterations or LARGEST):
            # Whether an evaluation is the run's last has to be known before it.
            self._end = limits.end(self._clock)
            if not self._tell(callback):
                if self._end is None:  # some other criterion stops the run
                    self._end = DEADLINE
                    self._tell(callback)
                return
            self._end = self._advance(point)
            if self._end is not None:
                break
        self._end = self._end or BUDGET
        self._tell(callback)  # the last point would be lost otherwise

    def _tell(self, callback):
        """Let benchopt evaluate the run, at the time of the solver's own clock.

        Benchopt's clock has also looked for divergence, which takes longer than a few
        iterations of a method with tables.
        """
        if hasattr(callback, "time_iter"):
            ahead = self._clock - callback.time_iter
            callback.time_callback = time.perf_counter() - ahead
        return callback()

    def _advance(self, point):
        """Iterate until `point`; what ended the run before, None if nothing did."""
        run, end = self._runtime, None
        max_seconds = self.max_seconds or self.problem.solver_seconds
        max_calls = self.max_oracle_calls or LARGEST
        while run.t < point and end is None:
            # Divergence is looked for where no clock decides.
            stop = min(point, run.t + max(1, point // 10))
            while run.t < stop and end is None:
                started, before = time.perf_counter(), run.t
                run.advance(min(stop, before + self._chunk), max_calls)
                seconds = time.perf_counter() - started
                self._clock += seconds
                pace = (run.t - before) / seconds
                self._chunk = max(1, min(2 * self._chunk, int(CHUNK_SECONDS * pace)))
                if run.oracle_calls >= max_calls or self._clock >= max_seconds:
                    end = BUDGET
                elif self._limits.is_late(self._clock):
                    end = DEADLINE
            if run.diverged:
                end = DIVERGED
        return end

    def get_result(self):
        run = self._runtime
        if run is None:  # the run is over
            return self._last
        z, x = run.variables()
        return {
            "z": z,
            "x": x,
            "iterations": run.t,
            "counts": dict(zip(COUNTS, run.counts.tolist(), strict=True)),
            "diverged": run.diverged,
            "ended": self._end,
            "row_bytes": run.row_bytes,
            "expected_points": expected_points(self, run.t, run.oracle_calls),
        }

    def get_next(self, stop_val):
        return stop_val + 1  # every call of the callback is an evaluation point

    # --- the same without benchopt --------------------------------------------------

    def make_runtime(self, problem):
        """The runtime of this solver on `problem`, at iteration 0."""
        reason = fault_of(type(self))
        if reason is not None:
            raise Fault(reason)
        options = {
            name: self.option(name)
            for function in ARGUMENTS
            for name in own_options(self, function)
        }
        schedule = Schedule(
            self.step_size,
            self.option("linear_step"),
            self.step_size / self.outer_ratio,
            self.step_exponent,
            self.outer_exponent,
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
            task_state=self.task_state,
            dtype=self.dtype,
            device=self.device,
        )

    def option(self, name):
        """Value of a parameter as `init` and `step` get it."""
        value = getattr(self, name)
        return self.step_size if name == "linear_step" and value is None else value
