"""A template to copy: ridge regression, with one regularisation parameter a feature.

Try it, from wherever it is:

    python -m benchmark_bilevel check my_problem.py
    benchopt run . -o "*[problem=my_problem.py]" -d breast_cancer
"""

from functools import cached_property

import numpy as np

from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.problems.regression import (
    regression_metrics,
    regression_parts,
    unfit_to_regress,
)


class RidgeSelection(Problem):
    """Least squares with a chosen penalty for each feature.

        g(z, x) = 1/n Σ_i ½ (a_iᵀz − y_i)² + ½ Σ_j exp(x_j) z_j²
        f(z, x) = 1/m Σ_i ½ (a'_iᵀz − y'_i)²

    Derivatives come from autograd; a module of closed forms in numba, named by the
    attribute `kernels`, makes it fast: `template_kernels`.
    """

    name = "ridge-selection"
    targets = "numbers"  # what the labels or targets y have to be

    @classmethod
    def unfit(cls, data):
        return unfit_to_regress(data)

    # --- samples: tuples of arrays with one row a sample ---

    @cached_property
    def split(self):
        return regression_parts(self.data, self.split_seed)

    @property
    def inner_samples(self):
        return self.split[0]

    @property
    def outer_samples(self):
        return self.split[1]

    @property
    def dim_z(self):
        return self.data["X_train"].shape[1]

    dim_x = dim_z

    # --- losses: PyTorch, one number a sample of the batch ---

    def inner_loss(self, z, x, a, y):
        return 0.5 * (a @ z - y) ** 2

    outer_loss = inner_loss

    def inner_regulariser(self, z, x):
        return 0.5 * (x.exp() * z**2).sum()

    # --- the start, and optionally a feasible set and metrics ---

    def initial_point(self):
        return np.zeros(self.dim_z), np.full(self.dim_x, -1.0)

    def project(self, x):
        return x.clamp(-10.0, 3.0)

    def project_scaled(self, x, weights):  # a box: the weights do not matter
        return self.project(x)

    def accuracies(self, z, x):
        return regression_metrics(lambda X: X @ z, *self.split)
