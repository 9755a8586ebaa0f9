"""Step sizes for config: one grid for every solver, scored the same way.

    python benchmarks/step_sizes.py covtype [--solver SOBA] [--seconds 3]

Each pair (step_size, outer_ratio) runs two seeds for so many seconds; its score is the
worst value of h at the end (of the outer loss where h is too dear), so that a pair that
diverges for one seed has lost. Prints all pairs, the best first.
"""

import time
from itertools import product

import click
import numpy as np
from throughput import CELLS, SOLVERS, make_problem

from benchmark_bilevel.exact.losses import full_losses
from benchmark_bilevel.exact.solve import Exact

# Name: steps of z, steps of x. The ratio of a pair is their quotient.
GRIDS = {
    "quadratic": ((0.03, 0.1, 0.3, 1.0), (0.03, 0.1, 0.3, 1.0)),
    "ijcnn1": ((0.06, 0.15, 0.4, 1.0), (0.15, 0.5, 1.5, 5.0)),
    "covtype": ((0.03, 0.1, 0.3), (1.0, 3.0, 10.0)),
    "mnist": ((0.01, 0.03, 0.1), (100.0, 1000.0, 1e4)),
    "20newsgroups": ((10.0, 30.0, 100.0), (10.0, 100.0, 1000.0)),
    "poisoning": ((0.03, 0.1, 0.167), (1e5, 1e6, 3e6)),
}
CELLS["quadratic"] = ("quadratic", "quadratic", 64)
# Where one exact evaluation takes seconds.
WITHOUT_VALUE = ("covtype", "20newsgroups", "poisoning")


def final_score(run, exact, seed, seconds):
    """Value of h, or outer loss, after `seconds` of the solver; inf if it diverged."""
    run.start(seed)
    spent, chunk = 0.0, 1
    while spent < seconds and not run.diverged:
        started = time.process_time()
        run.advance(run.t + chunk)
        elapsed = time.process_time() - started
        spent += elapsed
        chunk *= 2 if elapsed < seconds / 20 else 1
    z, x = run.variables()
    if run.diverged:
        return np.inf
    if exact is None:
        return full_losses(run.problem).outer_value(z, x)
    return exact.evaluate(x, z=z).value


@click.command(help=__doc__.split("\n\n")[0])
@click.argument("cell", type=click.Choice(list(GRIDS)))
@click.option("--solver", "solvers", multiple=True, default=SOLVERS)
@click.option("--seconds", default=3.0)
@click.option("--seeds", default=2)
@click.option("--set", "fixed", multiple=True, help="Another parameter, name=value.")
def main(cell, solvers, seconds, seeds, fixed):
    from benchopt.benchmark import Benchmark
    from throughput import ROOT

    problem = make_problem(cell)
    exact = None if cell in WITHOUT_VALUE else Exact(problem)
    fixed = {
        k: float(v) if "." in v else int(v) for k, v in (f.split("=") for f in fixed)
    }
    for solver in solvers:
        ((klass, _),) = Benchmark(ROOT).check_solver_patterns([solver])
        loop, scores = None, []
        for inner, outer in product(*GRIDS[cell]):
            instance = klass.get_instance(
                step_size=inner, outer_ratio=inner / outer, **fixed
            )
            run = instance.make_runtime(problem)
            loop = run.loop = loop or run.loop  # compiled once
            run.advance(1)
            with np.errstate(all="ignore"):
                score = max(
                    final_score(run, exact, seed, seconds)
                    for seed in range(1, seeds + 1)
                )
            scores.append((score, inner, outer, run.t))
        for score, inner, outer, n in sorted(scores)[:6]:
            pair = f"step {inner:<6g} outer {outer:<8g}"
            print(f"{cell} {solver:<8} {pair} {score:.7g} ({n} iterations)", flush=True)


if __name__ == "__main__":
    main()
