"""Oracles of a task problem: what a solver's text sees of the tasks drawn.

An iteration draws one of the blocks of tasks; `inner` and `outer` are then the losses of
just these tasks, as one mini-batch, z being their rows. With w = (number of blocks) /
(number of tasks), which is 1/b if all blocks have b tasks,

    ``inner.grad``     the rows F_k, not scaled,
    ``inner.hvp``      the rows (∂F_k/∂z)ᵀ v_k,
    ``inner.cross``    w Σ_k (∂F_k/∂x)ᵀ v_k,
    ``outer.grad``     the rows ∇z f_k, not scaled, and w Σ_k ∇x f_k,

so that v_k → −(∂F_k/∂z)^{−T} ∇z f_k whatever b is, and ∇x f + J v is an unbiased estimate
of the hypergradient of 1/K Σ_k f_k. Values, ∇x g and matrices are likewise; memories have
a row for each block of tasks, and are of directions of x alone: those of z have no noise
to be reduced, as all data of a task are there.
"""

import torch

from benchmark_bilevel.methods.variance_reduction import empty_memory
from benchmark_bilevel.notices import Fault
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
    transposed_matrix,
    transposed_product,
)


class NoMinimisation(Fault):
    """∇x g or a value of g is asked for where there are fixed points and no g."""


