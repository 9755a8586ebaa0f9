"""What a task problem is: one small inner problem a task, one x for all."""

from functools import cached_property

import numpy as np

from benchmark_bilevel.notices import Fault
from benchmark_bilevel.oracles.samplers import Partition
from benchmark_bilevel.problems.base import Problem


class TaskProblem(Problem):
    """min_x h(x) = 1/K Σ_k f_k(x, z_k*(x)), each z_k*(x) solving a problem of its own.

    z has a row of `dim_task` numbers for each of the K tasks. The inner problem of a task
    is a minimisation, z_k*(x) = argmin g_k(·, x), or a fixed point z_k = Φ_k(z_k, x) of a
    contraction. Its residual F_k = ∇z g_k or z_k − Φ_k is not scaled by 1/K: a step of
    size 1 on a fixed point is a Picard step.

    A subclass writes losses of a batch of tasks. ``inner_samples`` and ``outer_samples``
    are tuples of arrays whose first dimension is the task; a batch is a slice of each.

    Attributes
    ----------
    dim_task : int
        Numbers in a row of z.
    inner_rows, outer_rows : int
        Rows of data behind g_k (or Φ_k) and behind f_k, for the oracles' counts.
    contraction : float or None
        Lipschitz constant of Φ_k(·, x) on the feasible set, below 1; None where the
        inner problem is a minimisation.
    evaluation_tasks : int or None
        The exact metrics are means over the first so many tasks; all if None.
    coupled : bool
        Whether a task's losses depend on which others come with it. The evaluated tasks
        come together then.
    largest_batch : int or None
        As many tasks of an iteration as memory is sure to hold; None if any number.
    """

    made_of_tasks = True
    inner_rows = outer_rows = 1
    contraction = None
    evaluation_tasks = None
    coupled = False
    largest_batch = None
    # Or methods (x, *batch) -> the tuple that the inner or the outer loss gets in place of
    # its batch: what depends on x and the data but not on z is computed once for an x.
    represent_inner = represent_outer = None

    # --- to be written by a problem -------------------------------------------------

    def inner_loss(self, z, x, *batch):
        """g_k of a batch of tasks, shape (tasks,), from z of shape (tasks, dim_task)."""
        raise Fault(f"{type(self).__name__} has no method inner_loss")

    def fixed_point(self, z, x, *batch):
        """Φ_k of a batch of tasks, of the shape of z, in place of `inner_loss`."""
        raise Fault(f"{type(self).__name__} has no method fixed_point")

    def outer_loss(self, z, x, *batch):
        """f_k of a batch of tasks, shape (tasks,)."""
        raise Fault(f"{type(self).__name__} has no method outer_loss")

    def initial_task(self):
        """The row of z that every task starts from."""
        return np.zeros(self.dim_task)

    def initial_outer(self):
        """x0."""
        raise Fault(f"{type(self).__name__} has no method initial_outer")

    # --- what follows from it -------------------------------------------------------

    @property
    def n_tasks(self):
        return len(self.inner_samples[0])

    @property
    def n_evaluated(self):
        """Number of tasks behind the exact metrics."""
        return min(self.evaluation_tasks or self.n_tasks, self.n_tasks)

    n_inner = n_outer = n_tasks

    def n_drawn(self, batch_size):
        """Tasks of an iteration with `batch_size`, a number or "full"."""
        return Partition(self.n_tasks, batch_size).batch_size

    def dim_drawn(self, batch_size):
        return self.n_drawn(batch_size) * self.dim_task

    @property
    def dim_z(self):
        return self.n_evaluated * self.dim_task

    @cached_property
    def outer_depends_on_x(self):
        from benchmark_bilevel.oracles.autograd import depends_on_x  # takes seconds

        def loss(z, x, *batch):
            if self.represent_outer is not None:
                batch = self.represent_outer(x, *batch)
            return self.outer_loss(z[None], x, *batch)

        start = self.initial_task(), self.initial_outer()
        return depends_on_x(loss, self.outer_samples, *start)

    def initial_point(self):
        """z0, the rows of the evaluated tasks, and x0."""
        return np.tile(self.initial_task(), self.n_evaluated), self.initial_outer()
