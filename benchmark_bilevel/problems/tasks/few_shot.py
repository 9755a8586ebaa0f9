"""Few-shot learning: a representation shared by tasks, a linear head for each."""

from functools import cached_property

import numpy as np

from benchmark_bilevel.problems.tasks.base import TaskProblem
from benchmark_bilevel.problems.tasks.networks import Convolutional, Perceptron

TEST_STEPS, TEST_STEP = 10, 0.2  # of gradient descent on a head, in a test


class FewShot(TaskProblem):
    """Linear heads z_k on features φ_x, learnt on a task's support, judged on its query.

        g_k(z, x) = mean of ℓ(head_z(φ_x(a)), y) over the support + r/2 ‖z‖²
        f_k(z, x) = mean of ℓ(head_z(φ_x(a)), y) over the query

    x holds the weights of the network φ, r = 0.01. On images ℓ is the cross-entropy and φ
    has four convolutional blocks; on the curves of `sinusoid` ℓ is half the squared
    error and φ a perceptron, so that z_k*(x) is a ridge regression. Every g_k is strongly
    convex in z. Batch normalisation takes the statistics of a task's own set with
    `normalisation` "per-task", and of all tasks drawn with "coupled", as published; an
    iteration's losses then depend on which tasks come together, and the exact metrics
    are those of all evaluated tasks together.

    References
    ----------
    R. Grazzi, M. Pontil, S. Salzo, "Bilevel optimization with a lower-level
    contraction: Optimal sample complexity without warm-start", JMLR 24, 2023, section
    7.2. C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast adaptation
    of deep networks", ICML 2017, for the curves.
    """

    name = "few-shot"
    ridge = 0.01  # r
    evaluation_tasks = 100
    has_reference = False
    max_exact_evaluations = 8
    solver_seconds = 60.0
    options = ("normalisation",)

    @classmethod
    def unfit(cls, data):
        if "support" not in data:
            return "needs tasks with a support and a query: -d sinusoid or -d glyphs"

    @property
    def inner_samples(self):
        return self.data["support"], self.data["support_targets"]

    @property
    def outer_samples(self):
        return self.data["query"], self.data["query_targets"]

    @property
    def is_regression(self):
        return "images" not in self.data

    @cached_property
    def network(self):
        """φ, from flat weights and inputs (tasks, rows, …) to (tasks, rows, features)."""
        if self.is_regression:
            return Perceptron(self.data["support"].shape[2])
        return Convolutional(self.data["images"], self.normalisation == "coupled")

    @cached_property
    def n_outputs(self):
        if self.is_regression:
            return 1
        return int(self.data["support_targets"].max()) + 1

    @property
    def dim_task(self):
        return self.n_outputs * (self.network.n_features + 1)

    @property
    def dim_x(self):
        return self.network.size

    @property
    def inner_rows(self):
        return self.data["support"].shape[1]

    @property
    def outer_rows(self):
        return self.data["query"].shape[1]

    def initial_outer(self):
        return self.network.initial_weights(np.random.default_rng(self.split_seed))

    # --- losses ---------------------------------------------------------------------

    def represent_inner(self, x, inputs, targets):
        """The features φ_x of the inputs, with a 1 for the head's bias, and the targets."""
        from torch.nn.functional import pad  # torch takes seconds to import

        return pad(self.network(x, inputs), (0, 1), value=1.0), targets

    represent_outer = represent_inner

    def outer_loss(self, z, x, features, targets):
        from torch.nn.functional import cross_entropy

        outputs = self._outputs(z, features)
        if self.is_regression:
            return 0.5 * ((outputs - targets) ** 2).mean((1, 2))
        losses = cross_entropy(outputs.mT, targets, reduction="none")
        return losses.mean(1)

    def inner_loss(self, z, x, features, targets):
        penalty = 0.5 * self.ridge * (z**2).sum(1)
        return self.outer_loss(z, x, features, targets) + penalty

    def _outputs(self, z, features):
        """Outputs of the heads, (tasks, rows, outputs)."""
        return features @ z.view(len(z), self.n_outputs, -1).mT

    # --- metrics --------------------------------------------------------------------

    def outer_metrics(self, x):
        """On test tasks, with heads from a few steps of gradient descent, as published.

        ``test_accuracy`` and its standard deviation over the tasks, or ``test_loss``.
        """
        import torch

        data = {
            name: torch.as_tensor(self.data[f"test_{name}"])
            for name in ("support", "support_targets", "query", "query_targets")
        }
        x = torch.from_numpy(np.ascontiguousarray(x))
        with torch.no_grad():
            support, query = (
                self.represent_inner(x, data[name], data[f"{name}_targets"])
                for name in ("support", "query")
            )
        z = torch.zeros(len(data["support"]), self.dim_task, dtype=x.dtype)
        for _ in range(TEST_STEPS):
            z.requires_grad_()
            total = self.inner_loss(z, x, *support).sum()
            (gradient,) = torch.autograd.grad(total, z)
            z = z.detach() - TEST_STEP * gradient
        metrics = {"test_loss": float(self.outer_loss(z, x, *query).mean())}
        if not self.is_regression:
            right = self._outputs(z, query[0]).argmax(2) == query[1]
            accuracies = right.double().mean(1)
            metrics["test_accuracy"] = float(accuracies.mean())
            metrics["test_accuracy_deviation"] = float(accuracies.std())
        return metrics
