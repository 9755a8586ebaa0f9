"""Runtimes: they turn the text of a solver into "run until iteration k".

Both execute the same `loop` around the solver's ``step``: `EagerRuntime` as Python over
autograd oracles, `CompiledRuntime` as machine code over closed-form oracles.
"""

from types import FunctionType

import numpy as np

from benchmark_bilevel.methods.schedules import steps_at
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.oracles.samplers import Partition, make_sampler, seed_sampler
from benchmark_bilevel.runtimes.gate import arrays, check_state, own_options

DTYPES = ("float64", "float32")
RUNTIMES = ("auto", "numba", "torch")
TASK_STATES = ("kept", "fresh")


def loop(inner, outer, state, schedule, options, t, stop, max_oracle_calls):
    """Iterate from `t` to `stop`, or until the oracle budget is spent; return the last t.

    The budget is checked after each iteration, so it overshoots by one at most.
    """
    while t < stop:
        # `bind_step` puts the solver's `step` among the globals.
        step(inner, outer, state, steps_at(schedule, t), t, *options)  # noqa: F821
        t += 1
        if inner.counts.sum() >= max_oracle_calls:
            break
    return t


def bind_step(step, name="loop", compiled=lambda function: function):
    """The function `loop` around the function `step` of one solver.

    Parameters
    ----------
    step : function
    name : str
        Name of the result; it also gets the file of `step`. Numba caches it under both.
    compiled : callable
        Decorator of `step`.
    """
    # Numba's cache imports the module of each function that it brings back, and a
    # plugin's module is importable from nowhere: both claim to live here.
    local = FunctionType(
        step.__code__, step.__globals__, step.__name__, None, step.__closure__
    )
    code = loop.__code__.replace(
        co_filename=step.__code__.co_filename,
        co_firstlineno=step.__code__.co_firstlineno,
        co_name=name,
        co_qualname=name,
    )
    bound = FunctionType(code, {**loop.__globals__}, name)
    local.__module__ = bound.__module__ = __name__
    bound.__globals__["step"] = compiled(local)
    return bound


class Runtime:
    """Runs a solver on a problem; the base class of both runtimes.

    Parameters
    ----------
    solver : class or instance with the static methods ``init`` and ``step``
        See `benchmark_bilevel.solver.BilevelSolver`.
    problem : Problem
    schedule : Schedule
    options : dict
        The solver's own parameters, numbers or booleans.
    batch_size, outer_batch_size : int or "full"
    sampling : {"reshuffled", "with-replacement"}
    dtype : {"float64", "float32"}
    device : str
        A torch device; the compiled runtime knows "cpu" only.

    Attributes
    ----------
    t : int
        Number of iterations done.
    state : tuple
        The solver's variables; the first two are z and x.
    counts : int64 array
        Per-sample oracle calls, in the order of `COUNTS`.
    row_bytes : int or None
        Memory of the rows of tasks that are kept; None where there are no tasks.
    """

    row_bytes = None

    def __init__(
        self,
        solver,
        problem,
        schedule,
        options,
        batch_size=64,
        outer_batch_size=64,
        sampling="reshuffled",
        dtype="float64",
        device="cpu",
    ):
        self.solver, self.problem, self.schedule = solver, problem, schedule
        self.dtype, self.device = dtype, device
        self.partitions = (
            Partition(problem.n_inner, batch_size),
            Partition(problem.n_outer, outer_batch_size),
        )
        self.samplers = [
            make_sampler(partition.n_blocks, sampling, seed=0, stream=stream)
            for stream, partition in enumerate(self.partitions)
        ]
        self.counts = np.zeros(len(COUNTS), np.int64)
        self.inner, self.outer = self._make_oracles()
        self.init_options, self.step_options = (
            tuple(options[key] for key in own_options(solver, name))
            for name in ("init", "step")
        )
        self.loop = self._make_loop()
        self.start(seed=0)

    def start(self, seed):
        """Go back to iteration 0, with the batches that `seed` gives."""
        for stream, sampler in enumerate(self.samplers):
            seed_sampler(sampler, seed, stream)
        self.counts[:] = 0
        self.t = 0
        z, x = (self._variable(y) for y in self.problem.initial_point())
        self.state = self.solver.init(self.inner, self.outer, z, x, *self.init_options)
        check_state(self.solver, self.state, z, x)

    def advance(self, stop, max_oracle_calls=None):
        """Run until iteration `stop`, less if the oracle budget is spent before."""
        unlimited = max_oracle_calls is None
        budget = np.iinfo(np.int64).max if unlimited else max_oracle_calls
        self.t = self.loop(
            self.inner,
            self.outer,
            self.state,
            self.schedule,
            self.step_options,
            self.t,
            stop,
            int(budget),
        )
        self.synchronise()

    def synchronise(self):
        """Wait until the work is done, so that a clock read next is honest."""

    @property
    def oracle_calls(self):
        """Per-sample oracle calls of all kinds so far."""
        return int(self.counts.sum())

    @property
    def diverged(self):
        """Whether the norm of any variable is NaN or inf."""
        return not all(self._has_norm(array) for array in arrays(self.state))

    def variables(self):
        """The current z and x as NumPy arrays, copied."""
        z, x = self.state[:2]
        return self._to_numpy(z), self._to_numpy(x)


def chosen(runtime, problem, device="cpu"):
    """The runtime that `runtime` means on `problem`.

    "auto" is numba where the problem ships kernels (and the device is the CPU), else
    torch.
    """
    if runtime != "auto":
        return runtime
    return "numba" if problem.kernels is not None and device == "cpu" else "torch"


def make_runtime(
    solver,
    problem,
    schedule,
    options,
    runtime="auto",
    task_state=TASK_STATES[0],
    **settings,
):
    """Build the runtime named `runtime`; see `chosen`.

    Where the problem is made of tasks, `task_state` says whether their rows are "kept"
    or "fresh" at every visit, and an iteration draws tasks for g and f at once.
    """
    if problem.made_of_tasks:
        from benchmark_bilevel.runtimes.tasks import TaskRuntime

        settings["outer_batch_size"] = settings["batch_size"]
        return TaskRuntime(
            solver, problem, schedule, options, kept=task_state == "kept", **settings
        )
    runtime = chosen(runtime, problem, settings.get("device", "cpu"))
    # Each runtime imports its framework, and torch takes seconds to import.
    if runtime == "numba":
        from benchmark_bilevel.runtimes.compiled import CompiledRuntime as Chosen
    else:
        from benchmark_bilevel.runtimes.eager import EagerRuntime as Chosen
    return Chosen(solver, problem, schedule, options, **settings)
