"""Oracles of a task problem: what a solver's text sees of the tasks drawn.

An iteration draws a block of tasks; `inner` and `outer` are then the losses of just these
tasks, as one mini-batch, z being their rows. With b tasks drawn,

    ``inner.grad``   the rows F_k, not scaled,
    ``inner.hvp``    the rows (∂F_k/∂z)ᵀ v_k,
    ``inner.cross``  1/b Σ_k (∂F_k/∂x)ᵀ v_k,
    ``outer.grad``   the rows ∇z f_k, not scaled, and 1/b Σ_k ∇x f_k,

so that v_k → −(∂F_k/∂z)^{−T} ∇z f_k whatever b is, and ∇x f + J v is an unbiased estimate
of the hypergradient of 1/K Σ_k f_k.
"""

from benchmark_bilevel.oracles.autograd import AutogradInner, AutogradOuter
from benchmark_bilevel.oracles.samplers import Partition


class _TaskOracle:
    """What both oracles share: the current block of tasks is their only mini-batch."""

    def __init__(self, problem, loss, samples, n_rows, *settings, **more):
        self.problem, self.n_rows = problem, n_rows
        super().__init__(loss, None, samples, *settings, **more)
        self.tasks, self.all_samples = self.partition, self.samples
        self.select(0)

    def select(self, i):
        """Make the tasks of block `i` the current ones."""
        block = self.tasks.slice(i)
        self.n_tasks = block.stop - block.start
        self.samples = [array[block] for array in self.all_samples]
        self.partition = Partition(self.n_tasks, "full")
        self.n_blocks, self.sizes = 1, [self.n_tasks * self.n_rows]

    def draw(self):
        return 0

    def rows(self, z):
        """The flat `z` as a matrix (tasks, dim_task)."""
        return z.view(self.n_tasks, -1)

    def value(self, z, x, i):
        return super().value(z, x, i) / self.n_tasks

    def _value(self, z, x, i):
        """The sum over the tasks: gradients of a row of z are not scaled."""
        return self.loss(self.rows(z), x, *self.samples).sum()


class TaskInner(_TaskOracle, AutogradInner):
    """Inner oracle of the tasks drawn; see the module.

    Parameters
    ----------
    problem : TaskProblem
    loss : callable
    samples : tuple of arrays
    n_rows : int
        Rows of data in a task.
    *settings
        Partition of the tasks, sampler, counts, dtype and device.
    """

    def _residual(self, z, x, i, differentiable=True):
        if self.problem.contraction is None:
            return super()._residual(z, x, i, differentiable)
        rows = self.rows(z)
        return (rows - self.problem.fixed_point(rows, x, *self.samples)).flatten()

    def grad(self, z, x, i):
        return super().grad(z, x, i).detach()

    def grad_x(self, z, x, i):
        return super().grad_x(z, x, i) / self.n_tasks

    def grads(self, z, x, i):
        gz, gx = super().grads(z, x, i)
        return gz, gx / self.n_tasks

    def cross(self, z, x, v, i):
        return super().cross(z, x, v, i) / self.n_tasks

    def grad_hvp_cross(self, z, x, v, i):
        residual, product, cross = super().grad_hvp_cross(z, x, v, i)
        return residual, product, cross / self.n_tasks


class TaskOuter(_TaskOracle, AutogradOuter):
    """Outer oracle of the tasks drawn, and the projected step on x; see `TaskInner`."""

    def grad(self, z, x, i):
        fz, fx = super().grad(z, x, i)
        return fz, None if fx is None else fx / self.n_tasks
