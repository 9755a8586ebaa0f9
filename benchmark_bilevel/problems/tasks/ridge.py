"""Multi-task ridge regression: tasks that share the point they are pulled to."""

from functools import cached_property

import numpy as np

from benchmark_bilevel.data import RIDGE_TASKS
from benchmark_bilevel.problems.tasks.base import TaskProblem


class MultiTaskRidge(TaskProblem):
    """Ridge regressions, each pulled to a common x: everything in closed form.

        g_k(z, x) = 1/(2n) ‖A_k z − y_k‖² + λ/2 ‖z − x‖²
        f_k(z, x) = 1/(2m) ‖A'_k z − y'_k‖²

    With M_k = (A_kᵀA_k / n + λ I)⁻¹, z_k*(x) = M_k (A_kᵀy_k / n + λ x), so that h is a
    quadratic. The biased regularisation of R. Grazzi, M. Pontil, S. Salzo, JMLR 2023,
    and of implicit MAML (A. Rajeswaran et al., NeurIPS 2019).
    """

    name = "multi-task-ridge"
    ridge = 0.5  # λ

    @classmethod
    def unfit(cls, data):
        if not set(RIDGE_TASKS) <= set(data):
            return (
                f"needs regression tasks, {', '.join(RIDGE_TASKS)}: -d multi_task_ridge"
            )
        return None

    @staticmethod
    def example_data():
        """Data small enough for the checks of all solvers."""
        return random_tasks(n_tasks=9, n_samples=8, dim=3)

    @property
    def inner_samples(self):
        return self.data["task_A"], self.data["task_y"]

    @property
    def outer_samples(self):
        return self.data["task_A_outer"], self.data["task_y_outer"]

    @property
    def dim_task(self):
        return self.data["task_A"].shape[2]

    @property
    def dim_x(self):
        return self.dim_task

    @property
    def inner_rows(self):
        return self.data["task_A"].shape[1]

    @property
    def outer_rows(self):
        return self.data["task_A_outer"].shape[1]

    def initial_outer(self):
        return np.zeros(self.dim_x)

    def inner_loss(self, z, x, A, y):
        residual = (A @ z[:, :, None])[:, :, 0] - y
        return 0.5 * ((residual**2).mean(1) + self.ridge * ((z - x) ** 2).sum(1))

    def outer_loss(self, z, x, A, y):
        return 0.5 * (((A @ z[:, :, None])[:, :, 0] - y) ** 2).mean(1)

    # --- closed form ----------------------------------------------------------------

    @cached_property
    def _affine_solution(self):
        """Matrices and vectors, one a task, with z_k*(x) = slopes[k] x + offsets[k]."""
        A, y = self.inner_samples
        n, identity = A.shape[1], np.eye(self.dim_task)
        hessians = A.mT @ A / n + self.ridge * identity
        slopes = np.linalg.solve(
            hessians, self.ridge * np.broadcast_to(identity, hessians.shape)
        )
        offsets = np.linalg.solve(hessians, A.mT @ y[:, :, None] / n)[:, :, 0]
        return slopes, offsets

    def inner_solution(self, x):
        """z*(x), shape (n_tasks, dim_task)."""
        slopes, offsets = self._affine_solution
        return slopes @ x + offsets

    def value_function(self, x):
        """h(x)."""
        A, y = self.outer_samples
        residual = (A @ self.inner_solution(x)[:, :, None])[:, :, 0] - y
        return 0.5 * np.mean(residual**2)

    def minimiser(self):
        """The minimiser of h: a least-squares problem in x."""
        A, y = self.outer_samples
        slopes, offsets = self._affine_solution
        rest = y - (A @ offsets[:, :, None])[:, :, 0]
        design = (A @ slopes).reshape(-1, self.dim_x)
        return np.linalg.lstsq(design, rest.ravel())[0]


def random_tasks(n_tasks=200, n_samples=20, dim=10, spread=0.5, noise=0.3, seed=0):
    """Data of a random `MultiTaskRidge`.

    Parameters
    ----------
    n_tasks, n_samples, dim : int
        Tasks, samples of g and of f in each, features.
    spread : float
        Standard deviation of the tasks' true weights about a common centre.
    noise : float
        Standard deviation of the targets' noise.
    seed : int

    Returns
    -------
    dict of arrays task_A (K, n, d), task_y (K, n), task_A_outer, task_y_outer
    """
    generator = np.random.default_rng(seed)
    centre = generator.standard_normal(dim)
    weights = centre + spread * generator.standard_normal((n_tasks, dim))
    data = {}
    for suffix in ("", "_outer"):
        A = generator.standard_normal((n_tasks, n_samples, dim))
        targets = (A @ weights[:, :, None])[:, :, 0]
        data[f"task_A{suffix}"] = A
        data[f"task_y{suffix}"] = targets + noise * generator.standard_normal(
            targets.shape
        )
    return data
