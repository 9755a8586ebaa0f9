"""Cost of an iteration against the number of samples, on simulated data.

    python benchmarks/scaling.py

Prints iterations per second with 5,000 and with 500,000 inner samples and the ratio of
the costs; that ratio once more where both draw as few different batches, so that all of
them are in the caches: what is left is work that grows with n; and the memory of the
solver's variables with 500,000, SAGA's tables included. Then the same for hyper-cleaning
of MNIST in float32, with all samples and with four different batches.
"""

import click
from benchopt.benchmark import Benchmark
from throughput import ROOT, STEP_SIZE, make_problem, solver_class, time_chunks

from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.runtimes import arrays

SIZES = (5_000, 500_000)


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--solver", "solvers", multiple=True, default=("SOBA", "SABA", "stocBiO"))
def main(solvers):
    benchmark = Benchmark(ROOT)
    ((dataset, _),) = benchmark.check_dataset_patterns(["simulated"])
    # A third of the samples are inner ones.
    problems = [
        PROBLEMS["hyperparameter-selection"](
            dataset.get_instance(n_samples=3 * n).get_data(), parametrisation="default"
        )
        for n in SIZES
    ]
    print(
        f"{'solver':<10}"
        + "".join(f"n = {n:,}".rjust(16) for n in SIZES)
        + "  cost ratio   in the caches   variables"
    )
    for name in solvers:
        solver = solver_class(name)
        speeds, cached = [], []
        for problem in problems:
            instance = solver.get_instance(step_size=STEP_SIZE, step_exponent=0.0)
            run = instance.make_runtime(problem)
            n_batches = SIZES[0] // instance.batch_size
            speed, speed_in_caches = two_speeds(run, n_batches)
            speeds.append(speed)
            cached.append(speed_in_caches)
        print(
            f"{name:<10}"
            + "".join(f"{speed:,.0f} it/s".rjust(16) for speed in speeds)
            + f"{speeds[0] / speeds[1]:12.2f}{cached[0] / cached[1]:16.2f}"
            + f"{sum(array.nbytes for array in arrays(run.state)) / 2**20:8.1f} MiB"
        )
    images = make_problem("mnist")
    for name in solvers:
        solver = solver_class(name)
        instance = solver.get_instance(
            step_size=STEP_SIZE, step_exponent=0.0, dtype="float32"
        )
        speed, speed_in_caches = two_speeds(instance.make_runtime(images), 4)
        print(
            f"{name:<10}MNIST {speed:,.0f} it/s, in the caches {speed_in_caches:,.0f}"
        )


def two_speeds(run, n_batches):
    """Iterations per second with all batches, and with the first `n_batches` alone."""
    run.advance(1)
    speed = time_chunks(lambda k: run.advance(run.t + k))
    for sampler in run.samplers:
        sampler.order[:] %= n_batches
    return speed, time_chunks(lambda k: run.advance(run.t + k))


if __name__ == "__main__":
    main()
