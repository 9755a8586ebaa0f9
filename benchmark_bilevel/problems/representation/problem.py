"""Hyper-representation: the features of a linear regression are learnt."""

from functools import cached_property

import numpy as np

from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.problems.classification import Split
from benchmark_bilevel.problems.regression import regression_metrics

PARTS = ("inner", "outer", "held_out")


class HyperRepresentation(Problem):
    """A linear representation on one part of the data, its best head on the other.

        g(z, x) = 1/n Σ_i ½ (a_iᵀ X z − y_i)² + 0.05 ‖z‖²
        f(z, x) = 1/m Σ_j ½ (a'_jᵀ X z − y'_j)²

    with X a matrix (features, hidden), flat in x, and z the head, (hidden,): z*(x) is
    the solution of a ridge regression, so that h and ∇h are exact. h is not convex: no
    reference. z0 and x0 are standard normal.

    `train_r2`, `validation_r2` and `test_r2` are shares of explained variance.

    References
    ----------
    D. Sow, K. Ji, Y. Liang, "On the convergence theory for Hessian-free bilevel
    algorithms", NeurIPS 2022 (shallow hyper-representation).
    """

    name = "hyper-representation"
    has_reference = False
    ridge = 0.1  # of ½ ‖z‖²

    @classmethod
    def unfit(cls, data):
        if "n_hidden" not in data:
            return "needs a representation to learn: -d shallow_representation"
        return None

    @staticmethod
    def example_data():
        """Data small enough for the checks of all solvers."""
        return random_representation(n_samples=12, n_features=3, n_hidden=2)

    @cached_property
    def split(self):
        """The inner, outer and test samples."""
        return tuple(Split(*(self.data[f"{a}_{part}"] for a in "Xy")) for part in PARTS)

    @property
    def inner_samples(self):
        return tuple(self.split[0])

    @property
    def outer_samples(self):
        return tuple(self.split[1])

    @property
    def dim_z(self):
        return self.data["n_hidden"]

    @property
    def dim_x(self):
        return self.data["X_inner"].shape[1] * self.dim_z

    def outer_loss(self, z, x, a, y):
        return 0.5 * (a @ (x.view(-1, self.dim_z) @ z) - y) ** 2

    inner_loss = outer_loss

    def inner_regulariser(self, z, x):
        return 0.5 * self.ridge * (z**2).sum()

    def regulariser_diagonal(self, x):
        return np.full(self.dim_z, self.ridge)

    def initial_point(self):
        generator = np.random.default_rng(2442)  # the same draw whatever the seeds
        z = generator.standard_normal(self.dim_z)
        return z, generator.standard_normal(self.dim_x)

    def inner_solution(self, x):
        """z*(x) in closed form."""
        X, y = self.split[0]
        features = X @ x.reshape(-1, self.dim_z)
        n, identity = len(y), np.eye(self.dim_z)
        H = features.T @ features / n + self.ridge * identity
        return np.linalg.solve(H, features.T @ y / n)

    def accuracies(self, z, x):
        weights = x.reshape(-1, self.dim_z) @ z
        return regression_metrics(lambda X: X @ weights, *self.split)


def random_representation(
    n_samples=500, n_features=64, n_hidden=128, noise=0.1, seed=0
):
    """Data of a random `HyperRepresentation`: y = X H w + noise, all standard normal.

    Parameters
    ----------
    n_samples : int
        Number of inner, of outer and of test samples.
    n_features, n_hidden : int
    noise : float
    seed : int

    Returns
    -------
    dict
        ``X_inner``, ``y_inner``, ``X_outer``, ``y_outer``, ``X_held_out``,
        ``y_held_out`` and ``n_hidden``.
    """
    generator = np.random.default_rng(seed)
    H = generator.standard_normal((n_features, n_hidden))
    weights = H @ generator.standard_normal(n_hidden)
    data = {"n_hidden": n_hidden}
    for part in PARTS:
        X = generator.standard_normal((n_samples, n_features))
        data[f"X_{part}"] = X
        data[f"y_{part}"] = X @ weights + noise * generator.standard_normal(n_samples)
    return data
