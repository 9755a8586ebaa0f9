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

import torch

from benchmark_bilevel.oracles import (
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    JACOBIAN_VECTOR,
    OUTER_GRADIENTS,
)
from benchmark_bilevel.oracles.autograd import (
    AutogradInner,
    AutogradOuter,
    leaf,
    transposed_product,
)
from benchmark_bilevel.oracles.samplers import Partition


class _TaskOracle:
    """What both oracles share: the current block of tasks is their only mini-batch."""

    def __init__(self, problem, loss, represent, samples, n_rows, *settings, **more):
        self.problem, self.represent, self.n_rows = problem, represent, n_rows
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
        self._known = None

    def draw(self):
        return 0

    def rows(self, z):
        """The flat `z` as a matrix (tasks, dim_task)."""
        return z.view(self.n_tasks, -1)

    def value(self, z, x, i):
        return super().value(z, x, i) / self.n_tasks

    def _value(self, z, x, i):
        """The sum over the tasks: gradients of a row of z are not scaled."""
        return self.loss(self.rows(z), x, *self.batch(x)).sum()

    def batch(self, x):
        """Arguments of the losses after z and x.

        They are the samples of the tasks or what the problem's `represent_inner` or
        `represent_outer` makes of them and of x, in a graph that is built once for an x.
        """
        if self.represent is None:
            return self.samples
        self.leaf(x)
        return self._batch

    def leaf(self, x):
        """x as a leaf of the graph of `batch`."""
        if self.represent is None:
            return leaf(x)
        known = x.data_ptr(), x._version
        if known != self._known:
            self._leaf = leaf(x)
            self._batch = self.represent(self._leaf, *self.samples)
            self._known = known
        return self._leaf


class TaskInner(_TaskOracle, AutogradInner):
    """Inner oracle of the tasks drawn; see the module.

    Parameters
    ----------
    problem : TaskProblem
    loss : callable
    represent : callable or None
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
        return (rows - self.problem.fixed_point(rows, x, *self.batch(x))).flatten()

    def grad(self, z, x, i):
        return super().grad(z, x, i).detach()

    def _gradients(self, z, x, i):
        z, x = leaf(z), self.leaf(x)
        gz, gx = torch.autograd.grad(
            self._value(z, x, i),
            (z, x),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return gz, gx / self.n_tasks

    def cross(self, z, x, v, i):
        self._count(JACOBIAN_VECTOR, i)
        x = self.leaf(x)
        residual = self._residual(leaf(z), x, i)
        return transposed_product(residual, (x,), v, True)[0] / self.n_tasks

    def grad_hvp_cross(self, z, x, v, i):
        for kind in (INNER_GRADIENTS, HESSIAN_VECTOR, JACOBIAN_VECTOR):
            self._count(kind, i)
        z, x = leaf(z), self.leaf(x)
        residual = self._residual(z, x, i)
        product, cross = transposed_product(residual, (z, x), v, True)
        return residual.detach(), product, cross / self.n_tasks


class TaskOuter(_TaskOracle, AutogradOuter):
    """Outer oracle of the tasks drawn, and the projected step on x; see `TaskInner`."""

    def grad(self, z, x, i):
        self._count(OUTER_GRADIENTS, i)
        z, x = leaf(z), self.leaf(x)
        fz, fx = torch.autograd.grad(
            self._value(z, x, i), (z, x), retain_graph=True, allow_unused=True
        )
        return fz, None if fx is None else fx / self.n_tasks
