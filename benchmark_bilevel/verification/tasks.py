"""The checks that a problem made of tasks has to pass."""

import numpy as np
import torch

from benchmark_bilevel.exact.tasks import TaskExact
from benchmark_bilevel.methods.schedules import Schedule
from benchmark_bilevel.oracles.tasks import jacobians
from benchmark_bilevel.runtimes.tasks import TaskRuntime
from benchmark_bilevel.verification import Failed
from benchmark_bilevel.verification.problems import (
    compare_slope,
    metrics,
    repeatable,
    start,
)


class _Still:
    """A solver that does nothing, for the oracles of its runtime."""

    name = "still"

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    @staticmethod
    def step(inner, outer, state, steps, t):
        pass


def _oracles(problem, batch_size):
    """The runtime whose oracles these are, and z and x near the start."""
    runtime = TaskRuntime(
        _Still, problem, Schedule(0.0, 0.0, 0.0, 0.0, 0.0), {}, batch_size=batch_size
    )
    generator = np.random.default_rng(1)
    z = np.tile(problem.initial_task(), problem.n_tasks)
    z = torch.from_numpy(z + 0.3 * generator.standard_normal(z.size))
    x = problem.initial_outer()
    x = torch.from_numpy(x + 0.03 * generator.standard_normal(x.size))
    return runtime, z, x if problem.project is None else problem.project(x)


def losses(problem):
    """The losses are one number a task, and the initial point is feasible."""
    start(problem)
    runtime, z, x = _oracles(problem, 2)
    for name, oracle in (("inner", runtime.inner), ("outer", runtime.outer)):
        what, right = f"{name}_loss", (2,)
        loss, rows = getattr(problem, what), z.view(problem.n_tasks, -1)[:2]
        if name == "inner" and problem.contraction is not None:
            what, right, loss = "fixed_point", tuple(rows.shape), problem.fixed_point
        shape = tuple(loss(rows, x, *oracle.batch(x)).shape)
        if shape != right:
            raise Failed(f"{what} has the shape {shape} on 2 tasks, not {right}")
    return (
        f"counted as {problem.inner_rows} samples of g and {problem.outer_rows} of f a "
        "task (inner_rows, outer_rows)"
    )


def inner_problems(problem):
    """Each task has one solution: a contraction, or a positive definite Hessian."""
    runtime, z, x = _oracles(problem, "full")
    rows = z.view(problem.n_tasks, -1).requires_grad_()
    residual = runtime.inner._residual(rows, x, 0).view_as(rows)
    found = jacobians(residual, rows)
    if problem.contraction is not None:
        slope = torch.linalg.matrix_norm(torch.eye(rows.shape[1]) - found, 2).max()
        if not slope <= problem.contraction * (1 + 1e-9):
            raise Failed(
                f"‖∂Φ/∂z‖ is {slope:.3g}, above the declared {problem.contraction}"
            )
        return f"‖∂Φ/∂z‖ up to {slope:.2g}"
    smallest = torch.linalg.eigvalsh(found).min()
    if not smallest > 0:
        raise Failed(f"∇²zz g has the eigenvalue {smallest:.1e}: z*(x) is not unique")
    return f"smallest eigenvalue {smallest:.1e}"


def hypergradient(problem):
    """The exact hypergradient is the slope of h, by finite differences."""
    return compare_slope(TaskExact(problem), problem.initial_outer())


def batches(problem):
    """A block gives the rows of its tasks, and the mean over blocks is the full loss."""
    if problem.coupled:
        return "a task's losses depend on the block that it comes in"
    generator = np.random.default_rng(2)
    v = torch.from_numpy(generator.standard_normal(problem.n_tasks * problem.dim_task))
    (right,), found = (_directions(problem, size, v) for size in ("full", 2))
    for name, expected in right.items():
        parts = [block[name] for block in found]
        of_rows = expected.shape == v.shape
        value = torch.cat(parts) if of_rows else torch.stack(parts).mean(0)
        error = torch.linalg.norm(value - expected)
        scale = torch.linalg.norm(expected) + 1e-3
        if not error <= 1e-9 * scale:
            raise Failed(
                f"{name} from blocks of tasks is off by {error / scale:.1e} (relative)"
            )
    return None


def _directions(problem, batch_size, v):
    """What the oracles give on each block, by name."""
    runtime, z, x = _oracles(problem, batch_size)
    inner, outer = runtime.inner, runtime.outer
    z, v = (y.view(problem.n_tasks, -1) for y in (z, v))
    found = []
    for i in range(runtime.partitions[0].n_blocks):
        runtime._select(i)
        tasks = runtime.partitions[0].slice(i)
        rows, vectors = z[tasks].flatten(), v[tasks].flatten()
        residual, product, cross = inner.grad_hvp_cross(rows, x, vectors, i)
        fz, fx = outer.grad(rows, x, i)
        block = {"F": residual, "(∂F/∂z)ᵀ v": product, "(∂F/∂x)ᵀ v": cross, "∇z f": fz}
        found.append(block if fx is None else {**block, "∇x f": fx})
    return found


TASK_CHECKS = (losses, repeatable, inner_problems, hypergradient, batches, metrics)
