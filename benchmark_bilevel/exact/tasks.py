"""The truth about a task problem: every evaluated task solved to a tolerance.

Minimisations are solved by damped Newton steps with the dense Hessians of many tasks at
once, fixed points by Picard steps, which a contraction halves the error with.
"""

import math

import numpy as np
import torch

from benchmark_bilevel.exact.linear_systems import InnerSolveError
from benchmark_bilevel.exact.newton import VALUE_TOLERANCE, Evaluation
from benchmark_bilevel.oracles.autograd import one_thread, to_tensor
from benchmark_bilevel.oracles.tasks import jacobians

CHUNK_NUMBERS = 2**22  # of the Hessians, or of the rows, that are in memory at once
TOLERANCE = 1e-12  # of a row's residual, relative to max(1, what it was at the start)


class TaskExact:
    """Exact evaluation of a `TaskProblem`, in float64; as `exact.solve.Exact`.

    Parameters
    ----------
    problem : TaskProblem
    """

    def __init__(self, problem):
        self.problem = problem
        self._samples = [
            [
                to_tensor(array[: problem.n_evaluated], "float64", "cpu")
                for array in part
            ]
            for part in (problem.inner_samples, problem.outer_samples)
        ]

    @property
    def losses(self):
        """What gives `inner_value` and `outer_value`, as of `exact.solve.Exact`."""
        return self

    def inner_value(self, z, x):
        """Mean of g_k over the evaluated tasks; NaN where these are fixed points."""
        if self.problem.contraction is not None:
            return math.nan
        return self._mean(z, x, self.problem.inner_loss, 0)

    def outer_value(self, z, x):
        """Mean of f_k over the evaluated tasks."""
        return self._mean(z, x, self.problem.outer_loss, 1)

    def _mean(self, z, x, loss, part):
        z = torch.from_numpy(np.array(z, float)).view(self.problem.n_evaluated, -1)
        x = torch.from_numpy(np.array(x, float))
        with one_thread(), torch.no_grad():
            total = sum(
                loss(z[tasks], x, *self._batch(x, tasks, part)).sum().item()
                for tasks in self._chunks()
            )
        return total / self.problem.n_evaluated

    def forget(self):
        """Nothing is kept between evaluations."""

    @one_thread()
    def evaluate(self, x, z=None, v=None):
        """h(x) and ∇h(x), means over the evaluated tasks.

        Parameters
        ----------
        x : array of shape (dim_x,)
        z, v : arrays of shape (dim_z,), optional
            Warm starts of the inner problems and of the linear systems.

        Returns
        -------
        Evaluation
            Its error is mean_k |v_k · F_k|, which is that of h to first order and which
            the value has been corrected by.
        """
        problem, n = self.problem, self.problem.n_evaluated
        x = torch.from_numpy(np.array(x, float))
        start = np.zeros(problem.dim_z), problem.initial_point()[0]
        v, z = (
            torch.from_numpy(np.array(zero if y is None else y, float)).view(n, -1)
            for y, zero in zip((v, z), start, strict=True)
        )
        value, error, gradient = 0.0, 0.0, torch.zeros_like(x)
        for tasks in self._chunks():
            leaf = x.clone().requires_grad_()
            graphs = [self._batch(leaf, tasks, part) for part in (0, 1)]
            inner, outer = ([array.detach() for array in part] for part in graphs)
            z[tasks] = rows = self._solution(x, z[tasks], inner)
            v[tasks] = adjoint = self._adjoint(x, rows, v[tasks], inner, outer)
            inner, outer = graphs
            losses = problem.outer_loss(rows, leaf, *outer)
            products = (self._residual(rows, leaf, inner) * adjoint).sum(1)
            (part,) = torch.autograd.grad((losses + products).sum() / n, leaf)
            gradient += part
            value += (losses + products).sum().item() / n
            error += products.abs().sum().item() / n
        if not error <= VALUE_TOLERANCE * max(1.0, abs(value)):
            raise InnerSolveError(f"h is known to {error:.0e} only")
        return Evaluation(
            value=value,
            error=error,
            hypergradient=gradient.numpy(),
            z=z.numpy().ravel(),
            v=v.numpy().ravel(),
        )

    def _batch(self, x, tasks, part):
        """What the inner (part 0) or the outer loss of `tasks` gets after z and x."""
        represent = (self.problem.represent_inner, self.problem.represent_outer)[part]
        batch = [array[tasks] for array in self._samples[part]]
        return batch if represent is None else represent(x, *batch)

    def _chunks(self):
        dim = self.problem.dim_task
        numbers = dim if self.problem.contraction is not None else dim * dim
        size = max(1, CHUNK_NUMBERS // numbers)
        if self.problem.coupled:
            size = self.problem.n_evaluated
        for start in range(0, self.problem.n_evaluated, size):
            yield slice(start, start + size)

    def _residual(self, z, x, inner, differentiable=True):
        """F of rows, in a graph that reaches x, and z if it is a leaf of one."""
        if self.problem.contraction is not None:
            return z - self.problem.fixed_point(z, x, *inner)
        z = z if z.requires_grad else z.detach().requires_grad_()
        total = self.problem.inner_loss(z, x, *inner).sum()
        return torch.autograd.grad(total, z, create_graph=differentiable)[0]

    def _solution(self, x, z, inner, max_iterations=100):
        """z*(x) of the tasks in `inner`, started at `z`."""
        scale = self._size(z, x, inner).clamp(min=1)
        for _ in range(max_iterations):
            if self.problem.contraction is not None:
                with torch.no_grad():
                    following = self.problem.fixed_point(z, x, *inner)
                    small = torch.linalg.norm(following - z, dim=1) <= TOLERANCE * scale
            else:
                following = self._newton_step(x, z, inner)
                small = self._size(z, x, inner) <= TOLERANCE * scale
            z = following
            if small.all():
                return z  # one step further than the tolerance asks
            if not z.isfinite().all():
                break
        raise InnerSolveError(f"{int((~small).sum())} inner problems are not solved")

    def _size(self, z, x, inner):
        """‖F‖ of each row."""
        return torch.linalg.norm(self._residual(z, x, inner, False).detach(), dim=1)

    def _newton_step(self, x, z, inner):
        """Rows after one Newton step, each halved until its loss decreases."""
        leaf = z.detach().requires_grad_()
        gradient = self._residual(leaf, x, inner)
        hessians = jacobians(gradient, leaf)
        direction = torch.linalg.solve_ex(hessians, gradient.detach()).result
        decrement = (direction * gradient.detach()).sum(1)
        step = torch.ones_like(decrement)
        with torch.no_grad():
            before = self.problem.inner_loss(z, x, *inner)
            for _ in range(40):
                moved = z - step[:, None] * direction
                after = self.problem.inner_loss(moved, x, *inner)
                # Rounding hides the decrease where it is small: full steps there.
                enough = after <= before - 0.25 * step * decrement
                enough |= decrement <= 1e-10 * before.abs().clamp(min=1)
                if enough.all():
                    break
                step = torch.where(enough, step, step / 2)
        return moved

    def _adjoint(self, x, z, v, inner, outer, max_iterations=200):
        """v with (∂F/∂z)ᵀ v = −∇z f of each row."""
        leaf = z.detach().requires_grad_()
        losses = self.problem.outer_loss(leaf, x, *outer)
        (fz,) = torch.autograd.grad(losses.sum(), leaf)
        residual = self._residual(leaf, x, inner)
        if self.problem.contraction is None:
            return torch.linalg.solve_ex(jacobians(residual, leaf).mT, -fz).result
        scale = torch.linalg.norm(fz, dim=1).clamp(min=1e-300)
        for _ in range(max_iterations):
            (product,) = torch.autograd.grad(residual, leaf, v, retain_graph=True)
            rest = product + fz
            v = v - rest
            if (torch.linalg.norm(rest, dim=1) <= TOLERANCE * scale).all():
                return v
        raise InnerSolveError("the linear systems of some tasks are not solved")
