"""Iterations per second of solvers on real problems, side by side.

    python benchmarks/throughput.py [--solver SOBA] [--cell ijcnn1] [--dtype float32]
                                    [--ceiling] [--peer DIR --peer-python PYTHON]

Seven solvers unless ``--solver`` names others; the rows go to ``throughput.csv`` beside
this file, in place of what was there. Each measurement runs in a process of its own, on
one thread, with an empty compilation cache, and reports the median of several timed
chunks. ``--peer`` times the solvers of benchopt/benchmark_bilevel (JAX), from a clone in
DIR, on the same arrays;
``--ceiling`` a hand-written C++ program. Ratios above 1 are ours ahead. GFlop/s are
those of the products behind ∇f, ∇z g, H v and J v alone, where the model is linear and
data dense;
``--ceiling`` gives the core's peak beside them.
"""

import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from benchmark_bilevel.oracles import COUNTS

ROOT = Path(__file__).parents[1]
# Name: (problem, data set, batch size). The last two have the batches of their papers.
CELLS = {
    "ijcnn1": ("hyperparameter-selection", "ijcnn1", 64),
    "covtype": ("hyperparameter-selection", "covtype", 64),
    "mnist": ("data-hypercleaning", "mnist", 64),
    "20newsgroups": ("hyperparameter-selection", "20newsgroups", 100),
    "poisoning": ("data-poisoning", "mnist", 90),
}
# Products of a block with a matrix like z in ∇z g, H v, J v and all three at once; ∇z f
# takes as many as ∇z g. Each is 2 operations a sample and number in z.
PRODUCTS = {"ijcnn1": (2, 3, 0, 4), "covtype": (2, 3, 0, 4), "mnist": (2, 3, 2, 4)}
# What takes the three of a block at once, by itself or inside.
JOINT = {"grad_hvp_cross", "mean_grad_hvp_cross", "soba_directions", "page_directions"}
# The share of its ∇f that is ∇x f alone: that is 0 in these cells, and takes no product.
IDLE = {"FSLA": 2 / 3}
PEER_CELLS = ("ijcnn1", "covtype", "mnist")
# What an iteration of the peer's solver does, where that is not our default. Its VRBO takes
# a large batch every 128 epochs, which is as good as never. SRBA's and VRBO's periods are
# in epochs, of all samples of both losses.
FULL = {"batch_size": "full", "outer_batch_size": "full"}
LIKE_PEER = {
    "BSA": {"n_inner": 10, "growth_exponent": 0.0, "terms_growth": 0.0}
    | {"warm_start": True},
    "PZOBO": FULL,
    "BOME": FULL,
}
PERIODS = {"VRBO": 128, "SRBA": 0.5}
SOLVERS = ("SOBA", "SABA", "AmIGO", "stocBiO", "BSGM", "MRBO", "VRBO")
DTYPES = ("float64", "float32")
COLUMNS = (
    "problem",
    "dataset",
    "solver",
    "runtime",
    "dtype",
    "iterations_per_second",
    "gflops",
    "compile_seconds",
    "peak_memory_mb",
    "peer_ratio",
    "ceiling_ratio",
)
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
) | {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}
# Steps small enough that no run diverges: speed does not depend on them.
STEP_SIZE = 1e-3


def peak_memory_mb():
    """Peak resident memory of this process, in MiB.

    On Linux `ru_maxrss` begins with what the parent used before it started this one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 1024)  # of bytes, or KiB
    (line,) = (s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def time_chunks(advance, n_chunks=7, seconds=0.5):
    """Median iterations per second of `advance(k)`, which runs k more iterations."""
    k = 1
    while True:
        started = time.perf_counter()
        advance(k)
        elapsed = time.perf_counter() - started
        if elapsed > seconds / 4:
            break
        k *= 2
    k = max(1, round(k * seconds / elapsed))
    speeds = []
    for _ in range(n_chunks):
        started = time.perf_counter()
        advance(k)
        speeds.append(k / (time.perf_counter() - started))
    return statistics.median(speeds)


def make_problem(cell, **options):
    """The problem of a cell; see `pose`."""
    name, dataset, _ = CELLS[cell]
    return pose(name, dataset, **options)


def pose(name, dataset, **options):
    """A problem on a data set; ends the program with a line where data are missing.

    `options` replace defaults of the objective's parameters.
    """
    from benchopt.benchmark import Benchmark

    from benchmark_bilevel.problems import PROBLEMS

    benchmark = Benchmark(ROOT)
    ((klass, _),) = benchmark.check_dataset_patterns([dataset])
    data = klass.get_instance().get_data()
    if data.get("missing"):
        sys.exit(data["missing"])
    problem = PROBLEMS[name]
    defaults = benchmark.get_benchmark_objective().parameters
    defaults = {option: defaults[option][0] for option in problem.options}
    return problem(data, **{**defaults, **options})


def operations(cell, dim_z, solver, counts):
    """Floating-point operations in the products behind `counts`; None if not known."""
    if cell not in PRODUCTS:
        return None
    gradient, hvp, cross, joint = PRODUCTS[cell]
    calls = dict(zip(COUNTS, counts, strict=True))
    n = calls["jacobian_vector_products"]
    outer = calls["outer_gradients"] * (1 - IDLE.get(solver.name, 0))
    products = gradient * (outer + calls["inner_gradients"])
    products += hvp * calls["hessian_vector_products"] + cross * n
    if JOINT & set(solver.step.__code__.co_names):
        products -= (gradient + hvp + cross - joint) * n
    return 2 * dim_z * products


def solver_class(name):
    """The class of a solver of the suite."""
    from benchopt.benchmark import Benchmark

    ((klass, _),) = Benchmark(ROOT).check_solver_patterns([name])
    return klass


def worker(cell, solver, dtype):
    """Measure one cell of the table in this process; a dict for the parent."""
    problem, klass = make_problem(cell), solver_class(solver)
    batch_size = CELLS[cell][2]
    own = {"batch_size": batch_size, "outer_batch_size": batch_size}
    own |= LIKE_PEER.get(solver, {})
    if solver in PERIODS:
        n_samples = problem.n_inner + problem.n_outer
        own["period"] = int(PERIODS[solver] * n_samples / batch_size)
    instance = klass.get_instance(step_size=STEP_SIZE, dtype=dtype, **own)
    started = time.perf_counter()
    run = instance.make_runtime(problem)
    run.advance(1)
    compile_seconds = time.perf_counter() - started
    counts, t = run.counts.copy(), run.t
    speed = time_chunks(lambda k: run.advance(run.t + k))
    total = operations(cell, problem.dim_z, klass, run.counts - counts)
    return {
        "iterations_per_second": speed,
        "gflops": total and total / (run.t - t) * speed / 1e9,
        "compile_seconds": compile_seconds,
        "peak_memory_mb": peak_memory_mb(),
        "runtime": "torch" if type(run).__name__ == "EagerRuntime" else "numba",
    }


def run_json(command, **environment):
    """Run `command` on one thread; the JSON on the last line of its output."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, **ONE_THREAD, **environment},
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        click.echo(f"  {' '.join(command[-4:])}: {lines[-1]}", err=True)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure(cell, solver, dtype):
    """`worker` in a process of its own, with an empty compilation cache."""
    with tempfile.TemporaryDirectory() as cache:
        return run_json(
            [sys.executable, __file__, "--worker", cell, solver, dtype],
            NUMBA_CACHE_DIR=cache,
        )


