"""Seconds of CPU until the first iteration of a compiled solver is done.

    python benchmarks/compiling.py [--solver SOBA] [--cell ijcnn1] [--dtype float64]

"first" is with an empty compilation cache, "from disk" with a full one, each in a
process of its own. What a second run in the process takes as well counts for neither,
nor does importing, nor cutting the data into blocks.
"""

import json
import sys
import tempfile
import time

import click
from throughput import CELLS, DTYPES, SOLVERS, pose, run_json, solver_class

from benchmark_bilevel.oracles.samplers import Partition

QUADRATIC = {"quadratic": ("quadratic", "quadratic", 64)}


def worker(cell, solver, dtype):
    """CPU seconds of one iteration, from a problem on, beyond those of a second run."""
    name, dataset, batch_size = (CELLS | QUADRATIC)[cell]
    problem = pose(name, dataset)
    own = {"batch_size": batch_size, "outer_batch_size": batch_size, "dtype": dtype}
    instance = solver_class(solver).get_instance(runtime="numba", **own)
    problem.initial_point()
    cut(problem, batch_size, dtype)
    seconds = []
    for _ in range(2):
        started = time.process_time()
        instance.make_runtime(problem).advance(1)
        seconds.append(time.process_time() - started)
    return seconds[0] - seconds[1]


def cut(problem, batch_size, dtype):
    """What the oracles hold, without compiling: the first copies take the longest."""
    made = problem.kernels.make_inner, problem.kernels.make_outer
    for make, n in zip(made, (problem.n_inner, problem.n_outer), strict=True):
        oracle = make.__self__
        partition = Partition(n, batch_size)
        oracle.arrays(problem, oracle.samples(problem), partition, dtype)


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--solver", "solvers", multiple=True, default=SOLVERS)
@click.option("--cell", "cells", multiple=True, default=(*CELLS, *QUADRATIC))
@click.option("--dtype", type=click.Choice(DTYPES), default="float64")
@click.option("--worker", "work", nargs=3, hidden=True)
def main(solvers, cells, dtype, work):
    if work:
        print(json.dumps(worker(*work)))
        return
    print(f"{'cell':<14}{'solver':<9}{'first':>8}{'from disk':>11}")
    for cell in cells:
        for solver in solvers:
            command = [sys.executable, __file__, "--worker", cell, solver, dtype]
            with tempfile.TemporaryDirectory() as cache:
                first, again = (
                    run_json(command, NUMBA_CACHE_DIR=cache) for _ in range(2)
                )
            if first is not None and again is not None:
                print(f"{cell:<14}{solver:<9}{first:>8.1f}{again:>11.2f}", flush=True)


if __name__ == "__main__":
    main()
