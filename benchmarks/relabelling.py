"""Hyper-cleaning of stocBiO's paper, with labels as meant and as its code has them.

    python benchmarks/relabelling.py

Its public code corrupts a batch of labels in place whenever it is drawn. Accuracies and
test losses with labels that were corrupted once, and as often as such runs come to.

References
----------
K. Ji, J. Yang, Y. Liang, "Bilevel optimization: Convergence analysis and enhanced
design", ICML 2021.
"""

from functools import cached_property

import numpy as np
from reproductions import SEEDS, make_run, show_model
from throughput import make_problem

from benchmark_bilevel.oracles.samplers import aligned
from benchmark_bilevel.problems import DataHypercleaning
from benchmark_bilevel.problems.classification import Split
from benchmark_bilevel.problems.hypercleaning.protocols import Soba


class Relabelling(DataHypercleaning):
    """stocBiO's hyper-cleaning: σ(x_i), a bias, 0.001 ‖Z‖², x0 = 0, Z0 random.

    The first 20,000 images are inner samples, the last 5,000 outer ones. A label is moved
    to another class with probability 0.1, `visits` times: in its public code a batch is
    corrupted in place whenever it is drawn.
    """

    class rules(Soba):
        ridge, start = 0.001, 0.0

    @cached_property
    def split(self):
        X, y = self.data["X_train"], self.data["y_train"]
        test = self.data["X_test"], self.data["y_test"]
        parts = (X[:20_000], y[:20_000]), (X[-5_000:], y[-5_000:]), test
        return tuple(Split(aligned(X, float), y) for X, y in parts)

    @cached_property
    def given_labels(self):
        generator = np.random.RandomState(self.split_seed)
        labels = self.split[0].y.copy()
        for _ in range(self.visits):
            moved = generator.rand(len(labels)) < 0.1
            labels[moved] += generator.randint(1, 10, moved.sum())
            labels %= 10
        return labels

    def initial_point(self):
        z = np.random.RandomState(0).normal(scale=np.sqrt(2 / 10), size=self.dim_z)
        return z, super().initial_point()[1]


def main():
    data = dict(make_problem("mnist").data)
    for name in ("X_train", "X_test"):
        X = (data[name] / 255.0 - 0.1307) / 0.3081
        data[name] = np.column_stack([X, np.ones(len(X))])
    for visits in (1, 12, 120):
        problem = Relabelling(data, visits=visits)
        print(f" {visits} visits: {problem.wrong.mean():.0%} of the labels are wrong")
        run = make_run(
            problem,
            "stocBiO",
            step_size=0.1,
            outer_ratio=1.0,
            linear_step=0.5,
            n_inner=200,
            n_neumann=3,
            batch_size=1000,
            outer_batch_size=1000,
            dtype="float32",
        )
        for seed in SEEDS:
            run.start(seed)
            for point in (12, 50):
                run.advance(point)
                z, x = run.variables()
                show_model(f"stocBiO, {point} iterations, seed {seed}", problem, z, x)


if __name__ == "__main__":
    main()