def export_arrays(cell, folder):
    """Save the samples and the start of a cell for the peer; the file."""
    path = Path(folder) / f"{cell}.npz"
    if not path.exists():
        problem = make_problem(cell)
        z, x = problem.initial_point()
        inner, outer = problem.inner_samples, problem.outer_samples
        arrays = {f"inner_{k}": array for k, array in enumerate(inner)}
        arrays |= {f"outer_{k}": array for k, array in enumerate(outer)}
        np.savez(path, z=z, x=x, **arrays)
    return path


def ceiling_program(folder):
    """Compile `ceiling.cpp`; the path of the program."""
    program = Path(folder) / "ceiling"
    source = ROOT / "benchmarks" / "ceiling.cpp"
    compiler = os.environ.get("CXX", "g++")
    options = ("-O3", "-march=native", "-ffast-math", "-mprefer-vector-width=512")
    subprocess.run([compiler, *options, str(source), "-o", str(program)], check=True)
    return program


def has(peer, solver):
    """Whether the clone has the solver."""
    return (Path(peer) / "solvers" / f"{solver.lower()}.py").exists()


def _rounded(number, digits):
    return "" if number is None else f"{number:.{digits}f}"


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--solver", "solvers", multiple=True, default=SOLVERS)
@click.option("--cell", "cells", multiple=True, default=tuple(CELLS))
@click.option("--dtype", "dtypes", multiple=True, default=DTYPES)
@click.option("--ceiling", is_flag=True, help="Compare with C++ (float32).")
@click.option("--peer", type=click.Path(exists=True, file_okay=False))
@click.option("--peer-python", default=sys.executable)
@click.option("--worker", "work", nargs=3, hidden=True)
def main(solvers, cells, dtypes, ceiling, peer, peer_python, work):
    if work:
        print(json.dumps(worker(*work)))
        return
    rows = []
    print(f"{'cell':<14}{'solver':<9}{'dtype':<9}{'it/s':>11}{'GFlop/s':>9}", end="")
    print(f"{'compile s':>11}{'peak MB':>9}{'× peer':>9}{'of C++':>8}")
    with tempfile.TemporaryDirectory() as folder:
        program = ceiling_program(folder) if ceiling else None
        if program:
            peak = run_json([str(program), "peak"])
            print(f"peak of a core in float32: {peak['gflops']:.0f} GFlop/s")
        for cell in cells:
            for solver in solvers:
                for dtype in dtypes:
                    row = measure(cell, solver, dtype)
                    if row is None:
                        continue
                    speed = row["iterations_per_second"]
                    row["peer_ratio"] = row["ceiling_ratio"] = None
                    if peer and cell in PEER_CELLS and has(peer, solver):
                        script = str(ROOT / "benchmarks" / "peer.py")
                        arrays = str(export_arrays(cell, folder))
                        other = run_json(
                            [peer_python, script, peer, cell, solver, dtype, arrays]
                        )
                        if other:
                            row["peer_ratio"] = speed / other["iterations_per_second"]
                    if program and dtype == "float32" and solver in ("SOBA", "SABA"):
                        other = run_json([str(program), cell, solver])
                        if other:
                            row["ceiling_ratio"] = (
                                speed / other["iterations_per_second"]
                            )
                    row |= dict(zip(("problem", "dataset"), CELLS[cell], strict=False))
                    rows.append(row | {"solver": solver, "dtype": dtype})
                    ratios = (row["peer_ratio"], row["ceiling_ratio"])
                    print(
                        f"{cell:<14}{solver:<9}{dtype:<9}{speed:>11,.0f}"
                        f"{_rounded(row['gflops'], 1):>9}"
                        f"{row['compile_seconds']:>11.1f}{row['peak_memory_mb']:>9.0f}"
                        + "".join(
                            f"{_rounded(r, 2):>{width}}"
                            for r, width in zip(ratios, (9, 8), strict=True)
                        ),
                        flush=True,
                    )
    path = ROOT / "benchmarks" / "throughput.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print(path)


if __name__ == "__main__":
    main()
