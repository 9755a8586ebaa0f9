"""A step that moves nothing and writes down what the oracles return."""

import numpy as np

from benchmark_bilevel.methods.directions import descend, scale, zeros_like
from benchmark_bilevel.methods.schedules import Schedule
from benchmark_bilevel.runtimes import make_runtime

NAMES = (
    "∇z g",
    "H v",
    "J v",
    "∇z g (joint)",
    "H v (joint)",
    "J v (joint)",
    "∇z f",
    "∇x f",
)


class Probe:
    """Not a solver: iteration t evaluates every oracle on block t at (z, x, v)."""

    name = "probe"

    @staticmethod
    def init(inner, outer, z, x):
        v, gz, hv, joint_gz, joint_hv, fz = (zeros_like(z) for _ in range(6))
        jv, joint_jv, fx = (zeros_like(x) for _ in range(3))
        return z, x, v, (gz, hv, jv, joint_gz, joint_hv, joint_jv, fz, fx)

    @staticmethod
    def step(inner, outer, state, steps, t):
        z, x, v, (gz, hv, jv, joint_gz, joint_hv, joint_jv, fz, fx) = state
        for variable in (gz, hv, joint_gz, joint_hv, fz):
            scale(variable, 0.0)
        for variable in (jv, joint_jv, fx):
            scale(variable, 0.0)
        i = t % inner.n_blocks
        descend(gz, -1.0, inner.grad(z, x, i))
        descend(hv, -1.0, inner.hvp(z, x, v, i))
        descend(jv, -1.0, inner.cross(z, x, v, i))
        a, b, c = inner.grad_hvp_cross(z, x, v, i)
        descend(joint_gz, -1.0, a)
        descend(joint_hv, -1.0, b)
        descend(joint_jv, -1.0, c)
        a, b = outer.grad(z, x, t % outer.n_blocks)
        descend(fz, -1.0, a)
        descend(fx, -1.0, b)


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
