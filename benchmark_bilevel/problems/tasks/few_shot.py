"""Few-shot learning: a representation shared by tasks, a linear head for each."""

import hashlib
from functools import cached_property

import numpy as np

from benchmark_bilevel.data import FEW_SHOT_TASKS
from benchmark_bilevel.data.sinusoid import sinusoid_tasks
from benchmark_bilevel.problems.tasks.base import TaskProblem
from benchmark_bilevel.problems.tasks.networks import Convolutional, Perceptron

NORMALISATIONS = ("per-task", "coupled")
TEST_STEPS, TEST_STEP = 10, 0.2  # of gradient descent on a head, in a test
TOGETHER = 10  # tasks of a test, and evaluated ones that are coupled
# Of all images of an iteration: the network keeps some 900 bytes a pixel.
LARGEST_BATCH = 3_200_000


class FewShot(TaskProblem):
    """Linear heads z_k on features φ_x, learnt on a task's support, judged on its query.

        g_k(z, x) = mean of ℓ(head_z(φ_x(a)), y) over the support + r/2 ‖z‖²
        f_k(z, x) = mean of ℓ(head_z(φ_x(a)), y) over the query

    x holds the weights of the network φ, r = 0.01. On images ℓ is the cross-entropy and φ
    has four convolutional blocks; on the curves of `sinusoid` ℓ is half the squared
    error and φ a perceptron, so that z_k*(x) is a ridge regression. Every g_k is strongly
    convex in z. On images batch normalisation takes the statistics of a task's own set
    with `normalisation` "per-task", and of all tasks drawn with "coupled", as published;
    an iteration's losses then depend on which tasks come together.

    The exact metrics are those of the first 100 tasks; on images of the first 25, or,
    coupled, of the first 10 together. Tests are on tasks of other classes, with heads
    from 10 steps of gradient descent from 0, as published, of 0.2 (there 0.05, on images
    with more features); they are in float32, ten tasks at a time.

    References
    ----------
    R. Grazzi, M. Pontil, S. Salzo, "Bilevel optimization with a lower-level
    contraction: Optimal sample complexity without warm-start", JMLR 24, 2023, section
    7.2. C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast adaptation
    of deep networks", ICML 2017, for the curves.
    """

    name = "few-shot"
    ridge = 0.01  # r
    has_reference = False
    max_exact_evaluations = 8
    solver_seconds = 60.0
    options = ("normalisation",)

    @classmethod
    def unfit(cls, data):
        if not set(FEW_SHOT_TASKS) <= set(data):
            return (
                "needs tasks with a support and a query, and others to test: "
                "-d sinusoid or -d glyphs"
            )
        return None

    @classmethod
    def invalid(cls, normalisation, **_):
        if normalisation not in NORMALISATIONS:
            return (
                f"normalisation={normalisation!r} is not valid; expected one of "
                f"{', '.join(NORMALISATIONS)}"
            )
        return None

    @staticmethod
    def example_data():
        """Data small enough for the checks of all solvers."""
        return sinusoid_tasks(n_tasks=9, n_test_tasks=2, n_shots=4)

    @property
    def inner_samples(self):
        return self.data["support"], self.data["support_targets"]

    @property
    def outer_samples(self):
        return self.data["query"], self.data["query_targets"]

    @property
    def is_regression(self):
        return "images" not in self.data

    @property
    def coupled(self):
        return self.normalisation == "coupled" and not self.is_regression

    @property
    def evaluation_tasks(self):
        if self.is_regression:
            return 100
        return TOGETHER if self.coupled else 25

    @property
    def largest_batch(self):
        if self.is_regression:
            return None
        pixels = np.prod(self.data["images"].shape[1:3])
        rows = self.inner_rows + self.outer_rows
        return max(1, int(LARGEST_BATCH // (rows * pixels)))

    @cached_property
    def network(self):
        """φ, from flat weights and inputs (tasks, rows, …) to (tasks, rows, features)."""
        if self.is_regression:
            return Perceptron(self.data["support"].shape[2])
        return Convolutional(self.data["images"], self.coupled)

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

    def settings(self):
        if self.is_regression:
            return super().settings()
        # The samples are indices of images.
        images = hashlib.sha256(np.ascontiguousarray(self.data["images"]))
        return *super().settings(), images.hexdigest()

    # --- losses ---------------------------------------------------------------------

    def represent_inner(self, x, inputs, targets):
        """The features φ_x of the inputs, with a 1 for the head's bias, and the targets."""
        from torch.nn.functional import pad  # torch takes seconds to import

        return pad(self.network(x, inputs), (0, 1), value=1.0), targets

    represent_outer = represent_inner

    def outer_loss(self, z, x, features, targets):
        outputs = self._outputs(z, features)
        if self.is_regression:
            return 0.5 * ((outputs - targets) ** 2).mean((1, 2))
        right = outputs.gather(2, targets[:, :, None])[:, :, 0]
        return (outputs.logsumexp(2) - right).mean(1)

    def inner_loss(self, z, x, features, targets):
        penalty = 0.5 * self.ridge * (z**2).sum(1)
        return self.outer_loss(z, x, features, targets) + penalty

    def _outputs(self, z, features):
        """Outputs of the heads, (tasks, rows, outputs)."""
        return features @ z.view(len(z), self.n_outputs, -1).mT

    # --- metrics --------------------------------------------------------------------

    def outer_metrics(self, x):
        """``test_loss`` and, of images, ``test_accuracy`` and its deviation over tasks."""
        import torch

        from benchmark_bilevel.oracles.autograd import one_thread, to_tensor

        x = to_tensor(x, "float32", "cpu")
        names = ("support", "support_targets", "query", "query_targets")
        tests = zip(
            *(
                to_tensor(self.data[f"test_{name}"], "float32", "cpu").split(TOGETHER)
                for name in names
            ),
            strict=True,
        )
        with one_thread():
            losses, accuracies = map(
                torch.cat, zip(*(self._tested(x, *some) for some in tests), strict=True)
            )
        metrics = {"test_loss": float(losses.mean())}
        if not self.is_regression:
            metrics["test_accuracy"] = float(accuracies.mean())
            if len(accuracies) > 1:
                metrics["test_accuracy_deviation"] = float(accuracies.std())
        return metrics

    def _tested(self, x, support, support_targets, query, query_targets):
        """Losses and accuracies on the queries of some tasks."""
        import torch

        with torch.no_grad():
            support = self.represent_inner(x, support, support_targets)
            query = self.represent_outer(x, query, query_targets)
        z = torch.zeros(len(support_targets), self.dim_task)
        for _ in range(TEST_STEPS):
            z.requires_grad_()
            total = self.inner_loss(z, x, *support).sum()
            (gradient,) = torch.autograd.grad(total, z)
            z = z.detach() - TEST_STEP * gradient
        found = self._outputs(z, query[0]).argmax(2)  # of curves it says nothing
        right = found == query_targets.view_as(found)
        return self.outer_loss(z, x, *query), right.float().mean(1)
