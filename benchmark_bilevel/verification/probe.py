"""A step that moves nothing and writes down what the oracles return."""

import numpy as np

from benchmark_bilevel.methods.directions import assign, descend, scale, zeros_like
from benchmark_bilevel.methods.schedules import Schedule
from benchmark_bilevel.runtimes import make_runtime

OF_F = ("∇z f", "∇x f", "f")
NAMES = (
    "∇z g",
    "H v",
    "J v",
    "∇z g (joint)",
    "H v (joint)",
    "J v (joint)",
    "∇x g",
    "∇z g (pair)",
    "∇x g (pair)",
    "g",
    *OF_F,
)


class Probe:
    """Not a solver: iteration t evaluates every oracle on block t at (z, x, v)."""

    name = "probe"

    @staticmethod
    def init(inner, outer, z, x):
        v, gz, hv, joint_gz, joint_hv, pair_gz, fz = (zeros_like(z) for _ in range(7))
        jv, joint_jv, gx, pair_gx, fx = (zeros_like(x) for _ in range(5))
        g, f = zeros_like(z), zeros_like(z)  # the value is the first entry
        products = gz, hv, jv, joint_gz, joint_hv, joint_jv
        return z, x, v, (*products, gx, pair_gz, pair_gx, g, fz, fx, f)

    @staticmethod
    def step(inner, outer, state, steps, t):
        z, x, v, found = state
        gz, hv, jv, joint_gz, joint_hv, joint_jv = found[:6]
        gx, pair_gz, pair_gx, g, fz, fx, f = found[6:]
        i, j = t % inner.n_blocks, t % outer.n_blocks
        assign(gz, inner.grad(z, x, i))
        assign(hv, inner.hvp(z, x, v, i))
        assign(jv, inner.cross(z, x, v, i))
        a, b, c = inner.grad_hvp_cross(z, x, v, i)
        assign(joint_gz, a)
        assign(joint_hv, b)
        assign(joint_jv, c)
        assign(gx, inner.grad_x(z, x, i))
        a, b = inner.grads(z, x, i)
        assign(pair_gz, a)
        assign(pair_gx, b)
        g[0] = inner.value(z, x, i)
        a, b = outer.grad(z, x, j)
        assign(fz, a)
        scale(fx, 0.0)
        descend(fx, -1.0, b)
        f[0] = outer.value(z, x, j)


def probe(problem, runtime, points, batch_size):
    """What the oracles return at `points`, on each of their blocks.

    Returns
    -------
    values : list over points of lists over blocks of lists of arrays
        In the order of `NAMES`; the shorter loss's blocks come round again.
    counts : int64 array
    """
    schedule = Schedule(0.0, 0.0, 0.0, 0.0, 0.0)
    batches = {"batch_size": batch_size, "outer_batch_size": batch_size}
    run = make_runtime(Probe, problem, schedule, {}, runtime=runtime, **batches)
    counts, values = 0, []
    for point in points:
        run.start(0)
        for variable, array in zip(run.state, point, strict=False):
            variable[:] = run._variable(array)
        values.append([])
        for t in range(max(partition.n_blocks for partition in run.partitions)):
            run.advance(t + 1)
            values[-1].append(
                [np.array(run._to_numpy(array)) for array in run.state[3]]
            )
        counts = counts + run.counts
    return values, counts
