"""A step that moves nothing and writes down what the oracles return."""

import numpy as np
from numba.core.extending import register_jitable

from benchmark_bilevel.fingerprint import PIECE
from benchmark_bilevel.methods import (
    assign,
    copy,
    square_average,
    zero_matrix,
    zeros_like,
)
from benchmark_bilevel.methods.schedules import Schedule
from benchmark_bilevel.oracles.autograd import to_tensor
from benchmark_bilevel.runtimes import make_runtime

OF_F = ("∇z f", "∇x f", "∇x f (alone)", "f")
STEPS = ("P(x − a (J v + ∇x f))", "P(x − a J v / (|∇x g| + 1/10))")
STEP, FLOOR = 10.0, 0.1  # long enough to leave a feasible set
MATRICES = 100  # numbers in z up to which H and J are looked at as matrices
NAMES = (
    *("∇z g", "H v", "∇z g (joint)", "H v (joint)", "∇z g (pair)", "g", "∇z f", "f"),
    *("J v", "J v (joint)", "∇x g", "∇x g (pair)", "∇x f", "∇x f (alone)", *STEPS),
    *("the matrix H", "the matrix J"),
)


@register_jitable(**PIECE)
def _look(inner, outer, state, t, matrices):
    z, x, v, feasible, (of_z, of_x, (H, J)) = state
    gz, hv, joint_gz, joint_hv, pair_gz, g, fz, f = of_z
    jv, joint_jv, gx, pair_gx, fx, fx_alone, moved, _ = of_x
    i, j = t % inner.n_blocks, t % outer.n_blocks
    assign(gz, inner.grad(z, x, i))
    assign(hv, inner.hvp(z, x, v, i))
    assign(jv, inner.cross(z, x, v, i))
    assign(gx, inner.grad_x(z, x, i))
    a, b = inner.grads(z, x, i)
    assign(pair_gz, a)
    assign(pair_gx, b)
    g[0], f[0] = inner.value(z, x, i), outer.value(z, x, j)
    if matrices:
        assign(H, inner.hessian(z, x, i))
        assign(J, inner.cross_matrix(z, x, i))
    a, b, c = inner.grad_hvp_cross(z, x, v, i)
    assign(joint_gz, a)
    assign(joint_hv, b)
    assign(joint_jv, c)
    a, b = outer.grad(z, x, j)
    assign(fz, a)
    assign(fx, b)
    assign(fx_alone, outer.grad_x(z, x, j))
    assign(moved, feasible)
    outer.descend(moved, STEP, c, b)


class Probe:
    """Not a solver: iteration t evaluates every oracle on block t at (z, x, v)."""

    name = "probe"

    @staticmethod
    def init(inner, outer, z, x, matrices):
        v, feasible = zeros_like(z), copy(x)
        of_z = tuple(zeros_like(z) for _ in range(8))  # a value is the first entry
        of_x = tuple(zeros_like(x) for _ in range(8))
        y, w = (z, x) if matrices else (z[:0], x[:0])
        return z, x, v, feasible, (of_z, of_x, (zero_matrix(y, y), zero_matrix(w, y)))

    @staticmethod
    def step(inner, outer, state, steps, t, matrices):
        _look(inner, outer, state, t, matrices)


class ScaledProbe(Probe):
    """The same, and a step in a diagonal metric."""

    name = "scaled-probe"

    @staticmethod
    def step(inner, outer, state, steps, t, matrices):
        _look(inner, outer, state, t, matrices)
        z, x, v, feasible, (_, (_, _, gx, _, _, _, _, moved), _) = state
        square = zeros_like(x)
        square_average(square, 0.0, gx)
        assign(moved, feasible)
        direction = inner.cross(z, x, v, t % inner.n_blocks)
        outer.scaled_descend(moved, STEP, direction, square, FLOOR)


def probe(problem, runtime, points, batch_size):
    """What the oracles return at `points`, on each of their blocks.

    Returns
    -------
    values : list over points of lists over blocks of dicts of arrays
        By the names above; the shorter loss's blocks come round again.
    counts : int64 array
    """
    schedule = Schedule(0.0, 0.0, 0.0, 0.0, 0.0)
    batches = {"batch_size": batch_size, "outer_batch_size": batch_size}
    is_scaled = problem.project is None or problem.project_scaled is not None
    made = ScaledProbe if is_scaled else Probe
    options = {"matrices": problem.dim_z <= MATRICES}
    run = make_runtime(made, problem, schedule, options, runtime=runtime, **batches)
    counts, values = 0, []
    for z, x, v in points:
        run.start(0)
        point = z, x, v, feasible(problem, x)
        for variable, array in zip(run.state, point, strict=False):
            variable[:] = run._variable(array)
        values.append([])
        for t in range(max(partition.n_blocks for partition in run.partitions)):
            run.advance(t + 1)
            found = [array for group in run.state[4] for array in group]
            found = (np.array(run._to_numpy(array)) for array in found)
            values[-1].append(dict(zip(NAMES, found, strict=True)))
        counts = counts + run.counts
    return values, counts


def feasible(problem, x):
    """The array `x`, projected where the problem has a feasible set."""
    if problem.project is None:
        return x
    return problem.project(to_tensor(x, "float64", "cpu")).numpy()
