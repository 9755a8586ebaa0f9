"""Table 3 of BSGM's paper from the committed searches, beside the published figures.

    python benchmarks/table3.py [--seeds 3]

Markdown rows: the lowest validation accuracy after retraining among a method's
configurations, their ten best as mean ± standard deviation, how many diverged; the best
configuration run again on further seeds with its test accuracy, and its parameters.

References
----------
R. Grazzi, M. Pontil, S. Salzo, "Bilevel optimization with a lower-level contraction:
Optimal sample complexity without warm-start", JMLR 24, 2023, section 7.3.
"""

import click
import numpy as np
from benchopt.benchmark import Benchmark
from throughput import ROOT

from benchmark_bilevel.search.protocol import ranking
from benchmark_bilevel.search.specification import Specification
from benchmark_bilevel.search.store import TUNING

# Name there; search, solver; published test (validation) accuracy of the best, and the
# validation accuracy of the ten best.
METHODS = (
    ("stocBiO", "stocbio", "BSGM-WS", "76.78 (73.57)", "77.33 ± 2.28"),
    ("AmIGO", "amigo", "BSGM-WS", "78.01 (75.09)", "76.27 ± 0.93"),
    ("BSGM", "bsgm", "BSGM", "78.05 (75.05)", "78.16 ± 1.48"),
    ("ALSET†-DET", "det", "ALSET-dagger", "83.03 (80.30)", "84.10 ± 1.73"),
    ("ALSET†", "bsgm", "ALSET-dagger", "90.75 (89.99)", "90.19 ± 0.15"),
    ("ALSET", "bsgm", "ALSET-LS", "90.89 (90.49)", "90.65 ± 0.10"),
)
HEAD = (
    *("method", "paper: best, test (validation)", "paper: ten best, validation"),
    *("here: best", "ten best", "configurations (diverged)", "winner"),
)


def line(*cells):
    return f"| {' | '.join(cells)} |"


def percents(values):
    return f"{100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=1):.2f}"


def attack(specification, solver, parameters, seed):
    """(test, validation) accuracy after retraining on what a run ends with."""
    klass = specification.solver_classes[solver]
    fixed = specification.fixed_of(klass)
    run = klass.get_instance(**fixed, **parameters).make_runtime(specification.problem)
    run.start(seed)
    run.advance(10**6, max_oracle_calls=int(specification.oracle_calls))
    metrics = specification.problem.final_metrics(run.variables()[1].astype(float))
    return [metrics[f"retrained_{part}_accuracy"] for part in ("test", "validation")]


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--seeds", default=3, show_default=True, help="Of each winner.")
def main(seeds):
    benchmark = Benchmark(ROOT)
    folder = ROOT / "config" / "search" / "reproductions"
    print(line(*HEAD), "|---" * len(HEAD) + "|", sep="\n")
    for name, search, solver, best, top in METHODS:
        specification = Specification.read(benchmark, folder / f"table3_{search}.yml")
        rows = specification.store.of(solver, TUNING)
        first = rows[rows["seed"] == 0]
        trials, scores = zip(*ranking(rows), strict=True)
        parameters, _ = specification.store.parameters(solver, trials[0])
        ends = [
            attack(specification, solver, parameters, seed) for seed in range(seeds)
        ]
        test, validation = 100 * np.median(ends, axis=0)
        count = f"{len(first)} ({int(first['diverged'].sum())})"
        said = ", ".join(f"{key} {value:.3g}" for key, value in parameters.items())
        here = f"{test:.1f} ({validation:.1f})"
        print(line(name, best, top, here, percents(scores[:10]), count, said))


if __name__ == "__main__":
    main()
