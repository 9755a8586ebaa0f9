"""Where the time of an iteration goes: each kind of oracle call by itself.

    python benchmarks/pieces.py [--cell ijcnn1] [--solver FSLA]

For each solver the nanoseconds of an iteration, the share of them that its oracle calls
take, and of each kind: how many calls, the nanoseconds of one on the blocks that the
sampler draws, and on one block again and again. That block is in the caches, so that the
difference is the time to fetch a block. float32, and settings as in `throughput.py`.
Calls that share work (`grads`, `grad_hvp_cross`) are counted as their parts.
"""

import click
from numba import njit
from throughput import SOLVERS, instance_of, make_problem, time_chunks

from benchmark_bilevel.fingerprint import FAST
from benchmark_bilevel.methods import descend
from benchmark_bilevel.oracles import COUNTS

STEP = 1e-9


def draws(inner, outer, z, x, v, i, j):
    pass


def outer_gradients(inner, outer, z, x, v, i, j):
    fz, _ = outer.grad(z, x, j)
    descend(z, STEP, fz)


def inner_gradients(inner, outer, z, x, v, i, j):
    descend(z, STEP, inner.grad(z, x, i))


def inner_gradients_x(inner, outer, z, x, v, i, j):
    outer.descend(x, STEP, inner.grad_x(z, x, i))


def hessian_vector_products(inner, outer, z, x, v, i, j):
    descend(v, STEP, inner.hvp(z, x, v, i))


def jacobian_vector_products(inner, outer, z, x, v, i, j):
    outer.descend(x, STEP, inner.cross(z, x, v, i))


CALLS = {
    call.__name__: call
    for call in (
        outer_gradients,
        inner_gradients,
        inner_gradients_x,
        hessian_vector_products,
        jacobian_vector_products,
    )
}


def nanoseconds(call, run, drawn):
    """Of one call, on blocks that are `drawn` or on the first one."""
    call = njit(**FAST)(call)

    @njit(**FAST)
    def repeat(inner, outer, z, x, v, n):
        for _ in range(n):
            i, j = inner.draw(), outer.draw()
            if drawn:
                call(inner, outer, z, x, v, i, j)
            else:
                call(inner, outer, z, x, v, 0, 0)

    z, x = run.state[:2]
    return 1e9 / time_chunks(lambda n: repeat(run.inner, run.outer, z, x, z.copy(), n))


def profile(cell, solver, problem):
    run = instance_of(cell, solver, "float32", problem).make_runtime(problem)
    run.advance(1)
    counts, t = run.counts.copy(), run.t
    total = 1e9 / time_chunks(lambda k: run.advance(run.t + k))
    per_iteration = (run.counts - counts) / (run.t - t)
    draw = nanoseconds(draws, run, drawn=True)
    sum_of_calls, parts = 0.0, []
    for kind, samples in zip(COUNTS, per_iteration, strict=True):
        if samples == 0:
            continue
        partition = run.partitions[kind == "outer_gradients"]
        n_calls = samples / partition.sizes.mean()
        fetched, near = (
            nanoseconds(CALLS[kind], run, drawn) for drawn in (True, False)
        )
        sum_of_calls += n_calls * (fetched - draw)
        parts.append(f"{n_calls:.2f} {kind} {fetched - draw:,.0f} {near - draw:,.0f}")
    share = sum_of_calls / total
    print(f"{cell} {solver} {total:,.0f} {share:.0%}: {'; '.join(parts)}", flush=True)


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--solver", "solvers", multiple=True, default=SOLVERS)
@click.option("--cell", "cells", multiple=True, default=("ijcnn1", "covtype", "mnist"))
def main(solvers, cells):
    for cell in cells:
        problem = make_problem(cell)
        for solver in solvers:
            profile(cell, solver, problem)


if __name__ == "__main__":
    main()
