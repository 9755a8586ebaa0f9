import numpy as np

from benchmark_bilevel.exact.feasible import projected
from benchmark_bilevel.exact_solver import BoxSearch


class Solver(BoxSearch):
    """Random search on h: x0, then points that are independent and uniform in a box.

    References
    ----------
    J. Bergstra, Y. Bengio, "Random search for hyper-parameter optimization", JMLR 13,
    2012. The box is ours.
    """

    name = "Random"

    def minimise(self, evaluate, x):
        generator, box = np.random.default_rng(self.seed), self.box(self.problem)
        while True:
            evaluate(x)
            x = projected(self.problem, generator.uniform(*box))
