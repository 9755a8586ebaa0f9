"""Share of a run that exact evaluation takes, beside the solver time it measures.

    python benchmarks/evaluation.py [--cell ijcnn1]

Runs SOBA on the default schedule of evaluation points, for as long as the problem says.
Also prints the time of the longest evaluation and the peak memory.
"""

import json
import sys
import time

import click
from throughput import CELLS, make_problem, peak_memory_mb, run_json, solver_class

from benchmark_bilevel.exact.metrics import Evaluator, _last_cold_start


def worker(cell):
    batch_size = CELLS[cell][2]
    solver = solver_class("SOBA").get_instance(
        step_size=1e-2,
        batch_size=batch_size,
        outer_batch_size=batch_size,
        dtype="float32",
    )
    problem = make_problem(cell)
    solver.problem, solver.seed = problem, 0
    solver.warm_up()
    solver.pre_run_hook(None)
    Evaluator(problem).metrics(*problem.initial_point(), 0, {}, False)  # compiles
    _last_cold_start.clear()
    evaluator, durations = Evaluator(problem), []

    def callback():
        started = time.perf_counter()
        evaluator.metrics(**solver.get_result())
        durations.append(time.perf_counter() - started)
        return True

    started = time.perf_counter()
    solver.run(callback)
    solver_seconds = time.perf_counter() - started - sum(durations)
    return {
        "points": len(durations),
        "longest": max(durations),
        "evaluation": sum(durations),
        "solver": solver_seconds,
        "peak_memory_mb": peak_memory_mb(),
    }


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--cell", "cells", multiple=True, default=tuple(CELLS))
@click.option("--worker", "work", hidden=True)
def main(cells, work):
    if work:
        print(json.dumps(worker(work)))
        return
    print(
        f"{'cell':<14}{'points':>8}{'longest s':>11}{'evaluation s':>14}{'solver s':>10}"
        f"{'share':>8}{'peak MB':>9}"
    )
    for cell in cells:
        row = run_json([sys.executable, __file__, "--worker", cell])
        if row:
            share = row["evaluation"] / (row["evaluation"] + row["solver"])
            print(
                f"{cell:<14}{row['points']:>8}{row['longest']:>11.2f}"
                f"{row['evaluation']:>14.1f}{row['solver']:>10.1f}{share:>8.0%}"
                f"{row['peak_memory_mb']:>9.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
