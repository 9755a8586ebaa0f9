"""The runtime of task problems: a solver's text over the rows of the tasks drawn."""

import torch

from benchmark_bilevel.methods.schedules import steps_at
from benchmark_bilevel.oracles.samplers import Partition, next_block, seed_sampler
from benchmark_bilevel.oracles.tasks import TaskInner, TaskOuter
from benchmark_bilevel.runtimes.eager import EagerRuntime
from benchmark_bilevel.runtimes.gate import check_state


class TaskRuntime(EagerRuntime):
    """Runs a solver on a `TaskProblem`, text unchanged; see `Runtime`.

    An iteration draws one of the fixed blocks of tasks, the same for g and f. Of the
    solver's state the variables that grow with the number of tasks are *rows*: those of
    the block come from what ``init`` returns for its tasks at their first visit, and are
    put back after the step (`kept`) or start afresh at every visit. All else is global.

    Parameters
    ----------
    kept : bool
    """

    def __init__(self, *args, kept=True, **settings):
        self.kept, self._rows = kept, {}
        super().__init__(*args, **settings)

    def _make_oracles(self):
        problem, partition = self.problem, self.partitions[0]
        settings = (partition, self.samplers[0], self.counts, self.dtype, self.device)
        inner = TaskInner(
            problem,
            problem.inner_loss,
            problem.represent_inner,
            problem.inner_samples,
            problem.inner_rows,
            *settings,
        )
        outer = TaskOuter(
            problem,
            problem.outer_loss,
            problem.represent_outer,
            problem.outer_samples,
            problem.outer_rows,
            *settings,
            project=problem.project,
            project_scaled=problem.project_scaled,
        )
        return inner, outer

    def _make_loop(self):
        return self._iterate

    def start(self, seed):
        """Go back to iteration 0, with the blocks that `seed` gives."""
        for stream, sampler in enumerate(self.samplers):
            seed_sampler(sampler, seed, stream)
        self._rows.clear()
        self._first_row, self._first_x = (
            self._variable(y)
            for y in (self.problem.initial_task(), self.problem.initial_outer())
        )
        tasks = self.inner.tasks
        self.inner.forget_memories()
        self.outer.forget_memories()
        states = []
        for n_tasks in (1, 2, tasks.batch_size):
            self.inner.tasks = self.outer.tasks = Partition(tasks.n_samples, n_tasks)
            self._select(0)
            states.append(self._init())
        self.inner.tasks = self.outer.tasks = tasks
        self._is_row = _growing(*states[:2])
        self.state = self._globals = states[2]
        check_state(
            self.solver,
            self.state,
            self._initial_rows(tasks.batch_size),
            self._first_x,
        )
        self.counts[:] = 0
        self.t = 0

    def _select(self, i):
        self.inner.select(i)
        self.outer.select(i)

    def _init(self):
        """What ``init`` returns for the selected tasks."""
        z = self._initial_rows(self.inner.n_tasks)
        x = self._first_x.clone()
        return self.solver.init(self.inner, self.outer, z, x, *self.init_options)

    def _initial_rows(self, n_tasks):
        return self._first_row.repeat(n_tasks)

    def _iterate(
        self, inner, outer, state, schedule, options, t, stop, max_oracle_calls
    ):
        while t < stop:
            i = int(next_block(*self.samplers[0]))
            self._select(i)
            rows = self._rows.get(i) or self._init()
            self.state = _merged(self._is_row, rows, self._globals)
            self.solver.step(
                inner, outer, self.state, steps_at(schedule, t), t, *options
            )
            if self.kept:
                self._rows[i] = self.state
            t += 1
            if self.counts.sum() >= max_oracle_calls:
                break
        return t

    @property
    def row_bytes(self):
        """Memory of the rows that are kept from visit to visit."""
        return sum(
            part.numel() * part.element_size()
            for state in self._rows.values()
            for part, is_row in zip(_leaves(state), _leaves(self._is_row), strict=True)
            if is_row
        )

    def variables(self):
        """z of the evaluated tasks, None where rows are not kept, and x."""
        x = self._to_numpy(self.state[1])
        if not self.kept:
            return None, x
        n = self.problem.n_evaluated
        z = self._first_row.repeat(n, 1)
        for i, state in self._rows.items():
            block = self.partitions[0].slice(i)
            if block.start < n:
                rows = state[0].view(-1, z.shape[1])[: n - block.start]
                z[block.start : block.start + len(rows)] = rows
        return self._to_numpy(z.flatten()), x


def _leaves(state):
    if isinstance(state, tuple):
        return [leaf for part in state for leaf in _leaves(part)]
    return [state]


def _growing(one, two):
    """Which leaves of the state grow with the number of tasks, as nested tuples."""
    if isinstance(one, tuple):
        return tuple(_growing(*pair) for pair in zip(one, two, strict=True))
    return isinstance(one, torch.Tensor) and one.numel() != two.numel()


def _merged(is_row, rows, everything_else):
    """The state with leaves from `rows` where `is_row`, else from the other."""
    if isinstance(is_row, tuple):
        return tuple(
            _merged(*parts) for parts in zip(is_row, rows, everything_else, strict=True)
        )
    return rows if is_row else everything_else