class _TaskOracle:
    """What both oracles share: the current block of tasks is their only mini-batch."""

    def __init__(self, problem, loss, represent, samples, n_rows, *settings, **more):
        self.problem, self.represent, self.n_rows = problem, represent, n_rows
        super().__init__(loss, None, samples, *settings, **more)
        self.tasks, self.all_samples = self.partition, self.samples
        self.n_memory_rows, self.n_blocks = self.tasks.n_blocks, 1
        self._memories = []
        self.select(0)

    def select(self, i):
        """Make the tasks of block `i` the current ones."""
        block = self.tasks.slice(i)
        self.block, self.n_tasks = i, block.stop - block.start
        self.samples = [array[block] for array in self.all_samples]
        self._known = self._known_point = None
        self._n_asked = 0

    def memory(self, z, x):
        """The first, second … memory of a run, whichever tasks are the current ones.

        A solver's ``init`` asks for them at the first visit of every block, and they have
        rows for all.
        """
        self._n_asked += 1
        if self._n_asked > len(self._memories):
            self._memories.append(self._memory(z, x))
        return self._memories[self._n_asked - 1]

    def forget_memories(self):
        """Make the next ones empty: a run begins."""
        self._memories.clear()

    def draw(self):
        """The current block, which an iteration keeps: memories have a row for it."""
        return self.block

    def _count(self, kind, i, times=1):
        self.counts[kind] += times * self.n_tasks * self.n_rows

    def rows(self, z):
        """The flat `z` as a matrix (tasks, dim_task)."""
        return z.view(self.n_tasks, -1)

    def value(self, z, x, i):
        return self.tasks.weight * super().value(z, x, i)

    def _value(self, z, x, i):
        """The sum over the tasks: gradients of a row of z are not scaled."""
        return self.loss(self.rows(z), x, *self.batch(x)).sum()

    def batch(self, x):
        """Arguments of the losses after z and x.

        They are the samples of the tasks or what the problem's `represent_inner` or
        `represent_outer` makes of them and of x, in a graph that is built once for an x.
        """
        self.leaf(x)
        return self._batch

    def leaf(self, x):
        """x as a leaf of the graph of `batch`."""
        # The leaf holds the memory of x, so that no other variable can be taken for it.
        known = x.data_ptr(), x._version
        if known != self._known:
            self._leaf, self._batch = leaf(x), self.samples
            if self.represent is not None:
                with torch.enable_grad():  # a value asks for no graph, but others will
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

    def _memory(self, z, x):
        return None, None, empty_memory(x, self.n_memory_rows)

    def _value(self, z, x, i):
        if self.problem.contraction is not None:
            raise NoMinimisation(
                f"{self.problem.name} has fixed points z = Φ(z, x) and no g: there is "
                "inner.grad, which is z − Φ, with its products, and neither a value nor "
                "∇x g"
            )
        return super()._value(z, x, i)

    def _residual(self, z, x, i, differentiable=True):
        if self.problem.contraction is None:
            return super()._residual(z, x, i, differentiable)
        rows, batch = self.rows(z), self.batch(x)
        with torch.set_grad_enabled(differentiable):
            return (rows - self.problem.fixed_point(rows, x, *batch)).flatten()

    def _gradients(self, z, x, i):
        z, x = leaf(z), self.leaf(x)
        gz, gx = torch.autograd.grad(
            self._value(z, x, i),
            (z, x),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return gz, self.tasks.weight * gx

    def _graph(self, z, x, i):
        """z and x as leaves and F, in a graph that is built once for a z and an x."""
        x = self.leaf(x)
        known = z.data_ptr(), z._version, self._known
        if known != self._known_point:
            self._point = leaf(z)
            self._residual_there = self._residual(self._point, x, i)
            self._known_point = known
        return self._point, x, self._residual_there

    def hvp(self, z, x, v, i):
        self._count(HESSIAN_VECTOR, i)
        z, _, residual = self._graph(z, x, i)
        return transposed_product(residual, (z,), v, True)[0]

    def cross(self, z, x, v, i):
        self._count(JACOBIAN_VECTOR, i)
        _, x, residual = self._graph(z, x, i)
        return self.tasks.weight * transposed_product(residual, (x,), v, True)[0]

    def grad_hvp_cross(self, z, x, v, i):
        for kind in (INNER_GRADIENTS, HESSIAN_VECTOR, JACOBIAN_VECTOR):
            self._count(kind, i)
        z, x, residual = self._graph(z, x, i)
        product, cross = transposed_product(residual, (z, x), v, True)
        return residual.detach().clone(), product, self.tasks.weight * cross

    def hessian(self, z, x, i):
        rows = leaf(self.rows(z))
        self._count(HESSIAN_VECTOR, i, rows.shape[1])
        residual = self._residual(rows, x, i).view_as(rows)
        return torch.block_diag(*jacobians(residual, rows).mT)

    def cross_matrix(self, z, x, i):
        self._count(JACOBIAN_VECTOR, i, z.numel() // self.n_tasks)
        z, x = leaf(z), self.leaf(x)
        matrix = transposed_matrix(self._residual(z, x, i), x, z).T.contiguous()
        return self.tasks.weight * matrix


class TaskOuter(_TaskOracle, AutogradOuter):
    """Outer oracle of the tasks drawn, and the projected step on x; see `TaskInner`."""

    def _memory(self, z, x):
        _, fx = self._gradients(z, x)
        return None, None if fx is None else empty_memory(x, self.n_memory_rows)

    def grad(self, z, x, i):
        self._count(OUTER_GRADIENTS, i)
        fz, fx = self._gradients(z, x)
        return fz, None if fx is None else self.tasks.weight * fx

    def _gradients(self, z, x):
        z, x = leaf(z), self.leaf(x)
        return torch.autograd.grad(
            self._value(z, x, self.block), (z, x), retain_graph=True, allow_unused=True
        )


def jacobians(residual, z):
    """∂F_k/∂z_k of each task, (tasks, dim, dim), of rows F_k and the leaf z of rows z_k.

    No F_k depends on other rows of z, so that one product serves all tasks.
    """
    n_tasks, dim = z.shape
    units = torch.eye(dim, dtype=z.dtype, device=z.device)[:, None].expand(
        -1, n_tasks, -1
    )
    # One pass for 32 units, as in `transposed_matrix`.
    rows = [
        torch.autograd.grad(
            residual, z, some, retain_graph=True, is_grads_batched=True
        )[0]
        for some in units.split(32)
    ]
    return torch.cat(rows).transpose(0, 1)
