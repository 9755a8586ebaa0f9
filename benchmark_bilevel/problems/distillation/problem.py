"""Dataset distillation: a few learnt images to train on, in place of thousands."""

from functools import cached_property

import numpy as np

from benchmark_bilevel.oracles.samplers import aligned
from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.problems.classification import Split
from benchmark_bilevel.problems.cross_entropy import (
    cross_entropies,
    linear_model,
    model_metrics,
)
from benchmark_bilevel.problems.images import (
    standardised_as_a_whole,
    unfit_for_images,
)


class DatasetDistillation(Problem):
    """One image a class is learnt, so that a model trained on these serves all images.

        g(z, x) = 1/K Σ_c CE(Z x_c, c) + 0.2 ‖Z‖²
        f(z, x) = 1/m Σ_j CE(Z a_j, y_j)

    with K classes, Z a matrix (classes, pixels), flat in z, and x the K images, a row
    each, flat. Without the ridge g has no minimiser: K images are separable.

    On MNIST and Fashion-MNIST 20,000 random training images are the outer samples (a
    third of the training file), and the test is the 10,000 test images; of other images
    a stratified third is the test and the rest outer samples. All pixels are centred
    and scaled by one mean and one scale. z0 = 0, x0 ~ N(0, I) / pixels.

    `validation_accuracy` is that on the outer samples; the inner ones are the learnt
    images themselves, which the model always fits. h is not convex: no reference. The
    result file keeps the learnt images (`images`, a row each, in the pixels of the data).

    References
    ----------
    T. Wang, J.-Y. Zhu, A. Torralba, A. Efros, "Dataset distillation",
    arXiv:1811.10959, 2018; this set-up, there without a ridge: M. Arbel, J. Mairal,
    "Amortized implicit differentiation for stochastic bilevel optimization", ICLR 2022.
    """

    name = "dataset-distillation"
    targets = "classes"
    default_split_seed = 32
    has_reference = False
    ridge = 0.2

    @classmethod
    def unfit(cls, data):
        return unfit_for_images(data)

    @staticmethod
    def example_data():
        """Data small enough for the checks of all solvers."""
        X = np.random.default_rng(0).integers(0, 9, (36, 4))
        X[0, 0] = 0
        y = np.arange(36) % 3
        return {"X_train": X, "y_train": y, "X_test": None, "y_test": None}

    @cached_property
    def _parts(self):
        """The outer and the test samples, and the mean and scale that pixels had."""
        from sklearn.model_selection import train_test_split

        data, seed = self.data, self.split_seed
        X, y = data["X_train"], data["y_train"]
        if data["X_test"] is None:
            X, X_test, y, y_test = train_test_split(
                X, y, test_size=1 / 3, stratify=y, random_state=seed
            )
        else:
            chosen = np.random.RandomState(seed).permutation(len(y))[: len(y) // 3]
            X, y, X_test, y_test = X[chosen], y[chosen], data["X_test"], data["y_test"]
        outer, test = Split(aligned(X, float), y), Split(aligned(X_test, float), y_test)
        return outer, test, standardised_as_a_whole(outer.X, test.X)

    @property
    def n_classes(self):
        return int(self.data["y_train"].max()) + 1

    @property
    def inner_samples(self):
        return (np.arange(self.n_classes),)

    @property
    def outer_samples(self):
        return tuple(self._parts[0])

    @property
    def dim_z(self):
        return self.n_classes * self.data["X_train"].shape[1]

    dim_x = dim_z

    @property
    def _is_large(self):
        return self.dim_z > 1000

    @property
    def max_exact_evaluations(self):
        # Half a second each on MNIST, for f's gradient over 20,000 images.
        return 20 if self._is_large else None

    @property
    def solver_seconds(self):
        return 30.0 if self._is_large else 10.0

    def inner_loss(self, z, x, c):
        return cross_entropies(z, x.view(self.n_classes, -1)[c], c)

    def inner_regulariser(self, z, x):
        return self.ridge * (z**2).sum()

    def regulariser_diagonal(self, x):
        return np.full(self.dim_z, 2 * self.ridge)

    def outer_loss(self, z, x, a, y):
        return cross_entropies(z, a, y)

    def initial_point(self):
        generator = np.random.default_rng(2442)  # the same draw whatever the seeds
        n_pixels = self.data["X_train"].shape[1]
        x = generator.standard_normal(self.dim_x) / n_pixels
        return np.zeros(self.dim_z), x

    def accuracies(self, z, x):
        outer, test, _ = self._parts
        metrics = model_metrics(linear_model(z), outer, outer, test)
        return {name: metrics[name] for name in metrics if name != "train_accuracy"}

    def images(self, x):
        """The learnt images (classes, pixels), in the pixels of the data."""
        mean, scale = self._parts[2]
        return mean + scale * np.reshape(x, (self.n_classes, -1))

    def final_results(self, z, x):
        return {"images": self.images(x).astype(np.float32)}
